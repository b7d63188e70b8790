//! What was read so far, in a file beside the one to be written.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use groundcrew_core::reading::{Reading, Source};
use jiff::Timestamp;

use crate::Failure;
use crate::files::{with_ending, write_whole};
use crate::wording::{count, span};

/// What is older is read anew: an organization changes.
const GOOD_FOR: Duration = Duration::from_secs(6 * 3600);

/// The file.
pub struct Partial {
    path: PathBuf,
}

impl Partial {
    /// That of a snapshot to be written there.
    pub fn of(out: &Path) -> Self {
        Self { path: with_ending(out, ".partial") }
    }

    /// What an earlier run has left of the same organization lately. Says on stderr whether
    /// it is used.
    pub fn load(&self, source: &Source, now: Timestamp) -> Result<Option<Reading>, Failure> {
        let name = self.path.display();
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(Failure::Usage(format!(
                    "{name}: what an earlier run has read can't be read: {error}"
                )));
            }
        };
        match usable(&text, source, now) {
            Ok(reading) => {
                eprintln!(
                    "Going on with {name}: {} and the tags of {} are known",
                    count(reading.accounts.items.len(), "account"),
                    reading.index.items.len().max(reading.tags.len())
                );
                Ok(Some(reading))
            }
            Err(why) => {
                eprintln!("{name} {why}: everything is read anew");
                Ok(None)
            }
        }
    }

    pub fn save(&self, reading: &Reading) -> Result<(), Failure> {
        let written = serde_json::to_vec(reading)
            .map_err(std::io::Error::from)
            .and_then(|json| write_whole(&self.path, &json));
        written.map_err(|error| {
            Failure::Usage(format!(
                "{}: can't be written: {error}; set --out to a place that can",
                self.path.display()
            ))
        })
    }

    /// How to go on.
    pub fn advice(&self) -> String {
        format!(
            "what was read is kept in {}; within {} hours, the same command goes on from there",
            self.path.display(),
            GOOD_FOR.as_secs() / 3600
        )
    }

    /// Removes it. Left behind, it would only be read again.
    pub fn remove(&self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "could not be removed");
        }
    }
}

/// The reading, or why it is of no use.
fn usable(text: &str, source: &Source, now: Timestamp) -> Result<Reading, String> {
    let reading: Reading =
        serde_json::from_str(text).map_err(|error| format!("can't be understood ({error})"))?;
    if reading.source != *source {
        let Source { region, product } = &reading.source;
        return Err(format!("is of another organization or Region ({product} in {region})"));
    }
    // Of the future is no better than old.
    let age = Duration::try_from(now - reading.began).unwrap_or(Duration::MAX);
    match age <= GOOD_FOR {
        true => Ok(reading),
        false if age == Duration::MAX => Err("is from the future".to_owned()),
        false => Err(format!("was begun {} ago", span(age))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundcrew_core::catalog::ProductId;

    #[test]
    fn only_what_is_lately_of_the_same_organization_is_of_use() {
        let source =
            |product| Source { region: "us-east-1".into(), product: ProductId::new(product) };
        let now: Timestamp = "2026-09-01T08:00:00Z".parse().unwrap();
        let usable = |seconds: u64, of| {
            let began = now - Duration::from_secs(seconds);
            let text = serde_json::to_string(&Reading::new(source(of), began)).unwrap();
            usable(&text, &source("prod-a"), now).map(|_| ())
        };
        assert_eq!(usable(60, "prod-a"), Ok(()));
        assert_eq!(usable(7 * 3600, "prod-a").unwrap_err(), "was begun 07:00:00 ago");
        assert_eq!(
            usable(60, "prod-b").unwrap_err(),
            "is of another organization or Region (prod-b in us-east-1)"
        );
        let cut = super::usable("{\"source\":", &source("prod-a"), now).unwrap_err();
        assert!(cut.starts_with("can't be understood (EOF"), "{cut}");
    }
}
