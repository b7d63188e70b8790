//! The findings of a doctor, for programs.

use groundcrew_core::doctor::{self, Check, Status};
use serde::Serialize;

/// The whole report.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The config file, as the user named it.
    pub config: String,
    /// The Region that was checked; none when the config is wrong.
    pub region: Option<String>,
    /// The number of findings of each kind.
    pub counts: Counts,
    pub findings: Vec<Finding>,
}

#[derive(Debug, Default, Serialize)]
pub struct Counts {
    pub ok: usize,
    pub warnings: usize,
    pub failed: usize,
    pub unknown: usize,
    pub not_configured: usize,
}

#[derive(Debug, Serialize)]
pub struct Finding {
    pub group: &'static str,
    pub check: Check,
    pub status: Status,
    pub found: String,
    pub fix: Option<String>,
}

impl Report {
    pub fn new(config: String, region: Option<String>, findings: Vec<doctor::Finding>) -> Self {
        let mut counts = Counts::default();
        for finding in &findings {
            *match finding.status {
                Status::Ok => &mut counts.ok,
                Status::Warning => &mut counts.warnings,
                Status::Failed => &mut counts.failed,
                Status::Unknown => &mut counts.unknown,
                Status::NotConfigured => &mut counts.not_configured,
            } += 1;
        }
        let findings = findings
            .into_iter()
            .map(|finding| Finding {
                group: finding.check.group(),
                check: finding.check,
                status: finding.status,
                found: finding.found,
                fix: finding.fix,
            })
            .collect();
        Self { config, region, counts, findings }
    }

    /// How many checks have failed.
    pub fn failed(&self) -> usize {
        self.counts.failed
    }
}
