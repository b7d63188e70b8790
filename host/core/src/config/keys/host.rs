//! Keys of the host itself: where it runs, and how it updates accounts.

use super::declare::table;
use crate::config::forms::{Choice, Duration, Integer, QueueUrl, Seconds, Text, TopicArn};
use crate::config::{ApprovalMode, CauseAction};
use crate::parameters::ParameterSource;
use crate::pipeline::Fallback;
use crate::scheduler::{StartWhen, WhenHeld};

table! {
    /// Where Control Tower runs.
    AWS: Aws = ["aws"] {
        /// Control Tower's home Region. AWS Organizations is always reached in its own
        /// (`us-east-1`, in GovCloud `us-gov-west-1`).
        region: Text = Is("us-east-1");
    }
}

table! {
    /// The Service Catalog product that stands behind enrolled accounts.
    ACCOUNT_FACTORY: AccountFactory = ["account_factory"] {
        /// Name of the product. Its newest active provisioning artifact is what accounts are
        /// updated to.
        product_name: Text = Is("AWS Control Tower Account Factory");
        /// Name of the portfolio. When the caller has several launch paths, the one of this name is
        /// taken.
        portfolio_name: Text = Is("AWS Control Tower Account Factory Portfolio");
        /// Id of the launch path, for example `lpv2-abcdefghijklm`. Needed only when several paths
        /// have the portfolio's name.
        launch_path: Text = Nothing("the path of the portfolio");
        /// What updates give as Account Factory's parameters. `rebuild`: all six, from what AWS
        /// says of the account now; when one can't be told the update is not started. `previous`:
        /// those of the last operation are kept, the OU among them. See
        /// [account-factory.md](account-factory.md).
        parameters: Choice<ParameterSource> = Is("rebuild");
        /// Region of IAM Identity Center, where `rebuild` finds the names of users.
        identity_center_region: Text = Nothing("`aws.region`");
    }
}

table! {
    /// How accounts are brought up to date.
    UPDATES: Updates = ["updates"] {
        /// Most updates at once, over all lanes. At most `account_quota`; lower leaves operations
        /// free for the console and for Terraform.
        max_concurrent_operations: Integer<usize, 1, 10> = Is("4");
        /// Control Tower's quota "Concurrent account operations" in your organization: 5 unless AWS
        /// raised it for you, at most 10. Shared by everybody; nothing is started while it is used
        /// up.
        account_quota: Integer<usize, 1, 10> = Is("5");
        /// So many operations of the quota are left free for people: nothing is started while no
        /// more than these are free, whoever uses the others.
        reserve: Integer<usize, 0, 9> = Is("0");
        /// Most updates at once of accounts that are directly in the same OU. With Control Tower's
        /// auto-enrolment, operations in one OU can get into each other's way.
        per_ou_limit: Integer<usize, 1, 10> = Nothing("no limit");
        /// With `required` nothing is started before somebody has said `groundcrew approve` to the
        /// plan. An alert asks for it and names the plan. Another version, and other lanes or
        /// policies, are another plan.
        approval: Choice<ApprovalMode> = Is("none");
        /// What happens to an account that is in another OU than after its last successful
        /// operation: an update tells Account Factory its OU. What an account was in before this
        /// ledger began is not known.
        on_moved: Choice<CauseAction> = Nothing("`update`; with `parameters = \"previous\"` `skip`");
        /// What happens to an account when the landing zone has another version than at its last
        /// successful operation.
        on_landing_zone: Choice<CauseAction> = Is("update");
        /// What happens to an account whose provisioned product is `TAINTED` because somebody
        /// else's update failed. What groundcrew's own updates have tainted is tried again, up to
        /// `max_attempts`, and so is this.
        on_tainted: Choice<CauseAction> = Is("update");
        /// The same for `ERROR`: the product is not usable.
        on_error: Choice<CauseAction> = Is("skip");
        /// Time between two polls of a running update, between two of what operators have changed,
        /// and before the next try when something else was in the way. The event that an update
        /// has ended leads to a poll at once.
        poll_interval: Seconds<1, 3600> = Is("30s"), alias "wait_seconds";
        /// An update that runs longer raises one alert. Its slot stays taken for as long as it
        /// runs.
        operation_timeout: Duration = Is("60m");
        /// Failed updates of one account to one version before it goes to the dead-letter queue and
        /// an alert goes out. Waiting for others and throttling cost none; an error that no
        /// repetition mends costs all.
        max_attempts: Integer<u32, 1, 100> = Is("5"), alias "max_receive_count";
        /// What happens to an account when every policy abstains: it is updated in the first lane,
        /// or skipped.
        default: Choice<Fallback> = Is("proceed");
        /// How much work the queue holds at most: about what is done in this time. The rest stays
        /// in Service Catalog, where sweeps find it again. Sweeps remember tags and OUs for as
        /// long; before an update they are read again.
        window: Duration = Is("24h");
        /// Longest time between two sweeps of the organization. They find what lost events would
        /// have told.
        sweep_interval: Duration = Is("6h");
        /// Shortest time between two sweeps that events ask for.
        min_sweep_interval: Duration = Is("1m");
    }
}

