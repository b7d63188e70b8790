//! Random fleets, by the seed.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use groundcrew_core::snapshot::{Snapshot, SnapshotAccount};

/// The tag of the tagged accounts.
const TAG_KEY: &str = "account-factory-managed";

/// The OUs of a generated organization.
const OUS: [&[&str]; 6] = [
    &["Workloads", "Prod"],
    &["Workloads", "Test"],
    &["Workloads", "Dev"],
    &["Infrastructure", "Network"],
    &["Infrastructure"],
    &["Sandbox"],
];

/// Makes an organization of `accounts` accounts in a few nested OUs. Exactly `tagged_percent` of
/// them have the tag `account-factory-managed = "true"`. Updates take 10 to 30 minutes.
pub fn random_fleet(accounts: usize, tagged_percent: u8, seed: u64) -> Snapshot {
    let mut rng = Rng::with_seed(!seed);
    let mut order: Vec<usize> = (0..accounts).collect();
    rng.shuffle(&mut order);
    let tagged = accounts * usize::from(tagged_percent.min(100)) / 100;
    let tagged: BTreeSet<usize> = order.into_iter().take(tagged).collect();
    let mut snapshot = Snapshot {
        taken_at: None,
        target: None,
        accounts: (0..accounts)
            .map(|index| {
                let mut tags = BTreeMap::new();
                if tagged.contains(&index) {
                    tags.insert(TAG_KEY.to_owned(), "true".to_owned());
                }
                let ou = OUS[rng.usize(..OUS.len())];
                SnapshotAccount {
                    ou: ou.iter().map(|name| (*name).to_owned()).collect(),
                    tags: Some(tags),
                    update_seconds: rng.u64(600..=1800),
                    ..SnapshotAccount::new(
                        format!("{:012}", 200_000_000_000_u64 + index as u64),
                        format!("account-{:05}", index + 1),
                    )
                }
            })
            .collect(),
    };
    snapshot.complete();
    snapshot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_percentage_is_tagged_and_a_seed_repeats() {
        let snapshot = random_fleet(1000, 30, 7);
        let no_tags = Some(BTreeMap::new());
        let tagged = snapshot.accounts.iter().filter(|account| account.tags != no_tags).count();
        assert_eq!(tagged, 300);
        assert_eq!(snapshot, random_fleet(1000, 30, 7));
        assert_ne!(snapshot, random_fleet(1000, 30, 8));
        let text = snapshot.to_json().unwrap();
        assert_eq!(Snapshot::parse(&text), Ok(snapshot), "nothing is wrong with it");
    }
}
