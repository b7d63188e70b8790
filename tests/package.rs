//! `groundcrew package`, and runs of its packages.

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use common::server::Server;
use common::{CommandOutput, command, event, groundcrew, root, run_command};
use groundcrew_plugins::package::BUILD;
use groundcrew_testkit::components;
use rstest::rstest;
use serde_json::Value;

/// A config whose plugins are compiled quickly.
const SMALL: &str = r#"
[ledger]
table = "groundcrew"

[[policies]]
plugin = "./own.wasm"
actions = ["onboard"]

[[policies]]
plugin = "managed-tag"

[[notifiers]]
name = "ams"
plugin = "ams-case"
on = ["CreateManagedAccount"]
"#;

/// Everything else that a config may name.
const MORE: &str = r#"
[[policies]]
plugin = "rules/rings.rego"
actions = ["onboard"]

[[notifiers]]
name = "tell"
plugin = "webhook"
on = ["UpdateManagedAccount"]
[notifiers.settings]
url = "https://hooks.example.com/landed"
[[notifiers.grants.http]]
url = "https://hooks.example.com/"
methods = ["POST"]
headers = { authorization = { env = "TOKEN" } }
ca_file = "ca.pem"
"#;

const SCRIPT: &str = "package rings\n\ndefault decision := \"abstain\"\n";

/// Both together.
fn config() -> String {
    [SMALL, MORE].concat()
}

/// A folder with the small config.
fn small() -> tempfile::TempDir {
    let dir = prepare_dir();
    fs::write(dir.path().join("crew.toml"), SMALL).unwrap();
    dir
}

/// A folder with the config and the files that it names.
fn prepare_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    fs::create_dir(dir.path().join("rules")).unwrap();
    write("crew.toml", config().as_bytes());
    write("rules/rings.rego", SCRIPT.as_bytes());
    write("rules/rings.data.toml", b"canaries = 3\n");
    write("rules/rings.cases.toml", b"");
    write("own.wasm", &components::ABSTAIN.build());
    write("ca.pem", b"-----BEGIN CERTIFICATE-----\n");
    write("unrelated.txt", b"");
    write("groundcrew", &stub());
    dir
}

/// A small program that identifies itself as this build of groundcrew.
fn stub() -> Vec<u8> {
    let mut program = fs::read("/bin/true").unwrap();
    program.extend(BUILD.as_bytes());
    program
}

fn package(dir: &Path, target: &str, more: &[&str]) -> CommandOutput {
    let args = ["package", "--config", "crew.toml", "--target", target, "--out", "out"];
    groundcrew(dir, &[&args[..], &["--binary", "./groundcrew"], more].concat())
}

/// A package for Lambda.
fn lambda(dir: &Path) -> (PathBuf, CommandOutput) {
    let ran = package(dir, "lambda", &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    (dir.join("out/groundcrew-lambda.zip"), ran)
}

/// Names, modes and contents.
fn entries(zip: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(File::open(zip).unwrap()).unwrap();
    let mut entries = BTreeMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let mode = entry.unix_mode().unwrap();
        entries.insert(entry.name().unwrap().into_owned(), (mode & 0o7777, bytes));
    }
    entries
}

/// The same of a folder, with times.
fn written(folder: &Path) -> BTreeMap<PathBuf, (u32, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(one) = folders.pop() {
        for entry in fs::read_dir(one).unwrap() {
            let path = entry.unwrap().path();
            let about = fs::metadata(&path).unwrap();
            let mut bytes = Vec::new();
            match about.is_dir() {
                true => folders.push(path.clone()),
                false => bytes = fs::read(&path).unwrap(),
            }
            let name = path.strip_prefix(folder).unwrap().to_owned();
            all.insert(name, (about.mode() & 0o7777, about.mtime(), bytes));
        }
    }
    all
}

