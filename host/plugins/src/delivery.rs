//! Conversion between the contract's types and core's own: notifications, receipts, and whether a
//! failed delivery is retried.

use std::time::Duration;

use groundcrew_core::account::Account;
use groundcrew_core::notification::{
    GateDecision, Notification, NotifyFailure, NotifyFailureKind, Receipt,
};
use jiff::Timestamp;

use crate::bindings::exports::groundcrew::plugin::deliver;
use crate::bindings::groundcrew::plugin::types::{self, FailureKind};
use crate::call_error::CallError;
use crate::convert::{self, AccountParts};

/// Longest reference of a receipt, in bytes. It is kept in the ledger and shown in reports.
const MAX_REFERENCE: usize = 1 << 10;

/// The notification as the plugin sees it. Nothing is copied on the host's side.
pub(crate) fn notification<'a>(
    notification: &'a Notification,
    account: Option<(&'a Account, &'a AccountParts<'a>)>,
    annotations: &'a [&'a str],
) -> deliver::Notification<'a> {
    deliver::Notification {
        key: notification.key.as_str(),
        cause: notification.cause.into(),
        account: account.map_or_else(convert::no_account, |(account, parts)| {
            convert::account(account, &notification.tags, parts)
        }),
        event: notification.event.as_deref().map(convert::event),
        annotations,
        now: notification.now.as_second(),
        attempt: notification.attempt,
    }
}

/// The plugin's receipt, checked.
pub(crate) fn receipt(plugin: &str, receipt: deliver::Receipt) -> Result<Receipt, CallError> {
    let reference = receipt.reference;
    let wrong = match reference.len() {
        0 => Some("is empty: expected a case id, a number or a URL".to_owned()),
        length if length > MAX_REFERENCE => {
            Some(format!("has {length} bytes: expected at most {MAX_REFERENCE}"))
        }
        _ if reference.chars().any(char::is_control) => {
            Some("has a line break or control character: expected one line".to_owned())
        }
        _ => None,
    };
    match wrong {
        None => Ok(Receipt { reference, decision: gate_decision(plugin, receipt.decision)? }),
        Some(wrong) => Err(CallError::invalid(plugin, format!("its receipt's reference {wrong}"))),
    }
}

/// Most findings of one notifier. Each has the length of a reason.
const MAX_ANNOTATIONS: usize = 32;

fn gate_decision(plugin: &str, decision: deliver::GateDecision) -> Result<GateDecision, CallError> {
    let invalid =
        |problem: String| CallError::invalid(plugin, format!("its gate decision: {problem}"));
    match decision {
        deliver::GateDecision::Go => Ok(GateDecision::Go),
        deliver::GateDecision::Annotate(annotations) if annotations.len() > MAX_ANNOTATIONS => {
            let count = annotations.len();
            Err(invalid(format!("{count} findings, expected at most {MAX_ANNOTATIONS}")))
        }
        deliver::GateDecision::Annotate(annotations) => {
            annotations.iter().try_for_each(|line| convert::check_reason(line)).map_err(invalid)?;
            Ok(GateDecision::Annotate { annotations })
        }
        deliver::GateDecision::Hold(types::Hold { until, reason }) => {
            convert::check_reason(&reason).map_err(invalid)?;
            let until = Timestamp::from_second(until)
                .map_err(|error| invalid(format!("it holds until {until}: {error}")))?;
            Ok(GateDecision::Hold { until, reason })
        }
        deliver::GateDecision::Stop(reason) => {
            convert::check_reason(&reason).map_err(invalid)?;
            Ok(GateDecision::Stop { reason })
        }
    }
}

/// What a plugin did outside of its sandbox during one delivery.
#[derive(Clone, Debug, Default)]
pub(crate) struct SideEffects {
    /// Whether a support case was opened, or may have been.
    pub(crate) case_possible: bool,
    /// Whether an HTTP request changed something, or may have.
    pub(crate) request_possible: bool,
    /// What the operator should know about HTTP requests that failed.
    pub(crate) request_errors: Vec<String>,
}

impl SideEffects {
    fn effect_possible(&self) -> bool {
        self.case_possible || self.request_possible
    }

    /// The message with what the host knows and the plugin doesn't.
    fn append_to(&self, mut message: String) -> String {
        for error in &self.request_errors {
            // It begins with method and URL, which the plugin has mostly named.
            let error = match error.split_once(": ") {
                Some((place, rest)) if message.contains(&format!("{place}:")) => rest,
                _ => error,
            };
            message.push_str("; the host says: ");
            message.push_str(error);
        }
        message
    }
}

/// The plugin's own failure. If the host knows of a possible effect that the plugin denies, the
/// host is right.
pub(crate) fn plugin_failure(
    plugin: &str,
    failure: types::Failure,
    side_effects: &SideEffects,
) -> NotifyFailure {
    let failure = convert::truncate_failure(failure);
    let message = format!("plugin `{plugin}` failed with `{}`: {}", failure.code, failure.message);
    NotifyFailure {
        kind: failure.kind.into(),
        message: side_effects.append_to(message),
        code: failure.code,
        effect_possible: failure.effect_possible || side_effects.effect_possible(),
        retry_after: failure.retry_after.map(|seconds| Duration::from_secs(seconds.into())),
    }
}

/// A failure of the sandbox. Always transient: the machine or this one account may have caused it,
/// and a late notification is better than none.
pub(crate) fn sandbox_fault(error: &CallError, side_effects: &SideEffects) -> NotifyFailure {
    let mut message = error.to_string();
    if side_effects.case_possible {
        message.push_str("; it had begun to open a support case, which may be open all the same");
    }
    if side_effects.request_possible {
        message.push_str("; it had sent an HTTP request, which may have had its effect");
    }
    NotifyFailure {
        kind: NotifyFailureKind::Transient,
        code: error.code().to_owned(),
        message: side_effects.append_to(message),
        effect_possible: side_effects.effect_possible(),
        retry_after: None,
    }
}

impl From<FailureKind> for NotifyFailureKind {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Transient => Self::Transient,
            FailureKind::Permanent => Self::Permanent,
            FailureKind::Denied => Self::Denied,
            FailureKind::Invalid => Self::Invalid,
        }
    }
}
