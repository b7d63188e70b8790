//! The compile cache: used when it is intact, ignored otherwise.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use groundcrew_plugins::package::{BUILD, BUILD_FILE, Compiler};
use groundcrew_plugins::{Runtime, RuntimeError, RuntimeOptions, Source};
use groundcrew_testkit::components::{ABSTAIN, PolicyComponent};
use groundcrew_testkit::log::capture_logs;
use groundcrew_testkit::policies::load_bytes;
use rstest::rstest;

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

/// What can be in the place of the cache or within it. None of it prevents loading a plugin. It is
/// reported once, for any number of plugins. Reported cases are added here.
#[rstest]
#[case::others_can_write_to_it(|at: &Path| {
    fs::create_dir(at).unwrap();
    fs::set_permissions(at, Permissions::from_mode(0o777)).unwrap();
}, "can be written to by others (mode 777)")]
#[case::a_file(|at: &Path| fs::write(at, "").unwrap(), "File exists")]
#[case::a_file_above_it(|at: &Path| {
    fs::write(at.with_extension("file"), "").unwrap();
    symlink(at.with_extension("file").join("x"), at).unwrap();
}, "compile cache: not used")]
#[case::a_dangling_link(|at: &Path| symlink("nowhere", at).unwrap(), "File exists")]
#[case::a_loop_of_links(|at: &Path| symlink(at, at).unwrap(), "compile cache: not used")]
#[case::read_only(|at: &Path| symlink("/proc/self", at).unwrap(), "compile cache: not used")]
#[case::another_users(|at: &Path| {
    fs::create_dir(at).unwrap();
    // Only if this is root, who may give directories away.
    if chown(at, Some(4711), None).is_err() {
        fs::set_permissions(at, Permissions::from_mode(0o777)).unwrap();
    }
}, "compiled plugins: ")]
#[case::a_named_pipe(|at: &Path| fifo(at), "File exists")]
#[case::no_entry_can_be_written(|at: &Path| spoil_entries(at, |entry| fs::create_dir(entry).unwrap()), "Is a directory")]
#[tokio::test]
async fn a_cache_that_can_not_be_used(#[case] make: fn(&Path), #[case] told: &str) {
    let home = tempfile::tempdir().unwrap();
    let at = home.path().join("cache");
    make(&at);
    let (log, guard) = capture_logs();
    let runtime = open(&at).unwrap();
    for plugin in [ABSTAIN.build(), other()] {
        load_bytes(&runtime, &plugin).await.unwrap();
    }
    drop(guard);
    let log = log.text();
    assert!(log.contains(told), "{log}");
    assert_eq!(log.matches("GROUNDCREW_CACHE").count(), 1, "{log}");
}

/// Entries that can't be read are compiled again, of any kind.
#[rstest]
#[case::a_directory(|entry: &Path| fs::create_dir(entry).unwrap())]
#[case::a_named_pipe(|entry: &Path| fifo(entry))]
#[case::a_dangling_link(|entry: &Path| symlink("nowhere", entry).unwrap())]
#[case::a_device(|entry: &Path| symlink("/dev/zero", entry).unwrap())]
#[tokio::test]
async fn an_entry_that_is_no_file(#[case] make: fn(&Path)) {
    let home = tempfile::tempdir().unwrap();
    let at = home.path().join("cache");
    spoil_entries(&at, make);
    load(&at).await;
}

/// Another plugin than the one of the other tests.
fn other() -> Vec<u8> {
    PolicyComponent { evaluate: "(nop)", ..ABSTAIN }.build()
}

/// Makes a cache in which something else is in the place of each entry.
fn spoil_entries(at: &Path, make: fn(&Path)) {
    let runtime = tokio::runtime::Handle::current();
    let at = at.to_owned();
    std::thread::spawn(move || {
        runtime.block_on(async {
            let filled = open(&at).unwrap();
            load_bytes(&filled, &ABSTAIN.build()).await.unwrap();
            load_bytes(&filled, &other()).await.unwrap();
        });
        for entry in fs::read_dir(&at).unwrap() {
            let entry = entry.unwrap().path();
            fs::remove_file(&entry).unwrap();
            make(&entry);
        }
    })
    .join()
    .unwrap();
}

fn fifo(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
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
#[case::a_file(|directory: &Path| {
    fs::remove_dir_all(directory).unwrap();
    fs::write(directory, "").unwrap();
})]
#[case::a_dangling_link(|directory: &Path| {
    fs::remove_dir_all(directory).unwrap();
    symlink("nowhere", directory).unwrap();
})]
#[case::a_named_pipe_as_build(|directory: &Path| {
    fs::remove_file(directory.join(BUILD_FILE)).unwrap();
    fifo(&directory.join(BUILD_FILE));
})]
#[case::named_pipes_as_plugins(|directory: &Path| {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap().path();
        if entry.extension().is_some_and(|extension| extension == "cwasm") {
            fs::remove_file(&entry).unwrap();
            fifo(&entry);
        }
    }
})]
#[tokio::test]
async fn what_can_not_be_used_of_a_package_is_compiled(#[case] spoil: fn(&Path)) {
    let directory = packaged();
    spoil(directory.path());
    assert!(compiles(directory.path()).await);
}
