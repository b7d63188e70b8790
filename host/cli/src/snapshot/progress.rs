//! The progress of reading, on stderr: a line that changes in a terminal, a few lines elsewhere.

use std::io::{IsTerminal, stderr};

use groundcrew_engine::snapshot::ReadProgress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::formatting::thousands;
use crate::output::print_stderr;

/// Shows progress.
pub struct Progress {
    bar: Option<ProgressBar>,
    listed: bool,
    tenths: usize,
}

impl Progress {
    pub fn new() -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            set(&bar, "{spinner} {msg}");
            bar
        });
        Self { bar, listed: false, tenths: 0 }
    }

    pub fn show(&mut self, progress: ReadProgress) {
        if progress.listed && !self.listed {
            self.listed = true;
            if self.bar.is_none() {
                print_stderr(&listed(progress));
            }
        }
        match progress.listed && progress.one_by_one {
            true => self.show_asked(progress.tags_read, progress.accounts),
            false => {
                if let Some(bar) = &self.bar {
                    bar.set_message(listed(progress));
                    bar.tick();
                }
            }
        }
    }

    /// Shows for how many accounts the tags were read.
    fn show_asked(&mut self, asked: usize, of: usize) {
        let tenths = (asked * 10).checked_div(of).unwrap_or(0);
        match &self.bar {
            Some(bar) => {
                if bar.length().is_none() {
                    set(bar, "{bar:40} {pos} of {len}  {msg}");
                    bar.set_message("tags, one by one");
                }
                bar.set_length(of as u64);
                bar.set_position(asked as u64);
            }
            None if tenths > self.tenths => {
                self.tenths = tenths;
                print_stderr(&format!(
                    "{:>4}%  tags of {} of {} accounts, one by one",
                    tenths * 10,
                    thousands(asked as u64),
                    thousands(of as u64)
                ));
            }
            None => {}
        }
    }

    /// Shows the final state, and clears the bar.
    pub fn finish(&mut self, progress: ReadProgress) {
        self.show(progress);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn set(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

fn listed(progress: ReadProgress) -> String {
    format!(
        "{} accounts, {} provisioned products, {} accounts in the tag index",
        thousands(progress.accounts as u64),
        thousands(progress.products as u64),
        thousands(progress.indexed as u64)
    )
}
