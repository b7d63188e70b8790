//! The partial snapshot, in a file beside the output file.

use std::cell::Cell;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use groundcrew_core::unfinished_snapshot::{SnapshotSource, UnfinishedSnapshot};
use groundcrew_plugins::files;
use jiff::Timestamp;

use crate::files::{with_suffix, write_atomic};
use crate::formatting::{count, format_duration};
use crate::output::print_stderr;

/// An older partial snapshot is discarded: an organization changes.
const MAX_AGE: Duration = Duration::from_secs(6 * 3600);

/// The file.
pub struct PartialFile {
    path: PathBuf,
    /// Whether the last save succeeded.
    saved: Cell<bool>,
    /// Whether a failed save was reported.
    warned: Cell<bool>,
}

impl PartialFile {
    /// The file for a snapshot with this output path.
    pub fn for_output(out: &Path) -> Self {
        let path = with_suffix(out, ".partial");
        Self { path, saved: Cell::new(false), warned: Cell::new(false) }
    }

    /// The partial snapshot of a recent earlier run on the same organization. Reports on stderr
    /// whether it is used.
    pub fn load(&self, source: &SnapshotSource, now: Timestamp) -> Option<UnfinishedSnapshot> {
        let name = self.path.display();
        let text = match files::read_text(&self.path, files::MAX_SNAPSHOT_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => {
                print_stderr(&format!(
                    "{name}: what an earlier run has read can't be read: {error}: everything is \
                     read anew"
                ));
                return None;
            }
        };
        match parse_usable(&text, source, now) {
            Ok(unfinished_snapshot) => {
                print_stderr(&format!(
                    "Going on with {name}: {} and the tags of {} are known",
                    count(unfinished_snapshot.accounts.items.len(), "account"),
                    unfinished_snapshot.index.items.len().max(unfinished_snapshot.tags.len())
                ));
                Some(unfinished_snapshot)
            }
            Err(why) => {
                print_stderr(&format!("{name} {why}: everything is read anew"));
                None
            }
        }
    }

    /// Saves the partial snapshot. A failure is reported once: it only means that a run that stops
    /// has to start again, which is slower.
    pub fn save(&self, unfinished_snapshot: &UnfinishedSnapshot) {
        let written = serde_json::to_vec(unfinished_snapshot)
            .map_err(std::io::Error::from)
            .and_then(|json| write_atomic(&self.path, &json));
        self.saved.set(written.is_ok());
        if let Err(error) = written
            && !self.warned.replace(true)
        {
            print_stderr(&format!(
                "{}: can't be written: {error}: if this run stops, the next one reads everything \
                 anew",
                self.path.display()
            ));
        }
    }

    /// How to continue.
    pub fn resume_hint(&self) -> String {
        match self.saved.get() {
            true => format!(
                "what was read is kept in {}; within {} hours, the same command continues from \
                 there",
                self.path.display(),
                MAX_AGE.as_secs() / 3600
            ),
            false => "what was read could not be kept: the next run begins anew".to_owned(),
        }
    }

    /// Removes the file, so that a later run doesn't read it.
    pub fn remove(&self) {
        if self.saved.get()
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "could not be removed");
        }
    }
}

/// The partial snapshot, or why it can't be used.
fn parse_usable(
    text: &str,
    source: &SnapshotSource,
    now: Timestamp,
) -> Result<UnfinishedSnapshot, String> {
    let unfinished_snapshot: UnfinishedSnapshot =
        serde_json::from_str(text).map_err(|error| format!("can't be understood ({error})"))?;
    if unfinished_snapshot.source != *source {
        let SnapshotSource { region, product } = &unfinished_snapshot.source;
        return Err(format!("is of another organization or Region ({product} in {region})"));
    }
    // A time in the future counts as too old.
    let age = Duration::try_from(now - unfinished_snapshot.began).unwrap_or(Duration::MAX);
    match age <= MAX_AGE {
        true => Ok(unfinished_snapshot),
        false if age == Duration::MAX => Err("is from the future".to_owned()),
        false => Err(format!("was begun {} ago", format_duration(age))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundcrew_core::catalog::ProductId;

    #[test]
    fn only_what_is_lately_of_the_same_organization_is_of_use() {
        let source = |product| SnapshotSource {
            region: "us-east-1".into(),
            product: ProductId::new(product),
        };
        let now: Timestamp = "2026-09-01T08:00:00Z".parse().unwrap();
        let usable = |seconds: u64, of| {
            let began = now - Duration::from_secs(seconds);
            let text = serde_json::to_string(&UnfinishedSnapshot::new(source(of), began)).unwrap();
            parse_usable(&text, &source("prod-a"), now).map(|_| ())
        };
        assert_eq!(usable(60, "prod-a"), Ok(()));
        assert_eq!(usable(7 * 3600, "prod-a").unwrap_err(), "was begun 07:00:00 ago");
        assert_eq!(
            usable(60, "prod-b").unwrap_err(),
            "is of another organization or Region (prod-b in us-east-1)"
        );
        let cut = super::parse_usable("{\"source\":", &source("prod-a"), now).unwrap_err();
        assert!(cut.starts_with("can't be understood (EOF"), "{cut}");
    }
}
