//! How a call of a plugin can fail.

use std::char::DecodeUtf16Error;
use std::str::Utf8Error;
use std::time::Duration;

use groundcrew_core::limits::Limits;
use groundcrew_core::ports::PolicyFailure;
use rustix::io::Errno;
use wasmtime::{PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::I32Exit;

use crate::engine::EPOCH_INTERVAL;
use crate::log::LogFlood;
use crate::usage::DeniedGrowth;

/// A call that failed. All but [`Failure`](Self::Failure) end the instance; the next call
/// gets a fresh one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// It took longer than `limits.timeout`.
    #[error(
        "plugin `{plugin}` ran longer than its limit of {} ms: raise `limits.timeout` if it needs it",
        .limit.as_millis()
    )]
    Timeout {
        /// The plugin.
        plugin: String,
        /// The limit.
        limit: Duration,
    },
    /// It requested more memory than `limits.memory` and ended.
    #[error(
        "plugin `{plugin}` needed more than its limit of {limit} bytes of memory: \
         raise `limits.memory` if it needs it"
    )]
    Memory {
        /// The plugin.
        plugin: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// It requested more table elements than `limits.table_elements` and ended.
    #[error(
        "plugin `{plugin}` needed more than its limit of {limit} table elements: \
         raise `limits.table_elements` if it needs it"
    )]
    TableElements {
        /// The plugin.
        plugin: String,
        /// The limit.
        limit: u64,
    },
    /// It recursed too deeply.
    #[error(
        "plugin `{plugin}` used up its call stack of {limit} bytes: \
         it recurses too deeply or without end"
    )]
    Stack {
        /// The plugin.
        plugin: String,
        /// The size of the stack, in bytes.
        limit: usize,
    },
    /// It trapped, as after a panic.
    #[error("plugin `{plugin}` crashed: {reason}; what it wrote to the log may say why")]
    Trap {
        /// The plugin.
        plugin: String,
        /// wasmtime's name of the trap.
        reason: String,
    },
    /// It wrote more to the log than `limits.log`.
    #[error(
        "plugin `{plugin}` wrote more than its limit of {limit} bytes to the log in one call: \
         it should write less, or raise `limits.log`"
    )]
    LogFlood {
        /// The plugin.
        plugin: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// It returned more than `limits.result` to the host.
    #[error(
        "plugin `{plugin}` handed over more than its limit of {limit} bytes: \
         it should answer less, or raise `limits.result`"
    )]
    ResultTooLarge {
        /// The plugin.
        plugin: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// It returned something that the contract doesn't allow.
    #[error("plugin `{plugin}` answered nonsense: {reason}")]
    InvalidResult {
        /// The plugin.
        plugin: String,
        /// What is wrong with it, and what was expected.
        reason: String,
    },
    /// All slots for instances are taken.
    #[error("plugin `{plugin}` could not be started: too many instances are alive; try again")]
    Busy {
        /// The plugin.
        plugin: String,
    },
    /// The machine has no memory for an instance.
    #[error(
        "plugin `{plugin}` could not be run: this machine gives no memory for it ({reason}): give \
         groundcrew more memory, or lift its limit on virtual memory; try again"
    )]
    NoMemory {
        /// The plugin.
        plugin: String,
        /// The message of the system.
        reason: String,
    },
    /// Its imports or exports have the right names and the wrong types.
    #[error(
        "plugin `{plugin}` doesn't fit the contract: {reason}; \
         rebuild it with this version's wit/ or SDK"
    )]
    Contract {
        /// The plugin.
        plugin: String,
        /// The message of wasmtime.
        reason: String,
    },
    /// It rejected the settings that it accepted when it was loaded.
    #[error("plugin `{plugin}` rejected settings that it accepted when it was loaded: {problems}")]
    Settings {
        /// The plugin.
        plugin: String,
        /// Its message about them.
        problems: String,
    },
    /// The plugin's own failure: it works as intended and can't decide.
    #[error("plugin `{plugin}` failed with `{code}`: {message}")]
    Failure {
        /// The plugin.
        plugin: String,
        /// Its own code.
        code: String,
        /// Its own message.
        message: String,
        /// Whether the plugin says that a retry can help.
        transient: bool,
    },
}

impl CallError {
    pub(crate) fn timeout(plugin: &str, limits: &Limits) -> Self {
        // Time is measured in ticks: a shorter limit is really one tick.
        Self::Timeout { plugin: plugin.to_owned(), limit: limits.timeout.max(EPOCH_INTERVAL) }
    }

    pub(crate) fn invalid(plugin: &str, reason: impl Into<String>) -> Self {
        Self::InvalidResult { plugin: plugin.to_owned(), reason: reason.into() }
    }

    pub(crate) fn contract(plugin: &str, error: &wasmtime::Error) -> Self {
        Self::Contract { plugin: plugin.to_owned(), reason: format!("{error:#}") }
    }

