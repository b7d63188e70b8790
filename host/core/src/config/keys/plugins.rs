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
    /// Policies are evaluated in the order in which they are written. The first skip or hold wins;
    /// otherwise the first named lane wins; if all abstain, `updates.default` applies.
    POLICIES: Policies = [["policies"]] {
        /// Its name in logs and reports. Names are unique.
        name: Text = Nothing("the plugin's name");
        /// A bundled plugin (`managed-tag`), or the path of a `.wasm` component or of a policy
        /// script in Rego (`.rego`), relative to the config file. See
        /// [writing policies](writing-policies.md).
        plugin: Text = Required;
        /// Digest that the component, or the script, must have.
        sha256: Sha256 = Nothing("any");
        /// With `monitor` the policy is evaluated and its decisions are logged, but ignored;
        /// `groundcrew plan` shows what they would have changed.
        mode: Choice<PolicyMode> = Is("enforce");
        /// The actions for which it is evaluated.
        actions: Choices<Action> = Is("[\"update\"]");
        /// What happens to an account if the plugin fails on it (a trap, a limit, an invalid
        /// decision): it is skipped, the policy counts as abstaining, or the policy is called up to
        /// two more times. If those calls fail too, an update is skipped, and onboarding counts as
        /// failed: it is retried and leads to an alert.
        on_failure: Choice<OnFailure> =
            Nothing("`skip` for `update` and `vend`, `retry` for `onboard`");
        /// Whether each call gets a new instance of the plugin, or one instance is called again and
        /// again, until it fails or after 10,000 calls. `kept` is for plugins whose `configure` is
        /// costly.
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
    /// Limits of one call of the plugin. A call that reaches a limit fails.
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
    /// Notifiers notify other systems that an account was created or enrolled: each notifier is
    /// notified once for each account, whichever events report it and however often.
    NOTIFIERS: Notifiers = [["notifiers"]] {
        /// Its name in logs, reports and the ledger. Names are unique. After a change of its name
        /// it is notified of every account again.
        name: Name = Nothing("the plugin's name");
        /// A bundled plugin (`ams-case`, `baseline-check`, `billing`, `cmdb` or `webhook`), or the
        /// path of a `.wasm` component, relative to the config file.
        plugin: Text = Required;
        /// Digest that the component, or the script, must have.
        sha256: Sha256 = Nothing("any");
        /// The lifecycle events of which it is notified if they have succeeded; for other events
        /// use `[[routes]]`. Control Tower sends `UpdateManagedAccount` when a creation or
        /// enrolment is *retried*, but also for every account that it updates: it leads to a
        /// notification only for accounts that joined within `onboarding_lookback`.
        /// `CreateManagedAccount` includes accounts that are enrolled by a baseline alone
        /// (`EnableBaseline`, by auto-enrolment).
        on: Names<AccountEvents> =
            Nothing("`[\"CreateManagedAccount\"]`, or nothing when one of `[[routes]]` names it");
        /// Whether it is called before the notifiers that are not gates. Its result can hold or
        /// stop their notifications, or annotate them (`annotations` in templates).
        gate: Flag = Is("false");
    }
}

table! {
    /// Which events lead to notifications by which notifiers, and which policies are evaluated. For
    /// each notifier the first matching route that names it counts; `on` comes after all routes.
    /// Each notifier is notified of an enrolled account once, by whichever event, unless `once_per`
    /// is set; of any other event once for the same content. See
    /// [notifications.md](notifications.md).
    ROUTES: Routes = [["routes"]] {
        /// Names of lifecycle events. `AccountUpdateFailed` is groundcrew's own: the update engine
        /// has dead-lettered an account.
        events: Names<Events> = Nothing("those that match `pattern` or `pattern_json`");
        /// The results of the `events`: `SUCCEEDED` or `FAILED`; baseline events have other states.
        states: Texts = Is("[\"SUCCEEDED\"]");
        /// The same as `pattern` below, as the JSON text of a rule of EventBridge. Only JSON has
        /// `null`.
        pattern_json: Text = Nothing("see `events`");
        /// How often the notifiers are notified of an account that was enrolled or updated
        /// (`CreateManagedAccount`, `UpdateManagedAccount`, `EnableBaseline` of an account): once
        /// for each account, which is onboarding, or once for each event, to notify of every update
        /// and move. A repeat of the same event never leads to another notification.
        once_per: Choice<OncePer> = Is("account");
        /// Names of the policies that are evaluated. An event that is about no account leads to
        /// notifications without policies.
        policies: Texts = Nothing("all that are asked about `onboard`");
        /// Names of the notifiers that are notified.
        notifiers: Texts = Required;
    }
}

table! {
    /// A pattern of events in the form of EventBridge's rules, instead of `events`: each field has
    /// a list of values, or one of the operators prefix, suffix, equals-ignore-case, wildcard,
    /// anything-but, exists, numeric and cidr; `$or` has a list of patterns.
    ROUTE_PATTERN = ["routes.pattern"];
}

limits! {
    /// Limits of one delivery. A delivery that reaches a limit fails.
    NOTIFIER_LIMITS: NotifierLimits = ["notifiers.limits"] {
        /// Wall-clock time, including the other system's.
        timeout: Duration = Is("30s");
        /// HTTP requests, refused ones included.
        http_calls: Integer<u32, 0, 1000> = Is("16");
        /// Wall-clock time of one HTTP request, to the last byte of the response.
        http_timeout: Duration = Is("10s");
        /// The body of one HTTP request.
        http_request: Bytes = Is("256KiB");
        /// The body of one HTTP response.
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
    /// grant that covers URL and method is used. Secrets never enter the plugin. See
    /// [http.md](http.md).
    HTTP_GRANTS: HttpGrants = [["notifiers.grants.http"]] {
        /// Scheme, host, port and the beginning of the path, by whole segments:
        /// `https://cmdb.example.com/api/` covers `/api` and `/api/v1`, not `/apis`. `$(name)` is
        /// the place of one of `secrets`.
        url: GrantUrl = Required;
        /// Secrets that replace `$(name)` in `url`, in path or query, each stored like those of
        /// `headers`. The plugin's URL has the same `$(name)` in the same place. The plugin never
        /// sees the secret.
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
        /// Whether the host of the URL may have an address in a private network, on this link or of
        /// this machine. Metadata services are always refused.
        allow_private: Flag = Is("false");
        /// File of certificates (PEM) that are trusted instead, relative to the config file.
        ca_file: Text = Nothing("the system's certificates");
        /// The `http` URL of a proxy through which the host of the URL is reached. The proxy
        /// resolves the name, so its rules decide which addresses are reached.
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
