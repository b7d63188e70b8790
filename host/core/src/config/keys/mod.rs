//! Every key of the configuration: its form, its default and its description.
//!
//! A key is named once, in a `table!` (see `declare`). The reader takes forms and defaults from
//! there, and `docs/configuration.md` and the JSON schema are generated from it, so they always
//! agree with the code. This file has the types; the keys of the host are in `host`, those of
//! plugins in `plugins`.

pub(super) mod declare;
mod host;
mod plugins;

use std::fmt;
use std::time::Duration;

pub use host::{ACCOUNT_FACTORY, ALERTS, AWS, LANES, LEDGER, QUEUES, UPDATES};
pub(super) use host::{AccountFactory, Alerts, Aws, Lanes, Ledger, Queues, Updates};
pub use plugins::{
    GRANTS, HTTP_GRANTS, LIMITS, NOTIFIER_LIMITS, NOTIFIER_SETTINGS, NOTIFIERS, POLICIES,
    ROUTE_PATTERN, ROUTES, SETTINGS,
};
pub(super) use plugins::{Grants, HttpGrants, Limits, NotifierLimits, Notifiers, Policies, Routes};

/// The form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A whole number within bounds.
    Integer {
        /// The smallest that is allowed.
        min: u32,
        /// The largest that is allowed.
        max: u32,
    },
    /// Text that is not empty.
    Text,
    /// A list of texts, none of them empty.
    Texts,
    /// A name: 1 to 40 letters, digits, `-` and `_`.
    Name,
    /// A span of time such as `"30s"`, `"60m"`, `"24h"` or `"14d"`.
    Duration,
    /// A span of time within bounds, or a whole number of seconds.
    Seconds {
        /// The shortest that is allowed, in seconds.
        min: u32,
        /// The longest that is allowed, in seconds.
        max: u32,
    },
    /// An amount of memory such as `"64MiB"`.
    Bytes,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A list of some of these texts.
    Choices(&'static [&'static str]),
    /// 64 hexadecimal digits.
    Sha256,
    /// An `https` URL of an SQS queue.
    QueueUrl,
    /// The ARN of an SNS topic.
    TopicArn,
    /// `true` or `false`.
    Flag,
    /// A URL without user, query and fragment.
    Url,
    /// The URL of a grant: the same with placeholders, and with a query that has nothing but
    /// placeholders.
    GrantUrl,
    /// The location of a secret: a table.
    Secret,
    /// Secrets by the names of their placeholders.
    UrlSecrets,
    /// Secrets by the names of their header fields.
    Secrets,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |texts: &[&str]| {
            texts.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(" or ")
        };
        match self {
            Self::Integer { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Text => f.write_str("a text"),
            Self::Texts => f.write_str("a list of texts"),
            Self::Name => f.write_str("a name of 1 to 40 letters, digits, `-` and `_`"),
            Self::Duration => f.write_str(
                "a duration such as \"30s\", \"60m\", \"24h\" or \"14d\", at most 366 days",
            ),
            Self::Seconds { min, max } => {
                let [min, max] = [min, max].map(|seconds| {
                    humantime::format_duration(Duration::from_secs(u64::from(*seconds)))
                });
                write!(f, "a duration such as \"30s\", from {min} to {max}, or as many seconds")
            }
            Self::Bytes => f.write_str("a size such as \"64MiB\""),
            Self::Choice(choices) => f.write_str(&quoted(choices)),
            Self::Choices(choices) => write!(f, "a list of {}", quoted(choices)),
            Self::Sha256 => f.write_str("a SHA-256 digest: 64 hexadecimal digits"),
            Self::QueueUrl => f.write_str("the https URL of an SQS queue"),
            Self::TopicArn => f.write_str("the ARN of an SNS topic"),
            Self::Flag => f.write_str("true or false"),
            Self::Url => f.write_str(
                "an https or http URL such as \"https://cmdb.example.com/api/\", without user, \
                 query and fragment",
            ),
            Self::GrantUrl => f.write_str(
                "an https or http URL such as \"https://cmdb.example.com/api/\", without user, \
                 query and fragment; a query only with placeholders of secrets, as `?sig=$(sig)`",
            ),
            Self::UrlSecrets => f.write_str(
                "placeholders of `url` and where their secrets are, such as \
                 `{ slack = { env = \"SLACK_PATH\" } }` for `$(slack)`",
            ),
            Self::Secret => f.write_str(
                "where a secret is: `{ env = \"VARIABLE\" }`, `{ file = \"PATH\" }` or \
                 `{ secret = \"NAME or ARN\" }`",
            ),
            Self::Secrets => f.write_str(
                "header fields and where their secrets are, such as \
                 `{ Authorization = { env = \"CMDB_TOKEN\" } }`",
            ),
        }
    }
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in the text.
    pub name: &'static str,
    /// Older names, which are accepted as well, with a warning.
    pub aliases: &'static [&'static str],
    /// The form of its value.
    pub form: Form,
    /// The value if it is not in the text.
    pub default: KeyDefault,
    /// What it does, in Markdown.
    pub meaning: &'static str,
}

impl Key {
    /// Its name, then its older names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// The value of a key that is not in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyDefault {
    /// This text, as if it were written.
    Is(&'static str),
    /// None: it must be written.
    Required,
    /// No value; the text says what that means.
    Nothing(&'static str),
}

/// One table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name, as in `[updates]`; with dots if it is within another table.
    pub name: &'static str,
    /// Whether it is an array of tables, such as `[[lanes]]`.
    pub many: bool,
    /// What it configures, in Markdown.
    pub meaning: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

impl Table {
    /// Its heading in the text: `[updates]` or `[[lanes]]`.
    pub fn heading(&self) -> String {
        match self.many {
            true => format!("[[{}]]", self.name),
            false => format!("[{}]", self.name),
        }
    }

    /// Its name within the table that contains it.
    pub fn own_name(&self) -> &'static str {
        self.name.rsplit_once('.').map_or(self.name, |(_, name)| name)
    }

    /// The tables that are within it.
    pub fn tables(&self) -> impl Iterator<Item = &'static Table> + use<> {
        let name = self.name;
        let parent = |table: &Table| table.name.rsplit_once('.').map(|(parent, _)| parent);
        TABLES.iter().filter(move |table| parent(table) == Some(name))
    }
}

/// Every table, in the order of the documentation.
pub const TABLES: &[Table] = &[
    AWS,
    ACCOUNT_FACTORY,
    UPDATES,
    LANES,
    QUEUES,
    LEDGER,
    ALERTS,
    POLICIES,
    LIMITS,
    SETTINGS,
    NOTIFIERS,
    NOTIFIER_LIMITS,
    GRANTS,
    HTTP_GRANTS,
    NOTIFIER_SETTINGS,
    ROUTES,
    ROUTE_PATTERN,
];
