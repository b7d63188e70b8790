//! The summary of a snapshot as text: within 80 columns and without colour.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use groundcrew_core::account::AccountState;
use groundcrew_core::catalog::ProductStatus;
use groundcrew_core::snapshot::{Snapshot, SnapshotAccount};
use groundcrew_core::unfinished_snapshot::TagSource;

use crate::formatting::{count, list, paragraph, thousands, write_aws_calls};

/// The result of a run.
pub struct Summary<'a> {
    /// The path of the snapshot.
    pub output_path: &'a Path,
    pub snapshot: &'a Snapshot,
    pub tag_source: Option<&'a TagSource>,
    pub calls: BTreeMap<String, u64>,
    pub took: Duration,
}

impl Summary<'_> {
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing to a string can't fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let accounts = &self.snapshot.accounts;
        let output_path = match self.output_path == Path::new("-") {
            true => "on stdout".to_owned(),
            false => format!("in {}", self.output_path.display()),
        };
        paragraph(out, &format!("Snapshot: {} {output_path}", count(accounts.len(), "account")))?;
        writeln!(out)?;

        let states = tally(accounts.iter().map(|account| state(account.state)));
        paragraph(out, &format!("accounts    {}{states}", thousands(accounts.len() as u64)))?;
        let enrolled: Vec<&SnapshotAccount> =
            accounts.iter().filter(|account| account.enrolled).collect();
        let ages = tally(enrolled.iter().map(|account| match account.outdated {
            true => "outdated",
            false => "current",
        }));
        paragraph(out, &format!("enrolled    {}{ages}", thousands(enrolled.len() as u64)))?;
        let odd: Vec<_> = accounts
            .iter()
            .filter(|account| account.status != ProductStatus::Available)
            .map(|account| status(account.status))
            .collect();
        if !odd.is_empty() {
            paragraph(out, &format!("of these    {}", &tally(odd.into_iter())[2..]))?;
        }
        let without: Vec<&str> = accounts
            .iter()
            .filter(|account| !account.enrolled)
            .map(|account| account.id.as_str())
            .collect();
        if !without.is_empty() {
            let line = format!(
                "no product  {}, which Account Factory can't update: {}",
                thousands(without.len() as u64),
                list(&without)
            );
            paragraph(out, &line)?;
        }
        if let Some(target) = &self.snapshot.target {
            paragraph(out, &format!("target      {} of {}", target.artifact, target.product))?;
        }
        self.tags(out)?;
        write_aws_calls(out, &self.calls)?;
        writeln!(out, "time        {:.1} s", self.took.as_secs_f64())
    }

    fn tags(&self, out: &mut String) -> std::fmt::Result {
        let tag_source = match self.tag_source {
            Some(TagSource::Batch { agreed }) => {
                format!("in batch, checked against {}", count(*agreed, "account"))
            }
            Some(TagSource::OneByOne { why }) => format!("one by one: {why}"),
            None => "not read".to_owned(),
        };
        paragraph(out, &format!("tags        {tag_source}"))?;
        let unreadable: Vec<(&str, &str)> = self
            .snapshot
            .accounts
            .iter()
            .filter_map(|account| Some((account.id.as_str(), account.tags_error.as_deref()?)))
            .collect();
        let first = match unreadable.first() {
            None => return Ok(()),
            Some((id, error)) if unreadable.len() == 1 => format!("{id}: {error}"),
            Some((id, error)) => format!("the first is {id}: {error}"),
        };
        let unreadable = count(unreadable.len(), "account");
        paragraph(out, &format!("unreadable  {unreadable}; {first}"))
    }
}

/// `: 9 active, 1 closed`; empty without things.
fn tally(things: impl Iterator<Item = &'static str>) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for thing in things {
        *counts.entry(thing).or_default() += 1;
    }
    let counts: Vec<String> =
        counts.into_iter().map(|(what, number)| format!("{} {what}", thousands(number))).collect();
    if counts.is_empty() { String::new() } else { format!(": {}", counts.join(", ")) }
}

fn state(state: Option<AccountState>) -> &'static str {
    match state {
        Some(AccountState::Active) => "active",
        Some(AccountState::PendingActivation) => "pending activation",
        Some(AccountState::Suspended) => "suspended",
        Some(AccountState::PendingClosure) => "pending closure",
        Some(AccountState::Closed) => "closed",
        None => "in an unknown state",
    }
}

