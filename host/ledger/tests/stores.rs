//! The promises of every kind of store.

mod common;

use common::{Kind, store};
use groundcrew_ledger::{Key, Store, Write};
use rstest::rstest;

fn write(sort: &str, expected: Option<u64>, new: Option<&str>) -> Write {
    Write::new(Key::new("p", sort), expected, new.map(str::to_owned))
}

async fn version(store: &dyn Store, sort: &str) -> Option<u64> {
    store.get(&Key::new("p", sort)).await.unwrap().map(|item| item.version)
}

async fn values(store: &dyn Store) -> Vec<(String, String)> {
    let items = store.list("p").await.unwrap();
    items.into_iter().map(|(sort, item)| (sort, item.json)).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(sort, json)| (sort.to_string(), json.to_string())).collect()
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn all_is_written_or_nothing(#[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind) {
    let (store, _kept) = store(kind);
    let store = store.as_ref();
    let first = [write("a", None, Some("1")), write("b", None, Some("2"))];
    assert_eq!(store.commit(&first).await, Ok(true));
    assert_eq!(store.commit(&first).await, Ok(false));
    let a = version(store, "a").await;
    // The first write would be possible, the second would not.
    for refused in [
        [write("a", a, Some("3")), write("b", None, Some("4"))],
        [write("a", a, None), write("b", Some(u64::MAX), Some("4"))],
        [write("c", None, Some("3")), write("d", Some(1), Some("4"))],
    ] {
        assert_eq!(store.commit(&refused).await, Ok(false));
        assert_eq!(values(store).await, pairs(&[("a", "1"), ("b", "2")]));
    }
    let b = version(store, "b").await;
    let second = [write("a", a, Some("3")), write("b", b, None), write("c", None, Some("5"))];
    assert_eq!(store.commit(&second).await, Ok(true));
    assert_eq!(values(store).await, pairs(&[("a", "3"), ("c", "5")]));
    assert_ne!(version(store, "a").await, a);
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_partition_is_listed_by_itself_and_in_order(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let (store, _kept) = store(kind);
    for (partition, sort) in [("p", "b"), ("p", "a"), ("o", "z"), ("p/", "a"), ("q", "a")] {
        let key = Key::new(partition, sort);
        let write = Write::new(key, None, Some("1".into()));
        assert_eq!(store.commit(&[write]).await, Ok(true));
    }
    assert_eq!(values(store.as_ref()).await, pairs(&[("a", "1"), ("b", "1")]));
    assert_eq!(store.list("none").await, Ok(vec![]));
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn the_version_of_a_deleted_item_does_not_come_back(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let (store, _kept) = store(kind);
    let store = store.as_ref();
    store.commit(&[write("a", None, Some("1"))]).await.unwrap();
    let old = version(store, "a").await;
    store.commit(&[write("a", old, None)]).await.unwrap();
    assert_eq!(version(store, "a").await, None);
    store.commit(&[write("a", None, Some("1"))]).await.unwrap();
    assert_eq!(store.commit(&[write("a", old, Some("2"))]).await, Ok(false));
    assert_eq!(values(store).await, pairs(&[("a", "1")]));
}
