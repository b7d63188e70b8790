//! What plugins write: to the contract's `log`, to stdout and to stderr. All of it goes to the
//! host's log with plugin and account, and counts against one budget.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use groundcrew_core::account::AccountId;
use groundcrew_core::text::{printable, printable_lines};
use tracing::Level;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::coverage::Coverage;

/// The cost of a line in addition to its text: about what the host's log adds to it. So empty lines
/// reach the limit, too.
const LINE_COST: u64 = 32;

/// The call wrote more than `limits.log` allows.
#[derive(Debug, thiserror::Error)]
#[error("more than its limit was written to the log")]
pub(crate) struct LogFlood;

/// The log of one plugin instance.
#[derive(Debug)]
pub(crate) struct PluginLog {
    plugin: Arc<str>,
    /// Receives the lines about coverage, if coverage is measured.
    coverage: Option<Arc<Coverage>>,
    /// The account that the running call is about. Locked only when a line is written.
    account: Mutex<Option<AccountId>>,
    /// What the running call may still write.
    remaining: AtomicU64,
}

impl PluginLog {
    pub(crate) fn new(plugin: Arc<str>, coverage: Option<Arc<Coverage>>) -> Self {
        Self { plugin, coverage, account: Mutex::new(None), remaining: AtomicU64::new(0) }
    }

    /// Starts a call.
    pub(crate) fn begin_call(&self, account: Option<&AccountId>, budget: u64) {
        *self.account.lock().unwrap_or_else(PoisonError::into_inner) = account.cloned();
        self.remaining.store(budget, Ordering::Relaxed);
    }

    /// Subtracts the cost of a text from the budget.
    fn charge(&self, cost: u64) -> Result<(), LogFlood> {
        // An instance runs on one thread at a time, so nothing changes it in between.
        let remaining = self.remaining.load(Ordering::Relaxed).checked_sub(cost).ok_or(LogFlood)?;
        self.remaining.store(remaining, Ordering::Relaxed);
        Ok(())
    }

    /// Writes a line that the plugin sent to `log`.
    pub(crate) fn write(&self, level: Level, message: &str) -> Result<(), LogFlood> {
        if self.coverage.as_ref().is_some_and(|coverage| coverage.consume(message)) {
            return Ok(());
        }
        self.charge(message.len() as u64 + LINE_COST)?;
        self.emit(level, message);
        Ok(())
    }

    /// Writes a message of the host about the running call. It costs the plugin nothing.
    pub(crate) fn log_host_message(&self, message: &str) {
        let account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let account = account.as_ref().map(AccountId::as_str);
        let plugin = &*self.plugin;
        let message = printable_lines(message);
        tracing::warn!(plugin, account, "{message}");
    }

    fn emit(&self, level: Level, message: &str) {
        let account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let account = account.as_ref().map(AccountId::as_str);
        let plugin = &*self.plugin;
        let message = printable(message);
        // The level of a tracing event is fixed where it is written.
        match level {
            Level::ERROR => tracing::error!(target: "plugin", plugin, account, "{message}"),
            Level::WARN => tracing::warn!(target: "plugin", plugin, account, "{message}"),
            Level::INFO => tracing::info!(target: "plugin", plugin, account, "{message}"),
            _ => tracing::debug!(target: "plugin", plugin, account, "{message}"),
        }
    }
}

/// Stdout and stderr of a plugin, which are written to its log.
pub(crate) struct OutputLog {
    pub(crate) log: Arc<PluginLog>,
    pub(crate) level: Level,
}

impl IsTerminal for OutputLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for OutputLog {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(LineWriter { log: self.log.clone(), level: self.level, line: Vec::new() })
    }

    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // WASI 0.3's way in, which the linker doesn't offer.
        Box::new(tokio::io::empty())
    }
}

/// Cuts what is written into lines.
struct LineWriter {
    log: Arc<PluginLog>,
    level: Level,
    /// The beginning of a line. The budget bounds it: its cost has been subtracted.
    line: Vec<u8>,
}

impl LineWriter {
    fn end_line(&mut self) {
        self.log.emit(self.level, &String::from_utf8_lossy(&self.line));
        self.line.clear();
    }
}

impl OutputStream for LineWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let lines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let cost = bytes.len() as u64 + lines * LINE_COST;
        self.log.charge(cost).map_err(|flood| StreamError::Trap(flood.into()))?;
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            match piece.split_last() {
                Some((b'\n', text)) => {
                    self.line.extend_from_slice(text);
                    self.end_line();
                }
                _ => self.line.extend_from_slice(piece),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        // Most bytes of one write: it bounds what the host allocates.
        Ok(4096)
    }
}

#[async_trait]
impl Pollable for LineWriter {
    async fn ready(&mut self) {}
}

/// A plugin that aborts may leave a last line without a line break.
impl Drop for LineWriter {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_to_write_share_the_budget() {
        let log = Arc::new(PluginLog::new("p".into(), None));
        let console = OutputLog { log: log.clone(), level: Level::INFO };
        log.begin_call(None, 100);
        log.write(Level::INFO, "0123456789").unwrap();
        console.p2_stream().write("0123456789\n".into()).unwrap();
        assert!(console.p2_stream().write("0123456789012345\n".into()).is_err());
        log.begin_call(None, 100);
        log.write(Level::INFO, "0123456789").unwrap();
    }
}
