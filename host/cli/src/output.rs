//! What commands write to stdout and stderr.

use std::io::{ErrorKind, Write as _};

use groundcrew_core::text::printable_lines;
use serde::Serialize;

use crate::command_error::CommandError;

/// Writes to stdout. The reader may close it early, as `head` does: that is not an error. A full
/// disk is one.
pub fn print(text: &str) -> Result<(), CommandError> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(CommandError::Other(format!("stdout can't be written to: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line to stderr. If the reader has closed it, the line is lost, and the command
/// continues.
pub fn print_stderr(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Writes a text to stdout without control characters, so that data from elsewhere can't control
/// the terminal.
pub fn print_sanitized(text: &str) -> Result<(), CommandError> {
    print(&printable_lines(text))
}

/// A JSON document for programs.
pub fn to_json(report: &impl Serialize) -> Result<String, CommandError> {
    let json = serde_json::to_string_pretty(report);
    json.map(|json| json + "\n").map_err(|error| CommandError::Other(error.to_string()))
}
