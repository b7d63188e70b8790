//! Keys of the host itself: where it runs, and how it updates accounts.

use super::declare::table;
use crate::config::forms::{Choice, Duration, Integer, QueueUrl, Seconds, Text, TopicArn};
use crate::config::{ApprovalMode, CauseAction};
use crate::decision_combiner::Fallback;
use crate::parameters::ParameterSource;
use crate::scheduler::{StartWhen, WhenHeld};

table! {
    /// Where Control Tower runs.
    AWS: Aws = ["aws"] {
        /// Control Tower's home Region. AWS Organizations is always reached in its own Region
        /// (`us-east-1`, in GovCloud `us-gov-west-1`).
        region: Text = Is("us-east-1");
    }
}

table! {
    /// The Service Catalog product behind enrolled accounts.
    ACCOUNT_FACTORY: AccountFactory = ["account_factory"] {
        /// Name of the product. Accounts are updated to its newest active provisioning artifact.
        product_name: Text = Is("AWS Control Tower Account Factory");
        /// Name of the portfolio. If the caller has several launch paths, the one with this name is
        /// used.
        portfolio_name: Text = Is("AWS Control Tower Account Factory Portfolio");
        /// Id of the launch path, for example `lpv2-abcdefghijklm`. Needed only if several paths
        /// have the portfolio's name.
        launch_path: Text = Nothing("the path of the portfolio");
        /// The parameters that updates pass to Account Factory. `rebuild`: all six, from the data
        /// of the account in AWS now; if one is unknown, the update is not started. `previous`:
        /// those of the last operation are kept, including the OU. See
        /// [account-factory.md](account-factory.md).
        parameters: Choice<ParameterSource> = Is("rebuild");
        /// Region of IAM Identity Center, where `rebuild` finds the names of users.
        identity_center_region: Text = Nothing("`aws.region`");
    }
}

table! {
    /// How accounts are updated.
    UPDATES: Updates = ["updates"] {
        /// Most updates at once, over all lanes. At most `account_quota`; lower leaves operations
        /// free for the console and for Terraform.
        max_concurrent_operations: Integer<usize, 1, 10> = Is("4");
        /// Control Tower's quota "Concurrent account operations" in your organization: 5 unless AWS
        /// raised it for you, at most 10. All users of the organization share it; nothing is
        /// started while it is used up.
        account_quota: Integer<usize, 1, 10> = Is("5");
        /// The number of operations of the quota that are reserved for people: nothing is started
        /// while only this many are free, whoever uses the others.
        reserve: Integer<usize, 0, 9> = Is("0");
        /// Most updates at once of accounts that are directly in the same OU. With Control Tower's
        /// auto-enrolment, operations in one OU can block each other.
        per_ou_limit: Integer<usize, 1, 10> = Nothing("no limit");
        /// With `required` nothing is started before an operator has approved the plan with
        /// `groundcrew approve`. An alert asks for it and names the plan. Another version, and
        /// other lanes or policies, make another plan.
        approval: Choice<ApprovalMode> = Is("none");
        /// What happens to an account that is in another OU than after its last successful
        /// operation: an update passes its present OU to Account Factory. The OU of an account
        /// before this ledger began is not known.
        on_moved: Choice<CauseAction> = Nothing("`update`; with `parameters = \"previous\"` `skip`");
        /// What happens to an account if the landing zone has another version than at the account's
        /// last successful operation.
        on_landing_zone: Choice<CauseAction> = Is("update");
        /// What happens to an account whose provisioned product is `TAINTED` because somebody
        /// else's update failed. After a failure of groundcrew's own update the account is always
        /// retried, up to `max_attempts`. With `update`, so is this one.
        on_tainted: Choice<CauseAction> = Is("update");
        /// The same for `ERROR`: the product is not usable.
        on_error: Choice<CauseAction> = Is("skip");
        /// Time between two polls of a running update, between two reads of the ledger, and before
        /// the next try if another operation was in the way. The event that an update has ended
        /// leads to a poll at once.
        poll_interval: Seconds<1, 3600> = Is("30s"), alias "wait_seconds";
        /// An update that runs longer leads to one alert. It keeps its slot for as long as it runs.
        operation_timeout: Duration = Is("60m");
        /// Failed updates of one account to one version before it is dead-lettered, with an alert.
        /// Contention and throttling count as no failed attempt. After an error that no retry
        /// fixes, the account is dead-lettered at once.
        max_attempts: Integer<u32, 1, 100> = Is("5"), alias "max_receive_count";
        /// What happens to an account if every policy abstains: it is updated in the first lane, or
        /// skipped.
        default: Choice<Fallback> = Is("proceed");
        /// How much work the queue holds at most: about as much as is done in this time. The rest
        /// stays in Service Catalog, where sweeps find it again. Sweeps cache tags and OUs for the
        /// same time; before an update they are read again.
        window: Duration = Is("24h");
        /// Longest time between two sweeps of the organization. Sweeps find the accounts whose
        /// event was lost.
        sweep_interval: Duration = Is("6h");
        /// Shortest time between two sweeps that events request.
        min_sweep_interval: Duration = Is("1m");
    }
}

