//! Packages of `groundcrew package`, run by third-party software: the package for Lambda by
//! ministack, the image by podman.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::interop::{ministack, moto, python};
use common::server::Server;
use common::{event, eventually, groundcrew, root, run_command, wait_for};
use serde_json::{Value, json};

/// Shorter than the function's timeout, so that the host stops a notifier before AWS stops the
/// function. A host that died keeps its claim for this time and half a minute more.
const NOTIFIER_SECONDS: &str = "8s";
const FUNCTION_SECONDS: &str = "6";

/// The program without debug information, so that the package is small.
fn stripped(dir: &Path) -> PathBuf {
    let program = env!("CARGO_BIN_EXE_groundcrew");
    let stripped = run_command(
        Command::new("strip").args(["-s", "-o", "groundcrew", program]).current_dir(dir),
    );
    assert_eq!(stripped.code, 0, "{}", stripped.stderr);
    dir.join("groundcrew")
}

/// Builds the package, and returns its path.
fn package(dir: &Path, topic: &str) -> String {
    let config = format!(
        "[ledger]\ntable = \"groundcrew\"\n[alerts]\ntopic_arn = \"{topic}\"\n\
         [[notifiers]]\nname = \"ams\"\nplugin = \"ams-case\"\non = [\"CreateManagedAccount\"]\n\
         limits = {{ timeout = \"{NOTIFIER_SECONDS}\" }}\n"
    );
    std::fs::write(dir.join("crew.toml"), config).unwrap();
    let program = stripped(dir);
    let args = ["package", "--config", "crew.toml", "--target", "lambda", "--out", "out"];
    let binary = ["--binary", program.to_str().unwrap()];
    let packaged = groundcrew(dir, &[&args[..], &binary].concat());
    assert_eq!(packaged.code, 0, "{}", packaged.stderr);
    dir.join("out/groundcrew-lambda.zip").to_str().unwrap().to_owned()
}

/// A proxy between a function and moto. When enabled, it drops one response of `CreateCase`: the
/// case exists, and the function waits.
///
/// moto claims for every case that it has more communications, but has no `DescribeCommunications`.
/// The proxy corrects that.
struct Interceptor {
    address: String,
    holds_requests: Arc<AtomicBool>,
}

impl Interceptor {
    fn between_functions_and(aws: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (aws, holds_requests) = (aws.address.clone(), Arc::new(AtomicBool::new(false)));
        let (keep, kept) = (Arc::clone(&holds_requests), Arc::new(Mutex::new(Vec::new())));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (aws, keep, kept) = (aws.clone(), Arc::clone(&keep), Arc::clone(&kept));
                std::thread::spawn(move || {
                    let client = client.unwrap();
                    // A client that is gone is not an error.
                    if let Some(answer) = forward(&client, &aws, &keep) {
                        let _ = (&client).write_all(&answer);
                        let _ = client.shutdown(Shutdown::Both);
                    } else {
                        kept.lock().unwrap().push(client);
                    }
                });
            }
        });
        Self { address, holds_requests }
    }
}

/// Forwards a request to AWS; `None` if the response is dropped.
fn forward(client: &TcpStream, aws: &str, keep: &AtomicBool) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(client);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut aws = TcpStream::connect(aws).unwrap();
    write!(aws, "{head}connection: close\r\n\r\n").unwrap();
    aws.write_all(&body).unwrap();
    let mut answer = Vec::new();
    aws.read_to_end(&mut answer).unwrap();
    let (more, no_more) = (br#""foo_next_token""#, b"null            ");
    while let Some(at) = answer.windows(more.len()).position(|window| window == more) {
        answer[at..at + no_more.len()].copy_from_slice(no_more);
    }
    let holds_requests = head.contains("CreateCase") && keep.swap(false, Ordering::SeqCst);
    (!holds_requests).then_some(answer)
}

