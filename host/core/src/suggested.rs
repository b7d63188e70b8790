//! The commands that texts suggest, written so that they can be pasted as they stand.

/// The config that a command takes when none is named, in the directory that it runs in.
pub const DEFAULT_CONFIG: &str = "groundcrew.toml";

/// How the commands that a text suggests name the config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suggested {
    /// The config's path, where a command would not find it by itself.
    config: Option<String>,
}

impl Suggested {
    /// Commands for whoever runs them with this config. The default one needs no naming.
    pub fn with_config(path: &str) -> Self {
        Self { config: (path != DEFAULT_CONFIG).then(|| path.to_owned()) }
    }

    /// A whole command, for example `groundcrew redrive --all --config my.toml` of
    /// `redrive --all`. What in it comes from elsewhere must have gone through [`word`].
    pub fn command(&self, command: &str) -> String {
        match &self.config {
            None => format!("groundcrew {command}"),
            Some(path) => format!("groundcrew {command} --config {}", word(path)),
        }
    }
}

/// A text as one word of a POSIX shell.
pub fn word(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:@%+=,".contains(letter);
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
    #[case::by_default(Suggested::default(), "groundcrew sweep")]
    #[case::the_default_one(Suggested::with_config("groundcrew.toml"), "groundcrew sweep")]
    #[case::another(Suggested::with_config("my.toml"), "groundcrew sweep --config my.toml")]
    #[case::elsewhere(
        Suggested::with_config("/etc/groundcrew/groundcrew.toml"),
        "groundcrew sweep --config /etc/groundcrew/groundcrew.toml"
    )]
    #[case::with_spaces(
        Suggested::with_config("my config.toml"),
        "groundcrew sweep --config 'my config.toml'"
    )]
    fn commands_name_the_config(#[case] suggested: Suggested, #[case] expected: &str) {
        assert_eq!(suggested.command("sweep"), expected);
    }

    #[rstest]
    #[case("prod-eu_1", "prod-eu_1")]
    #[case("it's", r"'it'\''s'")]
    #[case("$(reboot)", "'$(reboot)'")]
    #[case("", "''")]
    fn a_word_is_one_word(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(word(text), expected);
    }
}
