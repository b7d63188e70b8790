//! The ledger: a file that can be used, or a table with the right keys.

use super::{Check, Fact, Facts, Finding, LedgerFacts, LedgerFile, ReadFailureReason, TableFacts};

const CHECK: Check = Check::Ledger;

pub(super) fn ledger(facts: &Facts) -> Vec<Finding> {
    match &facts.ledger {
        LedgerFacts::File { path, state } => vec![file(path, state)],
        LedgerFacts::Table { name, table: Some(table) } => self::table(name, table),
        LedgerFacts::Table { table: None, .. } => vec![Finding::without_credentials(CHECK)],
    }
}

fn file(path: &str, state: &LedgerFile) -> Finding {
    match state {
        LedgerFile::Usable => Finding::ok(CHECK, format!("the file {path}")),
        LedgerFile::Absent => Finding::ok(CHECK, format!("the file {path}, which will be made")),
        LedgerFile::InUse => Finding::warning(
            CHECK,
            format!("another groundcrew has the file {path} open"),
            "if that is the one that is meant to run, all is well; a second one on this file \
             will not start",
        ),
        LedgerFile::Unusable(error) => {
            // Such an error ends with what to do.
            let (found, fix) = error.rsplit_once(": ").unwrap_or((error, "check the file"));
            Finding::failed(CHECK, found, fix)
        }
    }
}

fn table(name: &str, table: &Fact<TableFacts>) -> Vec<Finding> {
    const CREATE_TABLE_ADVICE: &str =
        "make a table with the string keys pk (partition) and sk (sort)";
    let table = match table {
        Ok(table) => table,
        Err(read_failure) if read_failure.reason == ReadFailureReason::Absent => {
            return vec![Finding::failed(
                CHECK,
                format!("there is no table {name} for this caller"),
                format!(
                    "{CREATE_TABLE_ADVICE} in the home Region, or set ledger.table to one that is there"
                ),
            )];
        }
        Err(read_failure) => return vec![read_failure.optional_finding(CHECK)],
    };
    let mut findings = Vec::new();
    let is = |key: &Option<(String, String)>, name: &str| {
        key.as_ref().is_some_and(|(found, kind)| found == name && kind == "S")
    };
    if !is(&table.partition, "pk") || !is(&table.sort, "sk") {
        let key = |key: &Option<(String, String)>| match key {
            Some((name, kind)) => format!("{name} ({kind})"),
            None => "none".to_owned(),
        };
        findings.push(Finding::failed(
            CHECK,
            format!(
                "the table {name} has the partition key {} and the sort key {}",
                key(&table.partition),
                key(&table.sort)
            ),
            format!("{CREATE_TABLE_ADVICE}, and set ledger.table to it: keys can't be changed"),
        ));
    }
    match table.status.as_str() {
        "ACTIVE" => {}
        // It can be used meanwhile.
        "UPDATING" => findings.push(Finding::warning(
            CHECK,
            format!("the table {name} is being changed"),
            "wait until it is ACTIVE",
        )),
        status => findings.push(Finding::failed(
            CHECK,
            format!("the table {name} is {status}"),
            "wait until it is ACTIVE; a table that is being deleted has to be made anew",
        )),
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("the table {name}, ACTIVE")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::{ReadFailure, Status};
    use super::*;
    use rstest::rstest;

    fn keyed(status: &str, partition: &str, sort: Option<&str>) -> TableFacts {
        let key = |text: &str| {
            let (name, kind) = text.split_once(' ').unwrap();
            (name.to_owned(), kind.to_owned())
        };
        TableFacts { status: status.into(), partition: Some(key(partition)), sort: sort.map(key) }
    }

    #[rstest]
    #[case(keyed("ACTIVE", "pk S", Some("sk S")), Status::Ok, "the table crew, ACTIVE")]
    #[case(keyed("UPDATING", "pk S", Some("sk S")), Status::Warning, "being changed")]
    #[case(keyed("CREATING", "pk S", Some("sk S")), Status::Failed, "is CREATING")]
    #[case(keyed("ACTIVE", "pk S", None), Status::Failed, "key pk (S) and the sort key none")]
    #[case(keyed("ACTIVE", "pk N", Some("sk S")), Status::Failed, "partition key pk (N)")]
    #[case(keyed("ACTIVE", "id S", Some("sk S")), Status::Failed, "partition key id (S)")]
    fn a_table_has_its_keys(#[case] found: TableFacts, #[case] status: Status, #[case] told: &str) {
        let findings = table("crew", &Ok(found));
        assert_eq!(findings[0].status, status, "{findings:?}");
        assert!(findings[0].found.contains(told), "{findings:?}");
    }

    #[rstest]
    #[case(ReadFailureReason::Absent, Status::Failed)]
    #[case(ReadFailureReason::Denied, Status::Unknown)]
    fn a_table_may_be_unreadable(#[case] reason: ReadFailureReason, #[case] status: Status) {
        let read_failure =
            ReadFailure { action: "dynamodb:DescribeTable".into(), reason, message: "no".into() };
        assert_eq!(table("crew", &Err(read_failure))[0].status, status);
    }

    #[rstest]
    #[case(LedgerFile::Usable, Status::Ok, None)]
    #[case(LedgerFile::Absent, Status::Ok, None)]
    #[case(LedgerFile::InUse, Status::Warning, Some("all is well"))]
    #[case(LedgerFile::Unusable("ledger file a.db: it is damaged: put back a copy".into()), Status::Failed, Some("put back a copy"))]
    fn a_file_can_be_had(
        #[case] state: LedgerFile,
        #[case] status: Status,
        #[case] fix: Option<&str>,
    ) {
        let finding = file("a.db", &state);
        assert_eq!(finding.status, status);
        assert_eq!(finding.fix.is_some(), fix.is_some());
        assert!(fix.is_none_or(|fix| finding.fix.unwrap().contains(fix)));
    }
}
