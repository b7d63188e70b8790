//! Keys of policies and notifiers, and of the routes that lead to them.

use super::Unwritten::{Is, Nothing, Required};
use super::{Form, Key, Table};

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
                      are told by `[[routes]]`. Control Tower says `UpdateManagedAccount` when a \
                      creation or enrolment is *retried*, but also for every account it updates: \
                      only accounts that joined within `onboarding_lookback` are told of by it. \
                      `CreateManagedAccount` stands for accounts as well that land by a baseline \
                      alone (`EnableBaseline`, by auto-enrolment).",
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
              event says so, unless `once_per` says otherwise; any other event once for what it \
              says. See [notifications.md](notifications.md).",
    keys: &[
        Key {
            name: "events",
            form: Form::Choices(&crate::event::NAMES),
            default: Nothing("those that match `pattern` or `pattern_json`"),
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
            name: "pattern_json",
            form: Form::Text,
            default: Nothing("see `events`"),
            meaning: "The same as `pattern` below, as the JSON text that a rule of EventBridge has. \
                      Only JSON has `null`.",
        },
        Key {
            name: "once_per",
            form: Form::Choice(&crate::route::OncePer::NAMES),
            default: Is("account"),
            meaning: "How often the notifiers are told of an account that landed or was updated \
                      (`CreateManagedAccount`, `UpdateManagedAccount`, `EnableBaseline` of an \
                      account): once for each account, which is onboarding, or once for each \
                      event, to tell of every update and move. The same event again is never told \
                      again.",
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
              wildcard, anything-but, exists, numeric and cidr; `$or` has a list of patterns.",
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
            form: Form::GrantUrl,
            default: Required,
            meaning: "Scheme, host, port and the beginning of the path, by whole segments: \
                      `https://cmdb.example.com/api/` covers `/api` and `/api/v1`, not `/apis`. \
                      `$(name)` is where one of `secrets` goes.",
        },
        Key {
            name: "secrets",
            form: Form::UrlSecrets,
            default: Nothing("none"),
            meaning: "Secrets that take the place of `$(name)` in `url`, in path or query, each \
                      kept as those of `headers`. The plugin's URL has the same `$(name)` in the \
                      same place. The plugin never sees the secret.",
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