#[test]
fn a_package_has_the_binary_the_config_and_what_it_names() {
    let dir = prepare_dir();
    let (zip, ran) = lambda(dir.path());
    let entries = entries(&zip);
    let (cache, others): (Vec<_>, Vec<_>) =
        entries.iter().partition(|(name, _)| name.starts_with("cache/"));
    let others: Vec<_> = others.iter().map(|(name, (mode, _))| (name.as_str(), *mode)).collect();
    assert_eq!(
        others,
        [
            ("bootstrap", 0o755),
            ("ca.pem", 0o644),
            ("groundcrew.toml", 0o644),
            ("own.wasm", 0o644),
            ("rules/", 0o755),
            ("rules/rings.data.toml", 0o644),
            ("rules/rings.rego", 0o644),
        ]
    );
    assert_eq!(entries["groundcrew.toml"].1, config().as_bytes());
    assert_eq!(entries["bootstrap"].1, stub());
    assert_eq!(entries["cache/build"].1, format!("{BUILD}\n").as_bytes());
    let compiled = cache.iter().filter(|(name, _)| name.ends_with(".cwasm"));
    assert_eq!(compiled.count(), 5, "{:?}", entries.keys());

    let digest = sha256(&zip);
    for told in [
        "out/groundcrew-lambda.zip\n",
        &format!("sha256  {digest}\n"),
        "glibc 2.",
        "  bootstrap\n",
        "  rules/rings.rego\n",
        "  ams-case, compiled\n",
        "  managed-tag, compiled\n",
        "  policy scripts, compiled\n",
        "  ./own.wasm, compiled\n",
    ] {
        assert!(ran.stdout.contains(told), "no {told:?} in:\n{}", ran.stdout);
    }
    let size = fs::metadata(&zip).unwrap().len();
    assert_eq!(thousands(&ran.stdout, "size"), size, "{}", ran.stdout);
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
}

/// With a third-party program.
fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

fn thousands(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(key)).unwrap();
    line.trim().strip_suffix(" bytes").unwrap().replace(',', "").parse().unwrap()
}

/// At any time, in any place and by any user, the package is the same.
#[rstest]
#[case("lambda")]
#[case("container")]
fn the_same_input_gives_the_same_bytes(#[case] target: &str) {
    let packages: Vec<_> = [0o644, 0o600]
        .into_iter()
        .map(|mode| {
            let dir = small();
            let plugin = dir.path().join("own.wasm");
            fs::set_permissions(plugin, Permissions::from_mode(mode)).unwrap();
            let mut printed = Vec::new();
            // The second run replaces the first package.
            for _ in 0..2 {
                let ran = package(dir.path(), target, &[]);
                assert_eq!(ran.code, 0, "{}", ran.stderr);
                printed.push(ran.stdout);
            }
            assert_eq!(printed[0], printed[1]);
            let mut all = written(&dir.path().join("out"));
            // The folder's own time is the time of writing.
            all.retain(|path, _| path != Path::new("container"));
            if target == "lambda" {
                all.values_mut().for_each(|(_, time, _)| *time = 0);
            }
            (all, printed)
        })
        .collect();
    assert!(packages[0] == packages[1], "{:?}\n{:?}", packages[0].1, packages[1].1);
}

/// The overlay of a shell for `groundcrew status` belongs to one stack.
#[test]
fn an_overlay_changes_nothing_of_a_package() {
    let dir = small();
    let (zip, plain) = lambda(dir.path());
    let bytes = fs::read(&zip).unwrap();
    let args = ["package", "--config", "crew.toml", "--target", "lambda", "--out", "out"];
    let mut command = command(dir.path());
    command.args(args).args(["--binary", "./groundcrew"]);
    // It would leave the config's own policies out, and so their files.
    let over = "updates.poll_interval = 0\n[[policies]]\nplugin = \"managed-tag\"\n";
    let over = run_command(command.env("GROUNDCREW_OVERLAY", over));
    assert_eq!((over.code, over.stdout), (0, plain.stdout), "{}", over.stderr);
    assert!(fs::read(&zip).unwrap() == bytes);
}

