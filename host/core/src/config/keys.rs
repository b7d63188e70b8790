//! Every key of the configuration: its form, its default and its meaning.
//!
//! The reader takes forms and defaults from here, and `docs/configuration.md` is rendered
//! from here, so that neither can say anything else than the code does.

use std::fmt;

/// The form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A whole number within bounds.
    Integer {
        /// The smallest that is allowed.
        min: i64,
        /// The largest that is allowed.
        max: i64,
    },
    /// Text that is not empty.
    Text,
    /// A list of texts, none of them empty.
    Texts,
    /// A name: 1 to 40 letters, digits, `-` and `_`.
    Name,
    /// A span of time such as `"30s"`, `"60m"`, `"24h"` or `"14d"`.
    Duration,
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
    /// Where a secret is: a table.
    Secret,
    /// Secrets by the names of the header fields that they go into.
    Secrets,
    /// A table that the plugin understands.
    Settings,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |texts: &[&str]| {
            texts.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(" or ")
        };
        match self {
            Self::Integer { min, max: i64::MAX } => write!(f, "a whole number from {min}"),
            Self::Integer { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Text => f.write_str("a text"),
            Self::Texts => f.write_str("a list of texts"),
            Self::Name => f.write_str("a name of 1 to 40 letters, digits, `-` and `_`"),
            Self::Duration => f.write_str(
                "a duration such as \"30s\", \"60m\", \"24h\" or \"14d\", at most 366 days",
            ),
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
            Self::Secret => f.write_str(
                "where a secret is: `{ env = \"VARIABLE\" }`, `{ file = \"PATH\" }` or \
                 `{ secret = \"NAME or ARN\" }`",
            ),
            Self::Secrets => f.write_str(
                "header fields and where their secrets are, such as \
                 `{ Authorization = { env = \"CMDB_TOKEN\" } }`",
            ),
            Self::Settings => f.write_str("a table"),
        }
    }
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What may be written.
    pub form: Form,
    /// What holds when it isn't written, as it would be written.
    pub default: Unwritten,
    /// What it does; Markdown.
    pub meaning: &'static str,
}

