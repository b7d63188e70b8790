//! What commands write to stdout and stderr.

use std::io::{ErrorKind, Write as _};

use groundcrew_core::text::printable_lines;
use serde::Serialize;

use crate::failure::Failure;

/// Writes to stdout. Whoever reads it may close it early, as `head` does: that is no error. A
/// full disk is one.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Other(format!("stdout can't be written to: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line to stderr. Whoever read it may be gone: then nobody misses it, and what the command
/// does is not to end by that.
pub fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Writes a screen to stdout: what texts from elsewhere have in them can't steer a terminal.
pub fn screen(text: &str) -> Result<(), Failure> {
    print(&printable_lines(text))
}

/// A document for programs.
pub fn json(report: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string_pretty(report);
    json.map(|json| json + "\n").map_err(|error| Failure::Other(error.to_string()))
}