#[test]
fn a_container_has_its_libraries_and_certificates() {
    let dir = prepare_dir();
    let ran = package(dir.path(), "container", &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let all = written(&dir.path().join("out/container"));
    for (path, mode) in [
        ("Containerfile", 0o644),
        ("root/groundcrew", 0o755),
        ("root/cache/build", 0o644),
        ("root/etc/groundcrew/groundcrew.toml", 0o644),
        ("root/etc/groundcrew/rules/rings.rego", 0o644),
        ("root/etc/ssl/certs/ca-certificates.crt", 0o644),
        ("root/etc/passwd", 0o644),
    ] {
        assert_eq!(all.get(Path::new(path)).map(|file| file.0), Some(mode), "{path}");
    }
    assert!(all.values().all(|(mode, time, _)| mode & 0o022 == 0 && *time == 315_532_800));
    let is_there = |name: &str| all.keys().any(|path| path.file_name() == Some(name.as_ref()));
    assert!(is_there("libc.so.6"), "{:?}", all.keys());
    let loader = |name: &str| name.starts_with("ld-linux-");
    let loaders = all.keys().filter(|path| loader(&path.file_name().unwrap().to_string_lossy()));
    assert_eq!(loaders.count(), 1);
}

#[test]
fn everything_that_is_wrong_is_told_at_once_and_nothing_is_written() {
    let dir = prepare_dir();
    let config = r#"
[updates]
poll_interval = 0

[[policies]]
plugin = "../outside.rego"

[[policies]]
name = "absolute"
plugin = "/nowhere/absolute.wasm"

[[policies]]
name = "taken"
plugin = "./cache/taken.wasm"

[[notifiers]]
name = "tell"
plugin = "webhook"
on = ["UpdateManagedAccount"]
[notifiers.settings]
url = "https://hooks.example.com/landed"
[[notifiers.grants.http]]
url = "https://hooks.example.com/"
methods = ["POST"]
headers = { authorization = { file = "token.txt" } }
sign = { file = "/run/secrets/key" }
ca_file = "missing.pem"
"#;
    fs::write(dir.path().join("crew.toml"), config).unwrap();
    fs::write(dir.path().join("groundcrew"), "#!/bin/sh\n").unwrap();
    let ran = package(dir.path(), "lambda", &[]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    for told in [
        "./groundcrew is no ELF file",
        "crew.toml:3: ",
        "crew.toml:6: policy `outside`: ../outside.rego is outside the config's folder",
        "crew.toml:10: policy `absolute`: /nowhere/absolute.wasm is outside",
        "crew.toml:14: policy `taken`: ./cache/taken.wasm has the name of something else",
        "notifier `tell`: the secret in token.txt does not belong into a package: keep it in \
         Secrets Manager",
        "notifier `tell`: the secret in /run/secrets/key does not belong",
        "notifier `tell`, `ca_file`: missing.pem is not there",
    ] {
        assert!(ran.stderr.contains(told), "no {told:?} in:\n{}", ran.stderr);
    }
    assert!(!dir.path().join("out").exists());
}

/// In a container a secret is mounted.
#[test]
fn secrets_are_mounted_into_containers() {
    let dir = prepare_dir();
    let with = |secret: &str| config().replace("{ env = \"TOKEN\" }", secret);
    fs::write(dir.path().join("crew.toml"), with("{ file = \"token.txt\" }")).unwrap();
    let ran = package(dir.path(), "container", &[]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("mount it when the container is run"), "{}", ran.stderr);
    fs::write(dir.path().join("crew.toml"), with("{ file = \"/run/secrets/token\" }")).unwrap();
    let ran = package(dir.path(), "container", &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let printed = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(printed.contains("in /run/secrets/token is not in the package: mount it"), "{printed}");
}

#[rstest]
#[case::lambda("lambda", "a Lambda keeps no files")]
#[case::container("container", "/etc/groundcrew/groundcrew.db")]
fn a_ledger_in_a_file_is_noticed(#[case] target: &str, #[case] told: &str) {
    let dir = prepare_dir();
    fs::write(dir.path().join("crew.toml"), "[ledger]\nfile = \"groundcrew.db\"\n").unwrap();
    let ran = package(dir.path(), target, &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("notice: ") && ran.stdout.contains(told), "{}", ran.stdout);
}

fn replaced(mut bytes: Vec<u8>, old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let at = bytes.windows(old.len()).position(|window| window == old).expect("the old bytes");
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

#[rstest]
#[case::script(|_| b"#!/bin/sh\n".to_vec(), &["no ELF file"])]
#[case::machine(|mut bytes: Vec<u8>| { bytes[18] = 243; bytes }, &["ELF machine 243"])]
#[case::other_build(|bytes: Vec<u8>| replaced(bytes, BUILD.as_bytes(), &[b'x'; BUILD.len()]), &["is not this build"])]
#[case::glibc(|bytes: Vec<u8>| replaced(bytes, b"GLIBC_2.34\0", b"GLIBC_2.38\0"), &["needs glibc 2.38 for `__libc_start_main`", "has 2.34"])]
#[case::libraries(|bytes: Vec<u8>| replaced(bytes, b"libc.so.6\0", b"libx.so.6\0"), &["needs libx.so.6"])]
fn a_binary_that_a_lambda_can_not_run_is_refused(
    #[case] change: fn(Vec<u8>) -> Vec<u8>,
    #[case] told: &[&str],
) {
    let dir = prepare_dir();
    fs::write(dir.path().join("groundcrew"), change(stub())).unwrap();
    let ran = package(dir.path(), "lambda", &[]);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    for told in told {
        assert!(ran.stderr.contains(told), "no {told:?} in {}", ran.stderr);
    }
    assert!(!dir.path().join("out").exists());
}

/// Code for one architecture is of no use to another.
#[test]
fn a_binary_for_another_architecture_is_refused() {
    let dir = prepare_dir();
    let mut program = stub();
    let (other, name) = match program[18] {
        62 => (183, "arm64"),
        _ => (62, "x86-64"),
    };
    program[18] = other;
    fs::write(dir.path().join("groundcrew"), program).unwrap();
    let ran = package(dir.path(), "lambda", &[]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let told = format!("make the package with a groundcrew for {name}");
    assert!(ran.stderr.contains(&told), "{}", ran.stderr);
}

#[test]
fn a_folder_that_is_no_package_is_left_alone() {
    let dir = prepare_dir();
    fs::create_dir_all(dir.path().join("out/container")).unwrap();
    fs::write(dir.path().join("out/container/thesis.txt"), "").unwrap();
    let ran = package(dir.path(), "container", &[]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("is there and is no package"), "{}", ran.stderr);
    assert!(dir.path().join("out/container/thesis.txt").exists());
}

/// An unpacked package. Its program is the one under test, which saves the time of packing a large
/// binary.
fn unpacked() -> tempfile::TempDir {
    static PACKAGE: OnceLock<BTreeMap<String, (u32, Vec<u8>)>> = OnceLock::new();
    let entries = PACKAGE.get_or_init(|| {
        let dir = small();
        entries(&lambda(dir.path()).0)
    });
    // In the program's directory, so that the program can be hard-linked.
    let program = Path::new(env!("CARGO_BIN_EXE_groundcrew"));
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for (name, (mode, bytes)) in entries {
        let path = dir.path().join(name);
        match name.strip_suffix('/') {
            Some(_) => fs::create_dir_all(&path).unwrap(),
            None if name == "bootstrap" => fs::hard_link(program, &path).unwrap(),
            None => fs::write(&path, bytes).unwrap(),
        }
        if name != "bootstrap" {
            fs::set_permissions(&path, Permissions::from_mode(*mode)).unwrap();
        }
    }
    dir
}

/// Runs the packaged program.
fn bootstrap(dir: &Path) -> Command {
    alone(dir, &dir.join("bootstrap"))
}

/// Runs a program as the tests do, without a directory for compiled plugins.
fn alone(dir: &Path, program: &Path) -> Command {
    let own = command(dir);
    let mut command = Command::new(program);
    command.current_dir(dir);
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("GROUNDCREW_CACHE", "").env("GROUNDCREW_LOG", "groundcrew_plugins=debug");
    command
}

fn check(dir: &Path) -> CommandOutput {
    let ran = run_command(bootstrap(dir).args(["check", "--config", "groundcrew.toml"]));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    ran
}

/// The numbers of plugins that were loaded from the package and that were compiled.
fn loaded_and_compiled(log: &str) -> (usize, usize) {
    let from_package = log.lines().filter(|line| line.contains("\"from\":\"package\""));
    (from_package.count(), log.matches("plugin compiled").count())
}

#[test]
fn a_packaged_program_compiles_nothing() {
    let dir = unpacked();
    let ran = check(dir.path());
    assert_eq!(loaded_and_compiled(&ran.stderr), (3, 0), "{}", ran.stderr);
    assert!(!ran.stderr.contains("WARN"), "{}", ran.stderr);
}

fn compiled(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("cache")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension() == Some("cwasm".as_ref())).collect()
}

fn each(dir: &Path, change: fn(&Path)) {
    compiled(dir).iter().for_each(|path| change(path));
}

#[rstest]
#[case::flipped(|dir: &Path| each(dir, |path| {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}), "is damaged")]
#[case::cut_off(|dir: &Path| each(dir, |path| fs::write(path, b"abc").unwrap()), "is damaged")]
#[case::missing(|dir: &Path| each(dir, |path| fs::remove_file(path).unwrap()), "is missing: make the package anew")]
#[case::writable(|dir: &Path| each(dir, |path| fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap()), "can be written to by others")]
#[case::writable_folder(|dir: &Path| fs::set_permissions(dir.join("cache"), Permissions::from_mode(0o777)).unwrap(), "can be written to by others")]
#[case::other_build(|dir: &Path| fs::write(dir.join("cache/build"), "groundcrew-build:0.0.1+1").unwrap(), "another build of groundcrew (groundcrew-build:0.0.1+1")]
#[case::a_file(|dir: &Path| { fs::remove_dir_all(dir.join("cache")).unwrap(); fs::write(dir.join("cache"), "").unwrap(); }, "cache/build: Not a directory")]
#[case::a_dangling_link(|dir: &Path| { fs::remove_dir_all(dir.join("cache")).unwrap(); std::os::unix::fs::symlink("nowhere", dir.join("cache")).unwrap(); }, "cache: No such file")]
#[case::named_pipes(|dir: &Path| each(dir, |path| { fs::remove_file(path).unwrap(); common::fifo(path); }), "it is a named pipe (FIFO)")]
#[case::no_build(|dir: &Path| fs::remove_file(dir.join("cache/build")).unwrap(), "cache/build: No such file")]
fn without_a_usable_cache_it_says_so_and_works(#[case] spoil: fn(&Path), #[case] told: &str) {
    let dir = unpacked();
    spoil(dir.path());
    let ran = check(dir.path());
    assert_eq!(loaded_and_compiled(&ran.stderr), (0, 3), "{}", ran.stderr);
    let warned = ran.stderr.lines().any(|line| line.contains("WARN") && line.contains(told));
    assert!(warned, "no {told:?} in {}", ran.stderr);
}

/// The Runtime API of Lambda, for one event: returns the function's response.
fn invoke(listener: &TcpListener, event: &str) -> Value {
    loop {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        // One connection may have many requests.
        while let Some((line, body)) = request(&mut reader) {
            if line.contains("/invocation/next") {
                let deadline = jiff::Timestamp::now().as_millisecond() + 60_000;
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                     Lambda-Runtime-Aws-Request-Id: 8476a536\r\n\
                     Lambda-Runtime-Deadline-Ms: {deadline}\r\n\
                     Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:g\r\n\
                     Content-Length: {}\r\n\r\n{event}",
                    event.len()
                )
                .unwrap();
            } else {
                assert!(line.contains("/invocation/8476a536/response"), "{line}: {body}");
                return serde_json::from_str(&body).unwrap();
            }
        }
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut first = String::new();
    if reader.read_line(&mut first).ok()? == 0 {
        return None;
    }
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    while chunked {
        let mut size = String::new();
        reader.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).unwrap();
        body.extend(&chunk[..size]);
        chunked = size > 0;
    }
    Some((first, String::from_utf8(body).unwrap()))
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A packaged Lambda function that opens a case, with these variables; returns its log.
fn lambda_that_opens_a_case(dir: &Path, variables: &[(&str, &Path)]) -> String {
    let aws = Server::sim_aws(0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let log = dir.join("log");
    let mut lambda = bootstrap(dir);
    aws.environment(&mut lambda)
        .envs(variables.iter().copied())
        .env("AWS_LAMBDA_RUNTIME_API", listener.local_addr().unwrap().to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "g")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("LAMBDA_TASK_ROOT", dir)
        .stdout(Stdio::null())
        .stderr(File::create(&log).unwrap());
    let running = Running(lambda.spawn().unwrap());
    let answer = invoke(&listener, &event("create-managed-account-succeeded"));
    drop(running);
    assert_eq!(answer["outcome"], "notified", "{answer}");
    assert_eq!(aws.inspect("cases").as_array().unwrap().len(), 1);
    fs::read_to_string(log).unwrap()
}

#[test]
fn a_packaged_lambda_opens_a_case_without_compiling() {
    let dir = unpacked();
    let log = lambda_that_opens_a_case(dir.path(), &[]);
    let (loaded, compiled) = loaded_and_compiled(&log);
    assert!(loaded >= 2 && compiled == 0, "{log}");
}

/// Files are in the place of its compiled plugins and of its cache: then it compiles the plugins,
/// and reports each place once.
#[test]
fn a_lambda_without_a_place_for_compiled_plugins_opens_a_case() {
    let dir = unpacked();
    fs::remove_dir_all(dir.path().join("cache")).unwrap();
    fs::write(dir.path().join("cache"), "").unwrap();
    let taken = dir.path().join("taken");
    fs::write(&taken, "").unwrap();
    let log = lambda_that_opens_a_case(dir.path(), &[("GROUNDCREW_CACHE", &taken)]);
    let (loaded, compiled) = loaded_and_compiled(&log);
    assert!(loaded == 0 && compiled >= 2, "{log}");
    assert_eq!(log.matches("compiling instead").count(), 1, "{log}");
    assert_eq!(log.matches("GROUNDCREW_CACHE").count(), 1, "{log}");
}

/// With nothing replaced, and run in its own folder.
#[test]
fn the_running_program_packages_itself() {
    let dir = small();
    let args = ["package", "--config", "crew.toml", "--target", "container", "--out", "out"];
    let packaged = groundcrew(dir.path(), &args);
    assert_eq!(packaged.code, 0, "{}", packaged.stderr);
    if cfg!(debug_assertions) {
        assert!(packaged.stdout.contains("is a debug build of"), "{}", packaged.stdout);
    }
    let image = dir.path().join("out/container/root");
    let program = fs::read(env!("CARGO_BIN_EXE_groundcrew")).unwrap();
    assert!(fs::read(image.join("groundcrew")).unwrap() == program);
    let config = image.join("etc/groundcrew/groundcrew.toml");
    let ran = run_command(
        alone(dir.path(), &image.join("groundcrew")).args(["check", "--config"]).arg(config),
    );
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(loaded_and_compiled(&ran.stderr), (3, 0), "{}", ran.stderr);
}

/// Sends the same response to every request.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (line, _) = request(&mut BufReader::new(stream.try_clone().unwrap())).unwrap();
            assert_eq!(line, "GET /healthz HTTP/1.1\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

#[rstest]
#[case::well("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", 0, "ok\n")]
#[case::stuck(
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 14\r\n\r\nno round since",
    1,
    "503 Service Unavailable: no round since\n"
)]
#[case::no_http("SSH-2.0-OpenSSH_9.2\r\n", 1, "no answer to GET /healthz")]
fn health_is_what_the_service_says(
    #[case] answer: &'static str,
    #[case] code: i32,
    #[case] told: &str,
) {
    let ran = groundcrew(&root(), &["health", "--address", &answering(answer)]);
    assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
    assert!((ran.stdout + &ran.stderr).contains(told));
}

#[test]
fn a_service_that_does_not_run_is_not_well() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ran = groundcrew(&root(), &["health", "--address", &address]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("nobody listens there"), "{}", ran.stderr);
}