table! {
    /// Lanes run in the order in which they are written: one starts when nothing of those before it
    /// is waiting or running. Without any there is one lane, `all`, with
    /// `max_concurrent_operations` at once.
    LANES: Lanes = [["lanes"]] {
        /// Its name, by which policies name it.
        name: Text = Required;
        /// Most updates of this lane at once. At most `account_quota`; never more than
        /// `max_concurrent_operations` in effect.
        concurrency: Integer<usize, 1, 10> = Nothing("`max_concurrent_operations`");
        /// What it takes of the lanes before it: that nothing of them is waiting or running, or
        /// that no account of theirs was given up either. With `succeeded` failed canaries stop
        /// what comes after them.
        start_when: Choice<StartWhen> = Is("drained");
        /// What it makes of accounts that policies hold in the lanes before it. With `wait` it
        /// starts once they are no longer held and have been updated: a maintenance window of the
        /// canaries keeps production back. With `pass` it goes on without them.
        held: Choice<WhenHeld> = Is("wait");
        /// How long after the last update of the lanes before it this lane starts.
        soak: Duration = Nothing("no wait");
        /// So many failed updates in a row pause this lane, and so the lanes after it, with an
        /// alert. What runs is tracked to its end. Waiting for others and throttling count as no
        /// failure.
        failure_threshold: Integer<u32, 1, 1000> = Nothing("never");
    }
}

table! {
    /// The SQS queues. A simulation brings its own.
    QUEUES: Queues = ["queues"] {
        /// The FIFO queue of accounts to update, a short window of work. Its dead-letter queue is
        /// taken from its redrive policy.
        updates_url: QueueUrl = Nothing("no updates");
        /// The FIFO queue of notifications, one message for each event and notifier. `groundcrew
        /// run` takes them out.
        notifications_url: QueueUrl = Nothing("notifiers are called at once");
        /// The standard queue that EventBridge fills with Control Tower's and Service Catalog's
        /// events.
        events_url: QueueUrl = Nothing("no events but those that `groundcrew handle` is given");
    }
}

table! {
    /// Where groundcrew keeps what AWS does not remember: which notifications were told, which
    /// updates run, which have failed. A file is for one host and locked by it; a table is for
    /// several, and for a Lambda. A simulation keeps its own.
    LEDGER: Ledger = ["ledger"] {
        /// Path of the file, relative to the config file. It is made when it isn't there.
        file: Text = Nothing("`groundcrew.db` beside the config file, unless there is a table");
        /// Name of a DynamoDB table in the home Region, with the string keys `pk` (partition) and
        /// `sk` (sort).
        table: Text = Nothing("a file");
        /// An enrolled account that joined the organization within this time and has no entry has
        /// lost its event: the sweep makes up for it. An account that joined before the ledger
        /// began is recorded and not told.
        onboarding_lookback: Duration = Is("14d");
    }
}

table! {
    /// Where people are told. A simulation brings its own topic.
    ALERTS: Alerts = ["alerts"] {
        /// The SNS topic of alerts.
        topic_arn: TopicArn = Required;
    }
}
