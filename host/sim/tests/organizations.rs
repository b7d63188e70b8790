//! Organizations through the adapter: listing, OUs, tags, throttling.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Setup, run};
use groundcrew_aws::ResourceTags;
use groundcrew_core::account::{Account, AccountState};
use groundcrew_core::aws_error::ErrorClass;
use groundcrew_core::ports::{AccountDirectory, TagIndex};
use groundcrew_sim::{FaultLevel, Snapshot, random_fleet};

async fn all_accounts(setup: &Setup) -> (Vec<Arc<Account>>, usize) {
    let (mut accounts, mut next, mut empty) = (Vec::new(), None, 0);
    loop {
        let page = setup.directory.accounts(next.as_deref()).await.unwrap();
        empty += usize::from(page.items.is_empty());
        accounts.extend(page.items);
        next = page.next;
        if next.is_none() {
            return (accounts, empty);
        }
    }
}

#[test]
fn ten_thousand_accounts_are_listed_with_their_units() {
    run(async {
        let setup = Setup::of(10_000);
        let (accounts, empty) = all_accounts(&setup).await;
        assert_eq!(accounts.len(), 10_000);
        assert!(empty > 10, "{empty}");
        let calls = setup.sim.calls();
        // The name of each OU is read once.
        assert_eq!(calls["DescribeOrganizationalUnit"], 7);
        assert_eq!(calls["ListAccounts"], 500 + empty as u64);
        let names: Vec<_> =
            accounts[0].organizational_units.iter().map(|unit| unit.name.as_str()).collect();
        let snapshot = random_fleet(10_000, 50, 1);
        assert_eq!(names, snapshot.accounts[0].ou);
        assert_eq!(accounts[0].email, "aws+200000000000@example.com");
        assert!(accounts[0].joined.is_some());
    });
}

#[test]
fn one_account_is_as_in_the_listing() {
    run(async {
        let text = r#"{"accounts":[
            {"id":"111122223333","name":"A","ou":["Workloads","Prod"]},
            {"id":"111122223334","name":"B"}]}"#;
        let setup = Setup::new(Snapshot::parse(text).unwrap(), FaultLevel::None, 1);
        let (accounts, _) = all_accounts(&setup).await;
        for account in &accounts {
            assert_eq!(&setup.directory.account(&account.id).await.unwrap(), account);
        }
        assert!(accounts[1].organizational_units.is_empty());
        let error = setup.directory.account(&"999999999999".parse().unwrap()).await.unwrap_err();
        assert_eq!(
            (error.class, error.code.as_str()),
            (ErrorClass::NotFound, "AccountNotFoundException")
        );
    });
}

#[test]
fn tags_are_read_or_denied() {
    run(async {
        let text = r#"{"accounts":[
            {"id":"111122223333","name":"A","tags":{"team":"x","empty":""}},
            {"id":"111122223334","name":"B","tags":null},
            {"id":"111122223335","name":"C"}]}"#;
        let setup = Setup::new(Snapshot::parse(text).unwrap(), FaultLevel::None, 1);
        let tags = async |id: &str| setup.directory.tags(&id.parse().unwrap()).await;
        let known = tags("111122223333").await.unwrap();
        assert_eq!(
            known.into_iter().collect::<Vec<_>>(),
            [("empty".to_owned(), String::new()), ("team".to_owned(), "x".to_owned())]
        );
        assert!(tags("111122223335").await.unwrap().is_empty());
        let error = tags("111122223334").await.unwrap_err();
        assert_eq!(
            (error.class, error.code.as_str()),
            (ErrorClass::Denied, "AccessDeniedException")
        );
        assert_eq!(setup.sim.calls()["ListTagsForResource"], 3);
    });
}

#[test]
fn throttling_is_absorbed_and_the_rate_is_used() {
    run(async {
        const ACCOUNTS: usize = 2_000;
        const AT_ONCE: usize = 16;
        let setup = Arc::new(Setup::of(ACCOUNTS));
        let (accounts, _) = all_accounts(&setup).await;
        let start = tokio::time::Instant::now();
        let accounts = Arc::new(accounts);
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..AT_ONCE {
            let (setup, accounts) = (Arc::clone(&setup), Arc::clone(&accounts));
            tasks.spawn(async move {
                for account in accounts.iter().skip(worker).step_by(AT_ONCE) {
                    setup.directory.tags(&account.id).await.unwrap();
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        let took = start.elapsed();
        let calls = setup.sim.calls()["ListTagsForResource"];
        // The simulated AWS admits 20 a second: 100 s at best.
        assert!(took < Duration::from_secs(200), "{took:?}, {calls} calls");
        assert!(calls < 2 * ACCOUNTS as u64, "{calls} calls in {took:?}");
    });
}

#[test]
fn what_the_snapshot_says_of_an_account_is_shown() {
    run(async {
        let text = r#"{"accounts":[
            {"id":"111122223333","name":"A","ou":["Workloads","Prod"],
             "ou_ids":["ou-abcd-11111111","ou-abcd-22222222"],
             "joined":"2020-01-02T03:04:05Z","state":"SUSPENDED"},
            {"id":"111122223334","name":"B","ou":["Workloads"]}]}"#;
        let setup = Setup::new(Snapshot::parse(text).unwrap(), FaultLevel::None, 1);
        let (accounts, _) = all_accounts(&setup).await;
        let ids = |account: &Account| -> Vec<String> {
            account.organizational_units.iter().map(|unit| unit.id.clone()).collect()
        };
        assert_eq!(ids(&accounts[0]), ["ou-abcd-11111111", "ou-abcd-22222222"]);
        assert_eq!(ids(&accounts[1]), ["ou-abcd-11111111"]);
        assert_eq!(accounts[0].joined, Some("2020-01-02T03:04:05Z".parse().unwrap()));
        let states = [accounts[0].state, accounts[1].state];
        assert_eq!(states, [Some(AccountState::Suspended), Some(AccountState::Active)]);
    });
}

#[test]
fn the_tag_index_lists_accounts_with_tags() {
    run(async {
        let setup = Setup::new(random_fleet(1_000, 50, 1), FaultLevel::None, 1);
        let index = ResourceTags::new(setup.clients.tagging.clone());
        let (mut tagged, mut next, mut empty) = (Vec::new(), None, 0);
        loop {
            let page = index.tagged(next.as_deref()).await.unwrap();
            empty += usize::from(page.items.is_empty());
            tagged.extend(page.items);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!((tagged.len(), empty), (500, 1));
        for (account, tags) in tagged.iter().step_by(50) {
            assert_eq!(&setup.directory.tags(account).await.unwrap(), tags);
        }
        let error = index.tagged(Some("nonsense")).await.unwrap_err();
        assert_eq!(error.code, "InvalidParameterException");
        setup.sim.deny("GetResources");
        assert_eq!(index.tagged(None).await.unwrap_err().class, ErrorClass::Denied);
    });
}