/// What holds when a key isn't written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritten {
    /// This text, read as if it were written.
    Is(&'static str),
    /// It must be written.
    Required,
    /// Nothing; the text says what that means.
    Nothing(&'static str),
}

/// One table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name, as in `[updates]`; dotted when it is within another.
    pub name: &'static str,
    /// Whether it is written once for each thing, as `[[lanes]]`.
    pub many: bool,
    /// What it is about; Markdown.
    pub meaning: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

impl Table {
    /// As it is written: `[updates]` or `[[lanes]]`.
    pub fn heading(&self) -> String {
        match self.many {
            true => format!("[[{}]]", self.name),
            false => format!("[{}]", self.name),
        }
    }
}

use Unwritten::{Is, Nothing, Required};

/// `[aws]`
pub const AWS: Table = Table {
    name: "aws",
    many: false,
    meaning: "Where Control Tower runs.",
    keys: &[Key {
        name: "region",
        form: Form::Text,
        default: Is("us-east-1"),
        meaning: "Control Tower's home Region. AWS Organizations is always reached in its own \
                  (`us-east-1`, in GovCloud `us-gov-west-1`).",
    }],
};

/// `[account_factory]`
pub const ACCOUNT_FACTORY: Table = Table {
    name: "account_factory",
    many: false,
    meaning: "The Service Catalog product that stands behind enrolled accounts.",
    keys: &[
        Key {
            name: "product_name",
            form: Form::Text,
            default: Is("AWS Control Tower Account Factory"),
            meaning: "Name of the product. Its newest active provisioning artifact is what \
                      accounts are updated to.",
        },
        Key {
            name: "portfolio_name",
            form: Form::Text,
            default: Is("AWS Control Tower Account Factory Portfolio"),
            meaning: "Name of the portfolio. When the caller has several launch paths, the one \
                      of this name is taken.",
        },
        Key {
            name: "launch_path",
            form: Form::Text,
            default: Nothing("the path of the portfolio"),
            meaning: "Id of the launch path, for example `lpv2-abcdefghijklm`. Needed only when \
                      several paths have the portfolio's name.",
        },
        Key {
            name: "parameters",
            form: Form::Choice(&["rebuild", "previous"]),
            default: Is("rebuild"),
            meaning: "What updates give as Account Factory's parameters. `rebuild`: all six, from \
                      what AWS says of the account now; when one can't be told the update is not \
                      started. `previous`: those of the last operation are kept, the OU among \
                      them. See [account-factory.md](account-factory.md).",
        },
        Key {
            name: "identity_center_region",
            form: Form::Text,
            default: Nothing("`aws.region`"),
            meaning: "Region of IAM Identity Center, where `rebuild` finds the names of users.",
        },
    ],
};

/// `[updates]`
pub const UPDATES: Table = Table {
    name: "updates",
    many: false,
    meaning: "How accounts are brought up to date.",
    keys: &[
        Key {
            name: "max_concurrent_operations",
            form: Form::Integer { min: 1, max: 10 },
            default: Is("4"),
            meaning: "Most updates at once, over all lanes. At most `account_quota`; lower \
                      leaves operations free for the console and for Terraform.",
        },
        Key {
            name: "account_quota",
            form: Form::Integer { min: 1, max: 10 },
            default: Is("5"),
            meaning: "Control Tower's quota \"Concurrent account operations\" in your \
                      organization: 5 unless AWS raised it for you, at most 10. Shared by \
                      everybody; nothing is started while it is used up.",
        },
        Key {
            name: "reserve",
            form: Form::Integer { min: 0, max: 9 },
            default: Is("0"),
            meaning: "So many operations of the quota are left free for people: nothing is \
                      started while no more than these are free, whoever uses the others.",
        },
        Key {
            name: "per_ou_limit",
            form: Form::Integer { min: 1, max: 10 },
            default: Nothing("no limit"),
            meaning: "Most updates at once of accounts that are directly in the same OU. With \
                      Control Tower's auto-enrolment, operations in one OU can get into each \
                      other's way.",
        },
        Key {
            name: "approval",
            form: Form::Choice(&["none", "required"]),
            default: Is("none"),
            meaning: "With `required` nothing is started before somebody has said \
                      `groundcrew approve` to the plan. An alert asks for it and names the plan. \
                      Another version, and other lanes or policies, are another plan.",
        },
        Key {
            name: "on_moved",
            form: Form::Choice(&["update", "skip"]),
            default: Nothing("`update`; with `parameters = \"previous\"` `skip`"),
            meaning: "What happens to an account that is in another OU than after its last \
                      successful operation: an update tells Account Factory its OU. What an \
                      account was in before this ledger began is not known.",
        },
        Key {
            name: "on_landing_zone",
            form: Form::Choice(&["update", "skip"]),
            default: Is("update"),
            meaning: "What happens to an account when the landing zone has another version than \
                      at its last successful operation.",
        },
        Key {
            name: "on_tainted",
            form: Form::Choice(&["update", "skip"]),
            default: Is("update"),
            meaning: "What happens to an account whose provisioned product is `TAINTED` because \
                      somebody else's update failed. What groundcrew's own updates have tainted \
                      is tried again, up to `max_receive_count`, and so is this.",
        },
        Key {
            name: "on_error",
            form: Form::Choice(&["update", "skip"]),
            default: Is("skip"),
            meaning: "The same for `ERROR`: the product is not usable.",
        },
        Key {
            name: "wait_seconds",
            form: Form::Integer { min: 1, max: 3600 },
            default: Is("30"),
            meaning: "Seconds between two looks at a running update, between two at what \
                      operators have changed, and before the next try when something else was in \
                      the way. The event that an update has ended \
                      leads to a look at once.",
        },
        Key {
            name: "operation_timeout",
            form: Form::Duration,
            default: Is("60m"),
            meaning: "An update that runs longer raises one alert. Its slot stays taken for as \
                      long as it runs.",
        },
        Key {
            name: "max_receive_count",
            form: Form::Integer { min: 1, max: 100 },
            default: Is("5"),
            meaning: "Failed updates of one account to one version before it goes to the \
                      dead-letter queue and an alert goes out. Waiting for others and \
                      throttling cost none; an error that no repetition mends costs all.",
        },
        Key {
            name: "default",
            form: Form::Choice(&["proceed", "skip"]),
            default: Is("proceed"),
            meaning: "What happens to an account when every policy abstains: it is updated in \
                      the first lane, or skipped.",
        },
        Key {
            name: "window",
            form: Form::Duration,
            default: Is("24h"),
            meaning: "How much work the queue holds at most: about what is done in this time. \
                      The rest stays in Service Catalog, where sweeps find it again. Sweeps \
                      remember tags and OUs for as long; before an update they are read again.",
        },
        Key {
            name: "sweep_interval",
            form: Form::Duration,
            default: Is("6h"),
            meaning: "Longest time between two sweeps of the organization. They find what lost \
                      events would have told.",
        },
        Key {
            name: "min_sweep_interval",
            form: Form::Duration,
            default: Is("1m"),
            meaning: "Shortest time between two sweeps that events ask for.",
        },
    ],
};

/// `[[lanes]]`
pub const LANES: Table = Table {
    name: "lanes",
    many: true,
    meaning: "Lanes run in the order in which they are written: one starts when nothing of \
              those before it is waiting or running. Without any there is one lane, `all`, \
              with `max_concurrent_operations` at once.",
    keys: &[
        Key {
            name: "name",
            form: Form::Text,
            default: Required,
            meaning: "Its name, by which policies name it.",
        },
        Key {
            name: "concurrency",
            form: Form::Integer { min: 1, max: 10 },
            default: Nothing("`max_concurrent_operations`"),
            meaning: "Most updates of this lane at once. At most `account_quota`; never more \
                      than `max_concurrent_operations` in effect.",
        },
        Key {
            name: "start_when",
            form: Form::Choice(&["drained", "succeeded"]),
            default: Is("drained"),
            meaning: "What it takes of the lanes before it: that nothing of them is waiting or \
                      running, or that no account of theirs was given up either. With \
                      `succeeded` failed canaries stop what comes after them.",
        },
        Key {
            name: "soak",
            form: Form::Duration,
            default: Nothing("no wait"),
            meaning: "How long after the last update of the lanes before it this lane starts.",
        },
        Key {
            name: "failure_threshold",
            form: Form::Integer { min: 1, max: 1000 },
            default: Nothing("never"),
            meaning: "So many failed updates in a row pause this lane, and so the lanes after \
                      it, with an alert. What runs is tracked to its end. Waiting for others and \
                      throttling count as no failure.",
        },
    ],
};

/// `[queues]`
pub const QUEUES: Table = Table {
    name: "queues",
    many: false,
    meaning: "The SQS queues. A simulation brings its own.",
    keys: &[
        Key {
            name: "updates_url",
            form: Form::QueueUrl,
            default: Nothing("no updates"),
            meaning: "The FIFO queue of accounts to update, a short window of work. Its \
                      dead-letter queue is taken from its redrive policy.",
        },
        Key {
            name: "notifications_url",
            form: Form::QueueUrl,
            default: Nothing("notifiers are called at once"),
            meaning: "The FIFO queue of notifications, one message for each event and notifier. `groundcrew run` takes them out.",
        },
        Key {
            name: "events_url",
            form: Form::QueueUrl,
            default: Nothing("no events but those that `groundcrew handle` is given"),
            meaning: "The standard queue that EventBridge fills with Control Tower's and \
                      Service Catalog's events.",
        },
    ],
};

/// `[ledger]`
pub const LEDGER: Table = Table {
    name: "ledger",
    many: false,
    meaning: "Where groundcrew keeps what AWS does not remember: which notifications were told, \
              which updates run, which have failed. A file is for one host and locked by it; a \
              table is for several, and for a Lambda. A simulation keeps its own.",
    keys: &[
        Key {
            name: "file",
            form: Form::Text,
            default: Nothing("`groundcrew.db` beside the config file, unless there is a table"),
            meaning: "Path of the file, relative to the config file. It is made when it isn't \
                      there.",
        },
        Key {
            name: "table",
            form: Form::Text,
            default: Nothing("a file"),
            meaning: "Name of a DynamoDB table in the home Region, with the string keys `pk` \
                      (partition) and `sk` (sort).",
        },
        Key {
            name: "onboarding_lookback",
            form: Form::Duration,
            default: Is("14d"),
            meaning: "An enrolled account that joined the organization within this time and has \
                      no entry has lost its event: the sweep makes up for it. An account that \
                      joined before the ledger began is recorded and not told.",
        },
    ],
};

/// `[alerts]`
pub const ALERTS: Table = Table {
    name: "alerts",
    many: false,
    meaning: "Where people are told. A simulation brings its own topic.",
    keys: &[Key {
        name: "topic_arn",
        form: Form::TopicArn,
        default: Required,
        meaning: "The SNS topic of alerts.",
    }],
};

/// `[[policies]]`
pub const POLICIES: Table = Table {
    name: "policies",
    many: true,
    meaning: "Policies are asked in the order in which they are written. The first that says \
              skip or hold wins; otherwise the first lane named wins; when all abstain, \
              `updates.default` does.",
    keys: &[
        Key {
            name: "name",
            form: Form::Text,
            default: Nothing("the plugin's name"),
            meaning: "Its name in logs and reports; no two have the same.",
        },
        Key {
            name: "plugin",
            form: Form::Text,
            default: Required,
            meaning: "A bundled plugin (`managed-tag`), or the path of a `.wasm` component or of \
                      a policy script in Rego (`.rego`), relative to the config file. See \
                      [writing policies](writing-policies.md).",
        },
        SHA256,
        Key {
            name: "mode",
            form: Form::Choice(&["enforce", "monitor"]),
            default: Is("enforce"),
            meaning: "With `monitor` the policy is asked and its answers are logged, but they \
                      don't count; `groundcrew plan` shows what they would have changed.",
        },
        Key {
            name: "actions",
            form: Form::Choices(&["onboard", "update", "vend"]),
            default: Is("[\"update\"]"),
            meaning: "What it is asked about.",
        },
        Key {
            name: "on_failure",
            form: Form::Choice(&["skip", "proceed", "retry"]),
            default: Nothing("`skip` for `update` and `vend`, `retry` for `onboard`"),
            meaning: "What happens to an account when the plugin fails on it (a trap, a limit, \
                      a nonsensical answer): it is skipped, the policy counts as abstaining, \
                      or it is asked twice more. If that fails too, an update is skipped, and \
                      onboarding counts as failed: it is tried again and raises an alert.",
        },
        Key {
            name: "instance",
            form: Form::Choice(&["fresh", "kept"]),
            default: Nothing("`kept` for a script, otherwise `fresh`"),
            meaning: "Whether each question gets a fresh instance of the plugin, or one \
                      instance is asked again and again, until it fails or has answered \
                      10,000 times. `kept` is for plugins whose `configure` is costly.",
        },
    ],
};

const SHA256: Key = Key {
    name: "sha256",
    form: Form::Sha256,
    default: Nothing("any"),
    meaning: "Digest that the component, or the script, must have.",
};

/// The limits of every plugin, but for the time.
const MEMORY: Key = Key {
    name: "memory",
    form: Form::Bytes,
    default: Is("64MiB"),
    meaning: "Linear memory, all memories together.",
};
const TABLE_ELEMENTS: Key = Key {
    name: "table_elements",
    form: Form::Integer { min: 0, max: 500_000 },
    default: Is("100000"),
    meaning: "Elements of all tables together.",
};
const LOG: Key = Key {
    name: "log",
    form: Form::Bytes,
    default: Is("64KiB"),
    meaning: "What a call may write to the log, stdout and stderr together.",
};
const RESULT: Key = Key {
    name: "result",
    form: Form::Bytes,
    default: Is("1MiB"),
    meaning: "What a call may hand to the host, arguments and result together.",
};

/// `[policies.limits]`
pub const LIMITS: Table = Table {
    name: "policies.limits",
    many: false,
    meaning: "What one call of the plugin may use. A call that reaches a limit fails.",
    keys: &[
        Key {
            name: "timeout",
            form: Form::Duration,
            default: Is("2s"),
            meaning: "Wall-clock time.",
        },
        MEMORY,
        TABLE_ELEMENTS,
        LOG,
        RESULT,
    ],
};

/// `[policies.settings]`
pub const SETTINGS: Table = Table {
    name: "policies.settings",
    many: false,
    meaning: "Settings of the plugin, which validates them. Those of bundled plugins are listed \
              below.",
    keys: &[],
};

/// `[[notifiers]]`
pub const NOTIFIERS: Table = Table {
    name: "notifiers",
    many: true,
    meaning: "Notifiers tell other systems that an account was created or enrolled: each is told \
              once for each account, whatever events say so and however often.",
    keys: &[
        Key {
            name: "name",
            form: Form::Name,
            default: Nothing("the plugin's name"),
            meaning: "Its name in logs, reports and the ledger; no two have the same. With \
                      another name it tells every account anew.",
        },
        Key {
            name: "plugin",
            form: Form::Text,
            default: Required,
            meaning: "A bundled plugin (`ams-case`, `baseline-check`, `billing`, `cmdb` or \
                      `webhook`), or the path of a `.wasm` component, relative to the config file.",
        },
        SHA256,
        Key {
            name: "on",
            form: Form::Choices(&["CreateManagedAccount", "UpdateManagedAccount"]),
            default: Nothing(
                "`[\"CreateManagedAccount\"]`, or nothing when one of `[[routes]]` names it",
            ),
            meaning: "The lifecycle events that it listens to when they have succeeded; others \
                      are told by `[[routes]]`. Control Tower says `UpdateManagedAccount` when a creation or enrolment is *retried*, but also \
                      for every account it updates: only accounts that joined within \
                      `onboarding_lookback` are told of by it.",
        },
        Key {
            name: "gate",
            form: Form::Flag,
            default: Is("false"),
            meaning: "Whether it is asked before those that are no gates. What it answers can \
                      hold or stop what they are told, or give them findings \
                      (`annotations` in templates).",
        },
    ],
};

/// `[[routes]]`
pub const ROUTES: Table = Table {
    name: "routes",
    many: true,
    meaning: "Which events are told to which notifiers, through which policies. For each notifier \
              the first route counts that the event takes and that names it; what `on` says comes \
              after all routes. An account that landed is told once to each notifier, whichever \
              event says so; any other event once for what it says. See \
              [notifications.md](notifications.md).",
    keys: &[
        Key {
            name: "events",
            form: Form::Choices(&crate::event::NAMES),
            default: Nothing("those that match `pattern`"),
            meaning: "Names of lifecycle events. `AccountUpdateFailed` is groundcrew's own: the \
                      update engine has given up an account.",
        },
        Key {
            name: "states",
            form: Form::Texts,
            default: Is("[\"SUCCEEDED\"]"),
            meaning: "How the `events` ended: `SUCCEEDED` or `FAILED`; baseline events have other \
                      states.",
        },
        Key {
            name: "policies",
            form: Form::Texts,
            default: Nothing("all that are asked about `onboard`"),
            meaning: "Names of the policies that are asked whether to tell. An event that is about \
                      no account is told unasked.",
        },
        Key {
            name: "notifiers",
            form: Form::Texts,
            default: Required,
            meaning: "Names of the notifiers that are told.",
        },
    ],
};

/// `[routes.pattern]`
pub const ROUTE_PATTERN: Table = Table {
    name: "routes.pattern",
    many: false,
    meaning: "A pattern of events as EventBridge's rules have it, instead of `events`: each field \
              has a list of values, or one of the operators prefix, suffix, equals-ignore-case, \
              wildcard, anything-but, exists and numeric; `$or` has a list of patterns.",
    keys: &[],
};

/// `[notifiers.limits]`
pub const NOTIFIER_LIMITS: Table = Table {
    name: "notifiers.limits",
    many: false,
    meaning: "What telling one thing may use. A call that reaches a limit fails.",
    keys: &[
        Key {
            name: "timeout",
            form: Form::Duration,
            default: Is("30s"),
            meaning: "Wall-clock time, the other system's included.",
        },
        MEMORY,
        TABLE_ELEMENTS,
        LOG,
        RESULT,
        Key {
            name: "http_calls",
            form: Form::Integer { min: 0, max: 1000 },
            default: Is("16"),
            meaning: "HTTP requests, refused ones included.",
        },
        Key {
            name: "http_timeout",
            form: Form::Duration,
            default: Is("10s"),
            meaning: "Wall-clock time of one HTTP request, to the last byte of the answer.",
        },
        Key {
            name: "http_request",
            form: Form::Bytes,
            default: Is("256KiB"),
            meaning: "The body of one HTTP request.",
        },
        Key {
            name: "http_response",
            form: Form::Bytes,
            default: Is("1MiB"),
            meaning: "The body of one HTTP answer.",
        },
    ],
};

/// `[notifiers.grants]`
pub const GRANTS: Table = Table {
    name: "notifiers.grants",
    many: false,
    meaning: "What the plugin may reach. Without grants: nothing.",
    keys: &[Key {
        name: "support_cases",
        form: Form::Texts,
        default: Nothing("none; for `ams-case` the service code of AMS service requests"),
        meaning: "The service codes with which it may open AWS Support cases, for example \
                  `[\"service-ams-operations-service-request\"]`.",
    }],
};

/// `[[notifiers.grants.http]]`
pub const HTTP_GRANTS: Table = Table {
    name: "notifiers.grants.http",
    many: true,
    meaning: "URLs that the plugin may reach over HTTP, and what the host adds to its requests. \
              The first that covers URL and method is used. Secrets never enter the plugin. See \
              [http.md](http.md).",
    keys: &[
        Key {
            name: "url",
            form: Form::Url,
            default: Required,
            meaning: "Scheme, host, port and the beginning of the path, by whole segments: \
                      `https://cmdb.example.com/api/` covers `/api` and `/api/v1`, not `/apis`.",
        },
        Key {
            name: "methods",
            form: Form::Choices(&crate::http::METHODS),
            default: Required,
            meaning: "The methods that may be used.",
        },
        Key {
            name: "headers",
            form: Form::Secrets,
            default: Nothing("none"),
            meaning: "Header fields that the host adds, each with a secret: of an environment \
                      variable, of a file (relative to the config file) or of AWS Secrets \
                      Manager, where `field` names the field of a secret in JSON. `prefix` comes \
                      before it: `{ env = \"TOKEN\", prefix = \"Bearer \" }`. The plugin can \
                      neither see nor replace them.",
        },
        Key {
            name: "sign",
            form: Form::Secret,
            default: Nothing("requests are not signed"),
            meaning: "The key with which the host signs each request (HMAC-SHA256).",
        },
        Key {
            name: "sign_header",
            form: Form::Text,
            default: Is("X-Groundcrew-Signature"),
            meaning: "The header field that has the signature.",
        },
        Key {
            name: "allow_private",
            form: Form::Flag,
            default: Is("false"),
            meaning: "Whether the host may have an address in a private network, on this link or \
                      of this machine. Metadata services are always refused.",
        },
        Key {
            name: "ca_file",
            form: Form::Text,
            default: Nothing("the system's certificates"),
            meaning: "File of certificates (PEM) that are trusted instead, relative to the config \
                      file.",
        },
        Key {
            name: "proxy",
            form: Form::Url,
            default: Nothing("none"),
            meaning: "The `http` URL of a proxy that reaches the host. It resolves the host's \
                      name, so that its rules decide which addresses are reached.",
        },
    ],
};

/// `[notifiers.settings]`
pub const NOTIFIER_SETTINGS: Table = Table {
    name: "notifiers.settings",
    many: false,
    meaning: "Settings of the plugin, which validates them. Those of bundled plugins are listed \
              below.",
    keys: &[],
};

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
