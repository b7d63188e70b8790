//! Keys of the host itself: where it runs, and how it brings accounts up to date.

use super::Unwritten::{Is, Nothing, Required};
use super::{Form, Key, Table};

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
            name: "held",
            form: Form::Choice(&["wait", "pass"]),
            default: Is("wait"),
            meaning: "What it makes of accounts that policies hold in the lanes before it. With \
                      `wait` it starts once they are no longer held and have been updated: a \
                      maintenance window of the canaries keeps production back. With `pass` it \
                      goes on without them.",
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
            meaning: "The FIFO queue of notifications, one message for each event and notifier. \
                      `groundcrew run` takes them out.",
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