table! {
    /// Lanes run in the order in which they are written: a lane starts when no account of the lanes
    /// before it is waiting or running. Without lanes in the config there is one lane, `all`, with
    /// `max_concurrent_operations` at once.
    LANES: Lanes = [["lanes"]] {
        /// Its name, which policies use.
        name: Text = Required;
        /// Most updates of this lane at once. At most `account_quota`; the limit of
        /// `max_concurrent_operations` applies as well.
        concurrency: Integer<usize, 1, 10> = Nothing("`max_concurrent_operations`");
        /// The condition on the lanes before it: none of their accounts is waiting or running
        /// (`drained`), and none is dead-lettered either (`succeeded`). With `succeeded`, failed
        /// canaries stop the lanes after them.
        start_when: Choice<StartWhen> = Is("drained");
        /// Whether it waits for accounts that policies hold in the lanes before it. With `wait` it
        /// starts once they are no longer held and have been updated: a maintenance window of the
        /// canaries keeps production back. With `pass` it starts without them.
        held: Choice<WhenHeld> = Is("wait");
        /// How long it waits after the last update of the lanes before it.
        soak: Duration = Nothing("no wait");
        /// This many failed updates in a row pause this lane, and so the lanes after it, with an
        /// alert. Running updates are tracked to their end. Contention and throttling count as no
        /// failure.
        failure_threshold: Integer<u32, 1, 1000> = Nothing("never");
    }
}

table! {
    /// The SQS queues. A simulation has its own.
    QUEUES: Queues = ["queues"] {
        /// The FIFO queue of accounts to update, a short window of work. Its redrive policy names
        /// its dead-letter queue.
        updates_url: QueueUrl = Nothing("no updates");
        /// The FIFO queue of notifications, one message for each event and notifier. `groundcrew
        /// run` receives and delivers them.
        notifications_url: QueueUrl = Nothing("notifiers are called at once");
        /// The standard queue to which EventBridge sends the events of Control Tower and Service
        /// Catalog.
        events_url: QueueUrl = Nothing("no events but those that `groundcrew handle` is given");
    }
}

table! {
    /// Where groundcrew stores what AWS does not remember: which notifications were delivered,
    /// which updates run, which have failed. A file is for one host, which locks it; a table is for
    /// several hosts, and for Lambda functions. A simulation has its own.
    LEDGER: Ledger = ["ledger"] {
        /// Path of the file, relative to the config file. It is created if it does not exist.
        file: Text = Nothing("`groundcrew.db` beside the config file, unless there is a table");
        /// Name of a DynamoDB table in the home Region, with the string keys `pk` (partition) and
        /// `sk` (sort).
        table: Text = Nothing("a file");
        /// The event of an enrolled account was lost if the account joined the organization within
        /// this time and has no entry. The sweep then sends its notifications (backfill). An
        /// account that joined before the ledger began is recorded without a notification.
        onboarding_lookback: Duration = Is("14d");
    }
}

table! {
    /// Where alerts are published. A simulation has its own topic.
    ALERTS: Alerts = ["alerts"] {
        /// The SNS topic of alerts.
        topic_arn: TopicArn = Required;
    }
}