    /// Classifies an error of wasmtime, by type and never by text.
    pub(crate) fn classify(
        plugin: &str,
        limits: &Limits,
        denied: Option<DeniedGrowth>,
        error: &wasmtime::Error,
    ) -> Self {
        tracing::debug!(plugin, error = ?error, "a call of the plugin failed");
        let name = || plugin.to_owned();
        let trap = error.downcast_ref::<Trap>();
        if trap == Some(&Trap::Interrupt) {
            return Self::timeout(plugin, limits);
        }
        if error.is::<LogFlood>() {
            return Self::LogFlood { plugin: name(), limit: limits.log };
        }
        // An allocator that gets no memory aborts. So if growth was denied, that is the cause,
        // whatever error followed.
        match denied {
            Some(DeniedGrowth::Memory) => {
                return Self::Memory { plugin: name(), limit: limits.memory };
            }
            Some(DeniedGrowth::TableElements) => {
                return Self::TableElements { plugin: name(), limit: limits.table_elements };
            }
            None => {}
        }
        match trap {
            Some(Trap::StackOverflow) => {
                return Self::Stack { plugin: name(), limit: crate::engine::WASM_STACK };
            }
            Some(
                trap @ (Trap::InvalidChar
                | Trap::InvalidDiscriminant
                | Trap::ListOutOfBounds
                | Trap::StringOutOfBounds
                | Trap::UnalignedPointer),
            ) => return Self::invalid(plugin, trap.to_string()),
            Some(trap) => return Self::Trap { plugin: name(), reason: trap.to_string() },
            None => {}
        }
        if let Some(I32Exit(code)) = error.downcast_ref() {
            return Self::Trap { plugin: name(), reason: format!("it called exit({code})") };
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return Self::Busy { plugin: name() };
        }
        if let Some(reason) = no_memory(error) {
            return Self::NoMemory { plugin: name(), reason };
        }
        // The remaining errors are data that can't be read. wasmtime reports the reason in a plain
        // message or an error of the standard library. The exception is a private type of its own
        // for reading more than `set_hostcall_fuel` allows.
        let unreadable = error.is::<String>()
            || error.is::<&'static str>()
            || error.is::<Utf8Error>()
            || error.is::<DecodeUtf16Error>();
        if unreadable {
            Self::invalid(plugin, error.root_cause().to_string())
        } else {
            Self::ResultTooLarge { plugin: name(), limit: limits.result }
        }
    }

    /// Short and stable, for grouping.
    pub fn code(&self) -> &str {
        match self {
            Self::Timeout { .. } => "timeout",
            Self::Memory { .. } => "memory",
            Self::TableElements { .. } => "table-elements",
            Self::Stack { .. } => "stack",
            Self::Trap { .. } => "trap",
            Self::LogFlood { .. } => "log-flood",
            Self::ResultTooLarge { .. } => "result-too-large",
            Self::InvalidResult { .. } => "invalid-result",
            Self::Busy { .. } => "busy",
            Self::NoMemory { .. } => "no-memory",
            Self::Contract { .. } => "contract",
            Self::Settings { .. } => "settings",
            Self::Failure { code, .. } => code,
        }
    }

    /// Whether a retry can help. A machine under load makes any plugin slow.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Busy { .. } | Self::NoMemory { .. } => true,
            Self::Failure { transient, .. } => *transient,
            _ => false,
        }
    }
}

/// The system's message, if it had no memory for an instance: from the error itself, or through
/// wasmtime.
fn no_memory(error: &wasmtime::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let by_the_system = cause
            .downcast_ref()
            .is_some_and(|error: &std::io::Error| error.kind() == std::io::ErrorKind::OutOfMemory);
        let by_a_call = cause.downcast_ref() == Some(&Errno::NOMEM);
        (by_the_system || by_a_call || cause.is::<wasmtime::OutOfMemory>())
            .then(|| cause.to_string())
    })
}

impl From<CallError> for PolicyFailure {
    fn from(error: CallError) -> Self {
        Self {
            code: error.code().to_owned(),
            message: error.to_string(),
            transient: error.is_transient(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::of_a_call(wasmtime::Error::from(Errno::NOMEM))]
    #[case::of_the_system(wasmtime::Error::from(std::io::Error::from(
        std::io::ErrorKind::OutOfMemory
    )))]
    #[case::in_between(wasmtime::Error::from(Errno::NOMEM).context("failed to make memory accessible"))]
    fn a_machine_without_memory_is_not_the_plugins_fault(#[case] error: wasmtime::Error) {
        let error = CallError::classify("p", &Limits::default(), None, &error);
        assert!(matches!(error, CallError::NoMemory { .. }), "{error:?}");
        assert!(error.is_transient() && error.to_string().contains("gives no memory"), "{error}");
    }
}