fn status(status: ProductStatus) -> &'static str {
    match status {
        ProductStatus::Available => "available",
        ProductStatus::UnderChange => "under change",
        ProductStatus::Tainted => "tainted",
        ProductStatus::Error => "in error",
        ProductStatus::PlanInProgress => "being planned",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundcrew_core::catalog::{ArtifactId, ProductId};
    use groundcrew_core::snapshot::SnapshotTarget;
    use groundcrew_sim::random_fleet;

    fn snapshot() -> Snapshot {
        let mut snapshot = random_fleet(1234, 30, 1);
        snapshot.target = Some(SnapshotTarget {
            product: ProductId::new("prod-aaaaaaaaaaaab"),
            artifact: ArtifactId::new("pa-aaaaaaaaaaaac"),
            name: "AWS Control Tower Account Factory".into(),
        });
        for (number, account) in snapshot.accounts.iter_mut().enumerate() {
            account.state = Some(match number {
                0 => AccountState::Suspended,
                _ => AccountState::Active,
            });
            account.enrolled = number >= 34;
            account.outdated = number >= 100;
            if number == 200 {
                account.status = ProductStatus::Tainted;
            }
            if number > 1231 {
                account.tags = None;
                account.tags_error = Some(
                    "ListTagsForResource: AccessDeniedException: You don't have permissions to access this resource.".into(),
                );
            }
        }
        snapshot
    }

    fn screen(snapshot: &Snapshot, output_path: &str, tag_source: Option<&TagSource>) -> String {
        let calls = [("ListAccounts", 70), ("SearchProvisionedProducts", 14), ("GetResources", 4)];
        let summary = Summary {
            output_path: Path::new(output_path),
            snapshot,
            tag_source,
            calls: calls.map(|(name, count)| (name.to_owned(), count)).into(),
            took: Duration::from_millis(8_250),
        };
        let screen = summary.render();
        for line in screen.lines() {
            assert!(line.chars().count() <= 80, "over 80 columns: {line}");
        }
        screen
    }

    #[test]
    fn in_batch() {
        let tag_source = TagSource::Batch { agreed: 20 };
        insta::assert_snapshot!(screen(&snapshot(), "snapshot.json", Some(&tag_source)), @r"
        Snapshot: 1,234 accounts in snapshot.json

        accounts    1,234: 1,233 active, 1 suspended
        enrolled    1,200: 66 current, 1,134 outdated
        of these    1 tainted
        no product  34, which Account Factory can't update: 200000000000, 200000000001,
                    200000000002, …
        target      pa-aaaaaaaaaaaac of prod-aaaaaaaaaaaab
        tags        in batch, checked against 20 accounts
        unreadable  2 accounts; the first is 200000001232: ListTagsForResource:
                    AccessDeniedException: You don't have permissions to access this
                    resource.
        AWS calls   88
               70 ListAccounts                      14 SearchProvisionedProducts
                4 GetResources
        time        8.2 s
        ");
    }

    #[test]
    fn one_by_one() {
        let why = "the tag index can't be read: GetResources: AccessDeniedException: User: arn:aws:sts::123456789012:assumed-role/groundcrew/session is not authorized to perform: tag:GetResources";
        let tag_source = TagSource::OneByOne { why: why.into() };
        insta::assert_snapshot!(screen(&snapshot(), "-", Some(&tag_source)), @r"
        Snapshot: 1,234 accounts on stdout

        accounts    1,234: 1,233 active, 1 suspended
        enrolled    1,200: 66 current, 1,134 outdated
        of these    1 tainted
        no product  34, which Account Factory can't update: 200000000000, 200000000001,
                    200000000002, …
        target      pa-aaaaaaaaaaaac of prod-aaaaaaaaaaaab
        tags        one by one: the tag index can't be read: GetResources:
                    AccessDeniedException: User:
                    arn:aws:sts::123456789012:assumed-role/groundcrew/session is not
                    authorized to perform: tag:GetResources
        unreadable  2 accounts; the first is 200000001232: ListTagsForResource:
                    AccessDeniedException: You don't have permissions to access this
                    resource.
        AWS calls   88
               70 ListAccounts                      14 SearchProvisionedProducts
                4 GetResources
        time        8.2 s
        ");
    }

    #[test]
    fn an_empty_organization() {
        let tag_source = TagSource::Batch { agreed: 0 };
        insta::assert_snapshot!(screen(&Snapshot::default(), "a/b.json", Some(&tag_source)), @r"
        Snapshot: 0 accounts in a/b.json

        accounts    0
        enrolled    0
        tags        in batch, checked against 0 accounts
        AWS calls   88
               70 ListAccounts                      14 SearchProvisionedProducts
                4 GetResources
        time        8.2 s
        ");
    }
}