/// EventBridge, a function, a queue, a second function, and a case in moto's Support, under
/// Lambda's faults.
#[test]
fn a_package_is_run_by_functions_that_are_throttled_and_time_out() {
    let dir = tempfile::tempdir().unwrap();
    let (moto, ministack) = (moto(), ministack(dir.path()));
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let prepared: Value = serde_json::from_str(&python(&moto, "moto.py", &["prepare"])).unwrap();
    let account = prepared["account"].as_str().unwrap();
    let created = event("create-managed-account-succeeded");
    let of =
        |account: &str| file(&format!("{account}.json"), &created.replace("111122223333", account));
    let support = Interceptor::between_functions_and(&moto);
    let variables = json!({
        "AWS_ENDPOINT_URL": moto.url(),
        "AWS_ENDPOINT_URL_SQS": ministack.url(),
        "AWS_ENDPOINT_URL_SUPPORT": format!("http://{}", support.address),
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        // The function's own path is /tmp/groundcrew, which may belong to another user here.
        "GROUNDCREW_CACHE": dir.path().join("plugin-cache"),
    });
    let variables = file("environment.json", &variables.to_string());
    let zip = package(dir.path(), prepared["topic"].as_str().unwrap());

    let lambdas = |args: &[&str]| python(&ministack, "lambdas.py", args);
    let look = || -> Value { serde_json::from_str(&lambdas(&["look"])).unwrap() };
    let seen = || -> Value { serde_json::from_str(&python(&moto, "moto.py", &["look"])).unwrap() };
    let cases = || seen()["cases"].as_array().unwrap().len();
    lambdas(&["deploy", &zip, &variables, FUNCTION_SECONDS]);

    // No invocation may run: queued messages wait. When Lambda has stopped retrying, the event is
    // in the queue of failures. The function is invoked again with it as docs/operations.md
    // describes.
    lambdas(&["concurrency", "notifications", "0"]);
    lambdas(&["put", &of(account)]);
    eventually("a batch is throttled", || look()["throttles"].as_f64() > Some(0.0));
    lambdas(&["concurrency", "events", "0"]);
    lambdas(&["deliver", "events", &of("444455556666")]);
    eventually("Lambda gives up", || look()["failed"].as_array().unwrap().len() == 1);
    let failed = look()["failed"][0].as_str().unwrap().to_owned();
    let failed: Value = serde_json::from_str(&failed).unwrap();
    assert_eq!(cases(), 0);
    lambdas(&["concurrency", "events", "-1"]);
    let again = file("again.json", &failed["requestPayload"].to_string());
    let answer: Value = serde_json::from_str(&lambdas(&["invoke", "events", &again])).unwrap();
    assert_eq!(answer["outcome"], "queued", "{answer}");
    lambdas(&["concurrency", "notifications", "-1"]);
    eventually("two cases", || cases() == 2);
    eventually("an empty queue", || look()["left"] == 0);

    // The case is opened, but the function gets no response and times out. The next invocation
    // finds the case.
    assert_eq!(look()["timeouts"], 0, "{}", look());
    support.holds_requests.store(true, Ordering::SeqCst);
    lambdas(&["put", &of("777788889999")]);
    eventually("a function times out", || look()["timeouts"] == 1);
    assert_eq!(cases(), 3);
    // Its message is hidden for as long as three tries could take, and a minute more.
    wait_for(Duration::from_secs(300), "it is told", || {
        let seen = seen();
        let ledger = seen["ledger"].as_object().unwrap();
        ledger.iter().any(|(key, entry)| key.contains("777788889999") && entry["state"] == "told")
    });
    eventually("an empty queue", || look()["left"] == 0);
    assert!(!support.holds_requests.load(Ordering::SeqCst));

    lambdas(&["send", "group", "{not json"]);
    eventually("a dead letter", || look()["letters"].as_array().unwrap().len() == 1);
    assert!(look()["letters"].to_string().contains("{not json"), "{}", look());
    let seen = seen();
    assert_eq!(seen["cases"].as_array().unwrap().len(), 3, "{seen}");
}

/// As in ECS: not as root, with nothing writable and no capability.
#[cfg(target_os = "linux")]
#[test]
fn an_image_serves_a_fleet() {
    const SKIPPED: i32 = 77;
    let dir = tempfile::tempdir().unwrap();
    let script = root().join("tests/deploy/container.sh");
    let ran = run_command(Command::new(script).arg(stripped(dir.path())));
    if ran.code == SKIPPED {
        // Without podman there is no image to test.
        return eprintln!("{}", ran.stderr);
    }
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("ok: six accounts updated"), "{}", ran.stdout);
}
