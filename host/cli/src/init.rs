//! `groundcrew init`: writes a first config. It is not interactive: the important values are
//! options, and everything else is in the file with a comment.

use std::fmt::Write as _;
use std::path::Path;

use groundcrew_core::config::Config;
use groundcrew_core::suggestions::CommandFormatter;

use crate::command_error::CommandError;
use crate::commands::{Init, UpdateScope};
use crate::files::{check_writable, write_atomic};
use crate::output::print;

/// Control Tower's quota of concurrent account operations, unless AWS raised it.
const DEFAULT_ACCOUNT_QUOTA: u8 = 5;

pub fn run(options: &Init) -> Result<(), CommandError> {
    let (out, name) = (&options.out, options.out.display());
    // It is not known where stdout goes.
    let named = out.to_str().filter(|name| *name != "-");
    let suggestions = named.map(CommandFormatter::with_config).unwrap_or_default();
    let text = render(options, &suggestions);
    // The value of an option may be invalid for its key.
    Config::parse(&name.to_string(), &text)
        .map_err(|problems| CommandError::Usage(format!("{problems}\nnothing was written")))?;
    if out == Path::new("-") {
        return print(&text);
    }
    // A symbolic link to nothing exists too.
    if !options.force && out.symlink_metadata().is_ok() {
        return Err(CommandError::Usage(format!(
            "{name}: is there already, and was left as it is; name another file with --out, or \
             overwrite it with --force"
        )));
    }
    check_writable(out)
        .and_then(|()| write_atomic(out, text.as_bytes()))
        .map_err(|error| CommandError::unwritable(out, error, "--out"))?;
    print(&format!("{name}: written\n{}", next_steps(&suggestions, "  ")))
}

/// What to do next with the config.
fn next_steps(suggestions: &CommandFormatter, indent: &str) -> String {
    let steps = [
        ("check", "is it fit for use?"),
        ("simulate", "simulate an update of 20 accounts, without AWS"),
        ("doctor", "is everything that it needs in AWS?"),
        ("plan", "what would an update do now?"),
    ];
    let commands = steps.map(|(command, what)| (suggestions.command(command), what));
    let width = commands.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    let line = |(command, what): &(String, &str)| format!("{indent}{command:width$}  # {what}\n");
    commands.iter().map(line).collect()
}

/// A text as a TOML string.
fn to_toml_string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The config for these options.
pub fn render(options: &Init, suggestions: &CommandFormatter) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write(options, suggestions, &mut out);
    out
}

fn write(options: &Init, suggestions: &CommandFormatter, out: &mut String) -> std::fmt::Result {
    let at_once = options.at_once;
    writeln!(
        out,
        "# The config of groundcrew. docs/configuration.md has every key. What is commented out here is an\n\
         # example, or has its default.\n\
         #\n{}",
        next_steps(suggestions, "#   ")
    )?;
    writeln!(out, "[aws]")?;
    writeln!(
        out,
        "# Control Tower's home Region.\nregion = {}\n",
        to_toml_string(&options.region)
    )?;

    writeln!(out, "[updates]")?;
    writeln!(out, "# Most accounts that are updated at once.")?;
    writeln!(out, "max_concurrent_operations = {at_once}")?;
    writeln!(
        out,
        "# Control Tower's quota \"Concurrent account operations\" in your organization, which the console\n\
         # and Terraform use too: {DEFAULT_ACCOUNT_QUOTA} unless AWS raised it, at most 10."
    )?;
    writeln!(out, "account_quota = {}", at_once.max(DEFAULT_ACCOUNT_QUOTA))?;
    writeln!(out, "# With \"required\" nothing starts before somebody has approved of the plan.")?;
    let approval =
        if options.approval { "approval = \"required\"" } else { "# approval = \"none\"" };
    writeln!(out, "{approval}\n")?;

    writeln!(
        out,
        "# Accounts are updated lane by lane: a lane starts when those before it are done."
    )?;
    write_lane(out, options.update.first_lane(), at_once)?;
    if options.update == UpdateScope::TaggedFirst {
        write_lane(out, "others", 1)?;
    }
    if options.update != UpdateScope::All {
        write_policy(options, out)?;
    }

    if options.ams {
        writeln!(
            out,
            "# An AMS support case is opened for every account that Control Tower creates.\n\
             [[notifiers]]\nname = \"ams\"\nplugin = \"ams-case\"\n\
             on = [\"CreateManagedAccount\", \"UpdateManagedAccount\"]\n\
             [notifiers.settings]\nseverity_code = \"low\"\n\
             subject = \"AMS onboarding of account {{{{ account.id }}}} ({{{{ account.name }}}})\"\n"
        )?;
    }

    let queue = |name: &str| {
        format!("https://sqs.{}.amazonaws.com/111122223333/groundcrew-{name}", options.region)
    };
    writeln!(
        out,
        "# The service (`groundcrew run`) needs the first two; the stacks of docs/deploy.md make all of\n\
         # these and name them to it."
    )?;
    let queues = [
        ("updates_url", &options.updates_url, queue("updates.fifo")),
        ("events_url", &options.events_url, queue("events")),
        ("notifications_url", &options.notifications_url, queue("notifications.fifo")),
    ];
    write_section(out, "queues", &queues)?;
    writeln!(out, "# The SNS topic of alerts. Without it alerts are in the log only.")?;
    let topic = format!("arn:aws:sns:{}:111122223333:groundcrew-alerts", options.region);
    write_section(out, "alerts", &[("topic_arn", &options.topic_arn, topic)])?;
    writeln!(
        out,
        "# The ledger stores what AWS does not: notifications, running updates, failures. It is the file\n\
         # groundcrew.db beside this one. Several hosts, or a Lambda, need a DynamoDB table."
    )?;
    write_section(out, "ledger", &[("table", &options.table, "groundcrew".to_owned())])?;
    // The file ends with the last section.
    out.truncate(out.trim_end().len());
    out.push('\n');
    Ok(())
}

fn write_lane(out: &mut String, name: &str, concurrency: u8) -> std::fmt::Result {
    writeln!(out, "[[lanes]]\nname = \"{name}\"\nconcurrency = {concurrency}\n")
}

fn write_policy(options: &Init, out: &mut String) -> std::fmt::Result {
    let (key, value) = &options.tag;
    writeln!(
        out,
        "# Policies decide which accounts are updated, and in which lane. An account whose tags can't be\n\
         # read is not updated.\n\
         [[policies]]\nname = \"managed\"\nplugin = \"managed-tag\"\n\
         [policies.settings]\ntag_key = {}\ntag_value = {}",
        to_toml_string(key),
        to_toml_string(value)
    )?;
    match options.update {
        UpdateScope::TaggedFirst => {
            writeln!(out, "# Tagged accounts: the first lane; all others: the second.")?;
            writeln!(out, "priority_mode = true\n")
        }
        UpdateScope::All | UpdateScope::Tagged => writeln!(out),
    }
}

/// A table with the values of options; keys without an option's value are there as examples.
fn write_section(
    out: &mut String,
    name: &str,
    keys: &[(&str, &Option<String>, String)],
) -> std::fmt::Result {
    let is_given = keys.iter().any(|(_, given, _)| given.is_some());
    writeln!(out, "{}[{name}]", if is_given { "" } else { "# " })?;
    for (key, given, example) in keys {
        match given {
            Some(value) => writeln!(out, "{key} = {}", to_toml_string(value))?,
            None => writeln!(out, "# {key} = {}", to_toml_string(example))?,
        }
    }
    writeln!(out)
}
