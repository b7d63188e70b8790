//! What commands write to stdout and stderr.

use std::io::{ErrorKind, Write as _};

use groundcrew_core::text::printable_lines;
use serde::Serialize;

use crate::command_error::CommandError;

/// Writes to stdout. Whoever reads it may close it early, as `head` does: that is no error. A
/// full disk is one.
pub fn print(text: &str) -> Result<(), CommandError> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(CommandError::Other(format!("stdout can't be written to: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line to stderr. Whoever read it may be gone: then nobody misses it, and what the command
/// does is not to end by that.
pub fn print_stderr(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Writes a screen to stdout: what texts from elsewhere have in them can't steer a terminal.
pub fn print_sanitized(text: &str) -> Result<(), CommandError> {
    print(&printable_lines(text))
}

/// A document for programs.
pub fn to_json(report: &impl Serialize) -> Result<String, CommandError> {
    let json = serde_json::to_string_pretty(report);
    json.map(|json| json + "\n").map_err(|error| CommandError::Other(error.to_string()))
}
