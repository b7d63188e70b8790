//! Keys of policies, notifiers and routes.

use super::declare::table;
use crate::config::forms::{
    Bytes, Choice, Choices, Duration, Flag, GrantUrl, Integer, KnownNames, Name, Names, Secret,
    Secrets, Sha256, Text, Texts, Url, UrlSecrets,
};
use crate::config::{InstanceReuse, OnFailure, PolicyMode};
use crate::decision::Action;
use crate::limits;
use crate::route::OncePer;

table! {
    /// Policies are asked in the order in which they are written. The first that says skip or hold
    /// wins; otherwise the first lane named wins; when all abstain, `updates.default` does.
    POLICIES: Policies = [["policies"]] {
        /// Its name in logs and reports; no two have the same.
        name: Text = Nothing("the plugin's name");
        /// A bundled plugin (`managed-tag`), or the path of a `.wasm` component or of a policy
        /// script in Rego (`.rego`), relative to the config file. See
        /// [writing policies](writing-policies.md).
        plugin: Text = Required;
        /// Digest that the component, or the script, must have.
        sha256: Sha256 = Nothing("any");
        /// With `monitor` the policy is asked and its answers are logged, but they don't count;
        /// `groundcrew plan` shows what they would have changed.
        mode: Choice<PolicyMode> = Is("enforce");
        /// What it is asked about.
        actions: Choices<Action> = Is("[\"update\"]");
        /// What happens to an account when the plugin fails on it (a trap, a limit, a nonsensical
        /// answer): it is skipped, the policy counts as abstaining, or it is asked twice more. If
        /// that fails too, an update is skipped, and onboarding counts as failed: it is tried again
        /// and raises an alert.
        on_failure: Choice<OnFailure> =
            Nothing("`skip` for `update` and `vend`, `retry` for `onboard`");
        /// Whether each question gets a fresh instance of the plugin, or one instance is asked
        /// again and again, until it fails or has answered 10,000 times. `kept` is for plugins
        /// whose `configure` is costly.
        instance: Choice<InstanceReuse> = Nothing("`kept` for a script, otherwise `fresh`");
    }
}

