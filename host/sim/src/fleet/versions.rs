//! The versions of Account Factory in a snapshot: the current one, and the one of each account.

use std::collections::BTreeSet;

use groundcrew_core::snapshot::{Snapshot, SnapshotAccount};

use crate::ids;

/// The artifacts of Account Factory, by their ids, the oldest first. The last is the current one.
///
/// The current one is the snapshot's target. Without a target it is the artifact of the first
/// account that is not outdated. The others are those of outdated accounts. Only the member
/// `outdated` decides whether an account is outdated: an artifact that contradicts it is ignored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ArtifactVersions(Vec<String>);

impl ArtifactVersions {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let enrolled = || snapshot.accounts.iter().filter(|account| account.enrolled);
        let target = snapshot.target.as_ref().map(|target| target.artifact.as_str());
        let of_current = || {
            enrolled()
                .filter(|account| !account.outdated)
                .find_map(|account| named_artifact(account))
        };
        let given = target.or_else(of_current);
        let mut known: BTreeSet<&str> = given.into_iter().collect();
        let mut older: Vec<String> = enrolled()
            .filter(|account| account.outdated)
            .filter_map(named_artifact)
            .filter(|id| known.insert(id))
            .map(str::to_owned)
            .collect();
        // Accounts without an artifact get a generated one, which is the oldest.
        let mut generated_ids = generated_ids().filter(|id| !known.contains(id.as_str()));
        let homeless = |account: &SnapshotAccount| {
            account.outdated && named_artifact(account).is_none_or(|id| given == Some(id))
        };
        let oldest = generated_ids.next();
        let current = given.map(str::to_owned).or_else(|| generated_ids.next());
        if older.is_empty() || enrolled().any(homeless) {
            older.splice(0..0, oldest);
        }
        older.extend(current);
        Self(older)
    }

    /// The number of the artifact of an account.
    pub(crate) fn index_for(&self, account: &SnapshotAccount) -> u32 {
        let (current, older) = self.0.split_last().map_or((0, &[][..]), |(_, o)| (o.len(), o));
        let known =
            || named_artifact(account).and_then(|id| older.iter().position(|older| older == id));
        (if account.outdated { known().unwrap_or(0) } else { current }) as u32
    }

    /// Their ids, the oldest first.
    pub(crate) fn into_ids(self) -> Vec<String> {
        self.0
    }
}

fn named_artifact(account: &SnapshotAccount) -> Option<&str> {
    account.artifact.as_ref().map(|artifact| artifact.as_str())
}

/// Generated ids, without end.
pub(crate) fn generated_ids() -> impl Iterator<Item = String> {
    (1_u32..).map(|number| ids::write(ids::ARTIFACT, number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundcrew_core::catalog::{ArtifactId, ProductId};
    use groundcrew_core::snapshot::SnapshotTarget;
    use rstest::rstest;

    const B: &str = "pa-aaaaaaaaaaaab";
    const C: &str = "pa-aaaaaaaaaaaac";
    const D: &str = "pa-aaaaaaaaaaaad";

    fn account(outdated: bool, artifact: &str) -> SnapshotAccount {
        SnapshotAccount {
            outdated,
            artifact: (!artifact.is_empty()).then(|| ArtifactId::new(artifact)),
            ..SnapshotAccount::new("111122223333", "a")
        }
    }

    #[rstest]
    #[case::nothing_is_named("", &[(true, ""), (false, "")], &[B, C], &[0, 1])]
    #[case::nobody_is_there("", &[], &[B, C], &[])]
    #[case::nobody_is_outdated("", &[(false, "pa-new")], &[B, "pa-new"], &[1])]
    #[case::the_target("pa-new", &[(true, ""), (false, "")], &[B, "pa-new"], &[0, 1])]
    #[case::of_the_current("", &[(true, "pa-x"), (false, "pa-new")], &["pa-x", "pa-new"], &[0, 1])]
    #[case::several_older(
        "pa-new",
        &[(true, "pa-x"), (true, "pa-y"), (true, "pa-x"), (false, "pa-new"), (true, "")],
        &[B, "pa-x", "pa-y", "pa-new"],
        &[1, 2, 1, 3, 0],
    )]
    #[case::outdated_on_the_current("pa-new", &[(true, "pa-new")], &[B, "pa-new"], &[0])]
    #[case::current_on_an_older("pa-new", &[(false, "pa-x"), (true, "pa-x")], &["pa-x", "pa-new"], &[1, 0])]
    #[case::ids_like_the_made_up("", &[(true, C), (true, ""), (false, B)], &[D, C, B], &[1, 0, 2])]
    fn every_account_is_on_its_version(
        #[case] target: &str,
        #[case] accounts: &[(bool, &str)],
        #[case] ids: &[&str],
        #[case] of: &[u32],
    ) {
        let snapshot = Snapshot {
            target: (!target.is_empty()).then(|| SnapshotTarget {
                product: ProductId::new("prod-a"),
                artifact: ArtifactId::new(target),
                name: "Account Factory".into(),
            }),
            accounts: accounts.iter().map(|(outdated, id)| account(*outdated, id)).collect(),
            ..Snapshot::default()
        };
        let versions = ArtifactVersions::new(&snapshot);
        let on: Vec<u32> =
            snapshot.accounts.iter().map(|account| versions.index_for(account)).collect();
        assert_eq!(on, of);
        assert_eq!(versions.into_ids(), ids);
    }
}
