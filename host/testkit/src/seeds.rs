//! Tests by seed: which seeds run, and how to rerun a failed one alone.

use std::ops::Range;

/// `GROUNDCREW_SEEDS` seeds, or `default_count`, starting with `GROUNDCREW_FIRST_SEED`.
///
/// # Panics
/// When one of these variables is not a number.
pub fn seeds(default_count: u64) -> Range<u64> {
    let first = number("GROUNDCREW_FIRST_SEED", 1);
    first..first + number("GROUNDCREW_SEEDS", default_count)
}

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}=`{text}` is no number")),
        Err(_) => default,
    }
}

/// Prints how to rerun a failed seed of a test alone. Made by [`replay`](crate::replay).
pub struct Replay {
    /// The seed.
    pub seed: u64,
    /// The package of the test.
    pub package: &'static str,
    /// The test binary.
    pub test: &'static str,
}

/// A [`Replay`] of a seed, for the test that calls this macro.
#[macro_export]
macro_rules! replay {
    ($seed:expr) => {
        $crate::seeds::Replay {
            seed: $seed,
            package: env!("CARGO_PKG_NAME"),
            test: env!("CARGO_CRATE_NAME"),
        }
    };
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "seed {0} fails; to replay it:\n\n  GROUNDCREW_FIRST_SEED={0} GROUNDCREW_SEEDS=1 \
                 cargo test --package {1} --test {2}\n",
                self.seed, self.package, self.test,
            );
        }
    }
}