/// Declares a table of limits: the given ones, and after `timeout` those that every plugin has.
macro_rules! limits {
    ($(#[doc = $about:literal])+ $table:ident: $values:ident = $heading:tt {
        $(#[doc = $meaning:literal])+
        timeout: Duration = Is($timeout:literal);
        $($others:tt)*
    }) => {
        table! {
            $(#[doc = $about])+
            $table: $values = $heading {
                $(#[doc = $meaning])+
                timeout: Duration = Is($timeout);
                /// Linear memory, all memories together.
                memory: Bytes = Is("64MiB");
                /// Elements of all tables together.
                table_elements: Integer<u64, 0, 500_000> = Is("100000");
                /// What a call may write to the log, stdout and stderr together.
                log: Bytes = Is("64KiB");
                /// What a call may hand to the host, arguments and result together.
                result: Bytes = Is("1MiB");
                $($others)*
            }
        }

        impl $values {
            /// The limits that every plugin has.
            pub fn plugin_limits(&self) -> limits::Limits {
                limits::Limits {
                    timeout: self.timeout.value,
                    memory: self.memory.value,
                    table_elements: self.table_elements.value,
                    log: self.log.value,
                    result: self.result.value,
                }
            }
        }
    };
}

limits! {
    /// What one call of the plugin may use. A call that reaches a limit fails.
    LIMITS: Limits = ["policies.limits"] {
        /// Wall-clock time.
        timeout: Duration = Is("2s");
    }
}

table! {
    /// Settings of the plugin, which validates them. Those of bundled plugins are listed below.
    SETTINGS = ["policies.settings"];
}

table! {
    /// Notifiers tell other systems that an account was created or enrolled: each is told once for
    /// each account, whatever events say so and however often.
    NOTIFIERS: Notifiers = [["notifiers"]] {
        /// Its name in logs, reports and the ledger; no two have the same. With another name it
        /// tells every account anew.
        name: Name = Nothing("the plugin's name");
        /// A bundled plugin (`ams-case`, `baseline-check`, `billing`, `cmdb` or `webhook`), or the
        /// path of a `.wasm` component, relative to the config file.
        plugin: Text = Required;
        /// Digest that the component, or the script, must have.
        sha256: Sha256 = Nothing("any");
        /// The lifecycle events that it listens to when they have succeeded; others are told by
        /// `[[routes]]`. Control Tower says `UpdateManagedAccount` when a creation or enrolment is
        /// *retried*, but also for every account it updates: only accounts that joined within
        /// `onboarding_lookback` are told of by it. `CreateManagedAccount` stands for accounts as
        /// well that land by a baseline alone (`EnableBaseline`, by auto-enrolment).
        on: Names<AccountEvents> =
            Nothing("`[\"CreateManagedAccount\"]`, or nothing when one of `[[routes]]` names it");
        /// Whether it is asked before those that are no gates. What it answers can hold or stop
        /// what they are told, or give them findings (`annotations` in templates).
        gate: Flag = Is("false");
    }
}

table! {
    /// Which events are told to which notifiers, through which policies. For each notifier the
    /// first route counts that the event takes and that names it; what `on` says comes after all
    /// routes. An account that landed is told once to each notifier, whichever event says so,
    /// unless `once_per` says otherwise; any other event once for what it says. See
    /// [notifications.md](notifications.md).
    ROUTES: Routes = [["routes"]] {
        /// Names of lifecycle events. `AccountUpdateFailed` is groundcrew's own: the update engine
        /// has given up an account.
        events: Names<Events> = Nothing("those that match `pattern` or `pattern_json`");
        /// How the `events` ended: `SUCCEEDED` or `FAILED`; baseline events have other states.
        states: Texts = Is("[\"SUCCEEDED\"]");
        /// The same as `pattern` below, as the JSON text that a rule of EventBridge has. Only JSON
        /// has `null`.
        pattern_json: Text = Nothing("see `events`");
        /// How often the notifiers are told of an account that landed or was updated
        /// (`CreateManagedAccount`, `UpdateManagedAccount`, `EnableBaseline` of an account): once
        /// for each account, which is onboarding, or once for each event, to tell of every update
        /// and move. The same event again is never told again.
        once_per: Choice<OncePer> = Is("account");
        /// Names of the policies that are asked whether to tell. An event that is about no account
        /// is told unasked.
        policies: Texts = Nothing("all that are asked about `onboard`");
        /// Names of the notifiers that are told.
        notifiers: Texts = Required;
    }
}

table! {
    /// A pattern of events as EventBridge's rules have it, instead of `events`: each field has a
    /// list of values, or one of the operators prefix, suffix, equals-ignore-case, wildcard,
    /// anything-but, exists, numeric and cidr; `$or` has a list of patterns.
    ROUTE_PATTERN = ["routes.pattern"];
}

limits! {
    /// What telling one thing may use. A call that reaches a limit fails.
    NOTIFIER_LIMITS: NotifierLimits = ["notifiers.limits"] {
        /// Wall-clock time, the other system's included.
        timeout: Duration = Is("30s");
        /// HTTP requests, refused ones included.
        http_calls: Integer<u32, 0, 1000> = Is("16");
        /// Wall-clock time of one HTTP request, to the last byte of the answer.
        http_timeout: Duration = Is("10s");
        /// The body of one HTTP request.
        http_request: Bytes = Is("256KiB");
        /// The body of one HTTP answer.
        http_response: Bytes = Is("1MiB");
    }
}

table! {
    /// What the plugin may reach. Without grants: nothing.
    GRANTS: Grants = ["notifiers.grants"] {
        /// The service codes with which it may open AWS Support cases, for example
        /// `["service-ams-operations-service-request"]`.
        support_cases: Texts =
            Nothing("none; for `ams-case` the service code of AMS service requests");
    }
}

table! {
    /// URLs that the plugin may reach over HTTP, and what the host adds to its requests. The first
    /// that covers URL and method is used. Secrets never enter the plugin. See [http.md](http.md).
    HTTP_GRANTS: HttpGrants = [["notifiers.grants.http"]] {
        /// Scheme, host, port and the beginning of the path, by whole segments:
        /// `https://cmdb.example.com/api/` covers `/api` and `/api/v1`, not `/apis`. `$(name)` is
        /// where one of `secrets` goes.
        url: GrantUrl = Required;
        /// Secrets that take the place of `$(name)` in `url`, in path or query, each kept as those
        /// of `headers`. The plugin's URL has the same `$(name)` in the same place. The plugin
        /// never sees the secret.
        secrets: UrlSecrets = Nothing("none");
        /// The methods that may be used.
        methods: Names<Methods> = Required;
        /// Header fields that the host adds, each with a secret: of an environment variable, of a
        /// file (relative to the config file) or of AWS Secrets Manager, where `field` names the
        /// field of a secret in JSON. `prefix` comes before it:
        /// `{ env = "TOKEN", prefix = "Bearer " }`. The plugin can neither see nor replace them.
        headers: Secrets = Nothing("none");
        /// The key with which the host signs each request (HMAC-SHA256).
        sign: Secret = Nothing("requests are not signed");
        /// The header field that has the signature.
        sign_header: Text = Is("X-Groundcrew-Signature");
        /// Whether the host may have an address in a private network, on this link or of this
        /// machine. Metadata services are always refused.
        allow_private: Flag = Is("false");
        /// File of certificates (PEM) that are trusted instead, relative to the config file.
        ca_file: Text = Nothing("the system's certificates");
        /// The `http` URL of a proxy that reaches the host. It resolves the host's name, so that
        /// its rules decide which addresses are reached.
        proxy: Url = Nothing("none");
    }
}

table! {
    /// Settings of the plugin, which validates them. Those of bundled plugins are listed below.
    NOTIFIER_SETTINGS = ["notifiers.settings"];
}

/// The events that a route can name.
pub struct Events;

impl KnownNames for Events {
    const NAMES: &'static [&'static str] = &crate::event::EVENT_NAMES;
}

/// The events that `on` of a notifier can name.
pub struct AccountEvents;

impl KnownNames for AccountEvents {
    const NAMES: &'static [&'static str] = &["CreateManagedAccount", "UpdateManagedAccount"];
}

/// The methods that a grant can name.
pub struct Methods;

impl KnownNames for Methods {
    const NAMES: &'static [&'static str] = &crate::http::METHODS;
}
