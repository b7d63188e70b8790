//! The progress of a simulation, on stderr: a bar in a terminal, a line at each tenth elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::commands::Format;
use crate::formatting::{format_duration, thousands};
use crate::output::print_stderr;

/// Shows progress, or doesn't.
pub struct Progress {
    bar: Option<ProgressBar>,
    lines: bool,
    tenths: u64,
}

impl Progress {
    /// With JSON, progress is shown only in a terminal.
    pub fn new(format: Format) -> Self {
        let terminal = stderr().is_terminal();
        let bar = terminal.then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
            if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len}  {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, lines: !terminal && format == Format::Text, tenths: 0 }
    }

    /// Shows that this many accounts are done after this simulated time.
    pub fn show(&mut self, done: u64, of: u64, after: Duration) {
        if let Some(bar) = &self.bar {
            bar.set_length(of);
            bar.set_position(done);
            bar.set_message(format!("simulated {}", format_duration(after)));
        }
        let tenths = (done * 10).checked_div(of).unwrap_or(0);
        if self.lines && tenths > self.tenths {
            self.tenths = tenths;
            print_stderr(&format!(
                "{:>4}%  {} of {} accounts done, simulated {}",
                tenths * 10,
                thousands(done),
                thousands(of),
                format_duration(after)
            ));
        }
    }

    /// Clears the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
