//! The commands that messages suggest, written so that they can be pasted unchanged.

/// The config that a command uses by default, in its working directory.
pub const DEFAULT_CONFIG: &str = "groundcrew.toml";

/// How suggested commands name the config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandFormatter {
    /// The config's path, if a command would not find it by itself.
    config: Option<String>,
}

impl CommandFormatter {
    /// Commands for this config. The default config is not named.
    pub fn with_config(path: &str) -> Self {
        Self { config: (path != DEFAULT_CONFIG).then(|| path.to_owned()) }
    }

    /// A whole command, for example `groundcrew redrive --all --config my.toml` for `redrive
    /// --all`. Every part of it that comes from elsewhere must have gone through [`shell_quote`].
    pub fn command(&self, command: &str) -> String {
        match &self.config {
            None => format!("groundcrew {command}"),
            Some(path) => format!("groundcrew {command} --config {}", shell_quote(path)),
        }
    }
}

/// A text as one word of a POSIX shell.
pub fn shell_quote(text: &str) -> String {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "-_./:@%+=,".contains(character);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::by_default(CommandFormatter::default(), "groundcrew sweep")]
    #[case::the_default_one(CommandFormatter::with_config("groundcrew.toml"), "groundcrew sweep")]
    #[case::another(CommandFormatter::with_config("my.toml"), "groundcrew sweep --config my.toml")]
    #[case::elsewhere(
        CommandFormatter::with_config("/etc/groundcrew/groundcrew.toml"),
        "groundcrew sweep --config /etc/groundcrew/groundcrew.toml"
    )]
    #[case::with_spaces(
        CommandFormatter::with_config("my config.toml"),
        "groundcrew sweep --config 'my config.toml'"
    )]
    fn commands_name_the_config(#[case] suggestions: CommandFormatter, #[case] expected: &str) {
        assert_eq!(suggestions.command("sweep"), expected);
    }

    #[rstest]
    #[case("prod-eu_1", "prod-eu_1")]
    #[case("it's", r"'it'\''s'")]
    #[case("$(reboot)", "'$(reboot)'")]
    #[case("", "''")]
    fn a_word_is_one_word(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(shell_quote(text), expected);
    }
}
