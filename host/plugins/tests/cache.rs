//! The compile cache: used when it is sound, ignored when it isn't.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use groundcrew_plugins::package::{BUILD, BUILD_FILE, Compiler};
use groundcrew_plugins::{CacheError, Runtime, RuntimeError, RuntimeOptions, Source};
use rstest::rstest;
use support::load_bytes;
use support::plugin::ABSTAIN;

fn open(directory: &Path) -> Result<Runtime, RuntimeError> {
    Runtime::new(RuntimeOptions { cache_dir: Some(directory.to_owned()) })
}

async fn load(directory: &Path) {
    load_bytes(&open(directory).unwrap(), &ABSTAIN.build()).await.unwrap();
}

fn only_entry(directory: &Path) -> PathBuf {
    let mut entries = fs::read_dir(directory).unwrap();
    let entry = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none());
    entry
}

#[tokio::test]
async fn is_filled_once_and_private() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("groundcrew/cache");
    load(&directory).await;
    assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
    let entry = only_entry(&directory);
    let before = fs::metadata(&entry).unwrap();
    assert_eq!(before.mode() & 0o777, 0o600);
    load(&directory).await;
    let after = fs::metadata(only_entry(&directory)).unwrap();
    assert_eq!(before.ino(), after.ino(), "an entry that works is not written again");
}

#[rstest]
#[case::empty(|_: Vec<u8>| vec![])]
#[case::cut_off(|bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec())]
#[case::flipped(|mut bytes: Vec<u8>| { let middle = bytes.len() / 2; bytes[middle] ^= 1; bytes })]
#[tokio::test]
async fn a_broken_entry_is_compiled_again(#[case] damage: fn(Vec<u8>) -> Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    load(directory.path()).await;
    let entry = only_entry(directory.path());
    let whole = fs::read(&entry).unwrap();
    fs::write(&entry, damage(whole.clone())).unwrap();
    load(directory.path()).await;
    assert_eq!(fs::read(&entry).unwrap(), whole);
}

#[tokio::test]
async fn an_entry_that_others_can_write_is_compiled_again() {
    let directory = tempfile::tempdir().unwrap();
    load(directory.path()).await;
    let entry = only_entry(directory.path());
    fs::set_permissions(&entry, Permissions::from_mode(0o666)).unwrap();
    load(directory.path()).await;
    assert_eq!(fs::metadata(&entry).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_directory_that_others_can_write_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    let error = open(directory.path()).err().unwrap();
    assert!(
        matches!(error, RuntimeError::Cache(CacheError::Writable { mode: 0o777, .. })),
        "{error}"
    );
}

/// A package's folder with the plugin of these tests.
fn packaged() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    let plugin = directory.path().join("abstain.wasm");
    fs::write(&plugin, ABSTAIN.build()).unwrap();
    let source = Source::File(plugin);
    let compiled = Compiler::new().unwrap().compile("abstain", &source).unwrap();
    let again = Compiler::new().unwrap().compile("abstain", &source).unwrap();
    assert_eq!(compiled.name, again.name);
    assert!(compiled.bytes == again.bytes, "the same plugin gave other bytes");
    fs::write(directory.path().join(&compiled.name), compiled.bytes).unwrap();
    fs::write(directory.path().join(BUILD_FILE), BUILD).unwrap();
    directory
}

/// Only what is compiled is put into the cache.
async fn compiles(package: &Path) -> bool {
    let cache = tempfile::tempdir().unwrap();
    let runtime = open(cache.path()).unwrap().with_package(package);
    load_bytes(&runtime, &ABSTAIN.build()).await.unwrap();
    fs::read_dir(cache.path()).unwrap().next().is_some()
}

#[tokio::test]
async fn what_a_package_has_is_not_compiled() {
    assert!(!compiles(packaged().path()).await);
}

#[rstest]
#[case::other_build(|directory: &Path| fs::write(directory.join(BUILD_FILE), "other").unwrap())]
#[case::no_build(|directory: &Path| fs::remove_file(directory.join(BUILD_FILE)).unwrap())]
#[case::writable(|directory: &Path| fs::set_permissions(directory, Permissions::from_mode(0o777)).unwrap())]
#[case::nothing(|directory: &Path| fs::remove_dir_all(directory).unwrap())]
#[tokio::test]
async fn what_can_not_be_used_of_a_package_is_compiled(#[case] spoil: fn(&Path)) {
    let directory = packaged();
    spoil(directory.path());
    assert!(compiles(directory.path()).await);
}
