//! `groundcrew check`: checks a config.

use std::sync::Arc;

use groundcrew_core::config::NotifierConfig;
use groundcrew_core::doctor;
use groundcrew_core::http::webhook_with_plain_secret;
use groundcrew_core::route::OncePer;
use groundcrew_core::scheduler::{StartWhen, WhenHeld};

use crate::command_error::CommandError;
use crate::commands::Check;
use crate::formatting::{count, format_duration};
use crate::loaded_config::{LoadedConfig, PluginSelection, read_config};
use crate::output::print_sanitized;
use crate::ports::NoSupportCases;

/// Prints every problem on stdout, as linters do, or a summary if there is none.
pub fn run(options: &Check) -> Result<(), CommandError> {
    let runtime = crate::runtime::current_thread()?;
    let loading = async {
        read_config(Some(&options.config))?
            .load(PluginSelection::All, Arc::new(NoSupportCases))
            .await
    };
    let loaded = match runtime.block_on(loading) {
        Ok(loaded) => loaded,
        Err(CommandError::Usage(problems)) => return found(&problems),
        Err(other) => return Err(other),
    };
    match ungranted_requests(options, &loaded) {
        problems if problems.is_empty() => print_sanitized(&describe(options, &loaded)),
        problems => found(&problems.join("\n")),
    }
}

/// Prints problems, one a line.
fn found(problems: &str) -> Result<(), CommandError> {
    print_sanitized(&format!("{problems}\n"))?;
    Err(CommandError::Usage(format!(
        "{} found: fix the config, and run this again",
        count(problems.lines().count(), "problem")
    )))
}

/// Requests of bundled notifiers that no grant covers. A host reports such a request only when it
/// is made.
fn ungranted_requests(options: &Check, loaded: &LoadedConfig) -> Vec<String> {
    let file = options.config.display();
    let of = |notifier: &NotifierConfig| {
        let line = notifier.plugin_config.line;
        let findings = doctor::ungranted_requests(notifier).into_iter();
        let problems: Vec<String> = findings
            .map(|finding| {
                let fix = finding.fix.unwrap_or_default();
                format!("{file}:{line}: notifier {}: {fix}", finding.found)
            })
            .collect();
        problems
    };
    loaded.config.notifiers.iter().flat_map(of).collect()
}

fn describe(options: &Check, loaded: &LoadedConfig) -> String {
    let config = &loaded.config;
    let updates = &config.updates;
    let mut lines = vec![
        format!("{}: ok", options.config.display()),
        format!(
            "  at most {} at once of the quota of {}",
            count(updates.max_concurrent_operations, "update"),
            updates.account_quota
        ),
    ];
    lines.extend(config.lanes.iter().enumerate().map(|(index, lane)| {
        let number = index + 1;
        let mut line =
            format!("  lane {number} `{}`: at most {} at once", lane.name, lane.concurrency);
        if lane.start_when == StartWhen::Succeeded {
            line.push_str(", when all before it succeeded");
        }
        if !lane.soak.is_zero() {
            line.push_str(&format!(", {} after them", format_duration(lane.soak)));
        }
        if lane.held == WhenHeld::Pass {
            line.push_str(", not waiting for accounts that are held before it");
        }
        line
    }));
    lines.extend(
        loaded
            .policies
            .iter()
            .map(|policy| format!("  policy `{}`: sha256 {}", policy.name(), policy.digest())),
    );
    let routes = &config.routes;
    lines.extend(loaded.notifiers.iter().zip(&config.notifiers).map(|(notifier, config)| {
        let name = notifier.name();
        let on: Vec<String> = routes
            .iter()
            .filter(|route| route.notifiers.iter().any(|one| one == name))
            .map(|route| match route.once_per {
                OncePer::Account => route.when.to_string(),
                OncePer::Event => format!("each {}", route.when),
            })
            .collect();
        let what = if config.gate { "gate" } else { "notifier" };
        let on = if on.is_empty() { "nothing".to_owned() } else { on.join(", ") };
        format!("  {what} `{name}` on {on}: sha256 {}", notifier.digest())
    }));
    if let (true, Some(lane)) = (loaded.policies.is_empty(), config.lanes.first()) {
        let lane = &lane.name;
        lines.push(match config.queues.updates_url {
            Some(_) => {
                format!("  no policies: every outdated account is updated in lane `{lane}`")
            }
            // Notifications, plans and simulations need none.
            None => format!(
                "  no policies, and no `updates_url` in [queues]: no account is updated; `plan` and \
                 `simulate` take every outdated one in lane `{lane}`"
            ),
        });
    }
    lines.extend(loaded.warnings.iter().map(|warning| format!("  warning: {warning}")));
    lines.extend(config.notifiers.iter().flat_map(plain_secrets));
    lines.join("\n") + "\n"
}

/// Secrets in plain text in a notifier's settings. Their values are never shown.
fn plain_secrets(notifier: &NotifierConfig) -> Vec<String> {
    let plugin_config = &notifier.plugin_config;
    let warning = |(at, text): (String, &str)| {
        let system = webhook_with_plain_secret(text)?;
        Some(format!(
            "  warning: line {}: notifier `{}`, setting `{}`: this URL of {system} is a secret, which \
             reports and alerts show; write `$(name)` in its place, and name the secret in `secrets` \
             of the grant",
            plugin_config.settings.line(&at),
            plugin_config.name,
            at.trim_start_matches('/').replace('/', ".")
        ))
    };
    plugin_config.settings.texts().into_iter().filter_map(warning).collect()
}
