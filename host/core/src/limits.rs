//! What one call of a plugin may use.

use std::time::Duration;

/// Limits of one plugin instance. A call that reaches one ends there, with an error that
/// names the plugin and the limit; the next call gets a fresh instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wall-clock time of one call, host calls included. Also bounds its CPU time.
    pub timeout: Duration,
    /// Bytes of linear memory, summed over all memories of the instance.
    pub memory: u64,
    /// Table elements, summed over all tables of the instance.
    pub table_elements: u64,
    /// Bytes that one call may write to the log, stdout and stderr together.
    pub log: u64,
    /// Bytes that one call may hand to the host in arguments and results.
    pub result: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(2),
            memory: 64 << 20,
            table_elements: 100_000,
            log: 64 << 10,
            result: 1 << 20,
        }
    }
}

/// Limits of a notifier's HTTP requests in one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Requests, refused ones included.
    pub calls: u32,
    /// Wall-clock time of one request, from the DNS lookup to the last byte of the response.
    pub timeout: Duration,
    /// Bytes of a request's body.
    pub request: u64,
    /// Bytes of a response's body.
    pub response: u64,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { calls: 16, timeout: Duration::from_secs(10), request: 256 << 10, response: 1 << 20 }
    }
}
