//! Checks the responses of the served model against botocore's service models.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use groundcrew_sim::{FaultLevel, ServeOptions, random_fleet, serve};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::oneshot;

/// The Python interpreter with boto3: `GROUNDCREW_PYTHON`, or that of the virtual environment.
fn python(workspace: &Path) -> PathBuf {
    match std::env::var_os("GROUNDCREW_PYTHON") {
        Some(python) => python.into(),
        None => workspace.join(".venv/bin/python"),
    }
}

#[tokio::test]
async fn every_answer_is_as_botocore_has_it() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let python = python(workspace);
    let script = workspace.join("tests/botocore/conformance.py");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut snapshot = random_fleet(30, 50, 1);
    for account in &mut snapshot.accounts {
        account.update_seconds = 1;
    }
    let options = ServeOptions { seed: 1, snapshot, faults: FaultLevel::None, quota: 5 };
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, options, async {
        let _ = stopped.await;
    }));

    let output = Command::new(&python)
        .arg(script)
        .arg(&endpoint)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap_or_else(|error| {
            panic!(
                "{} can't be run ({error}): make it by `make setup`, or name a Python that has boto3 in GROUNDCREW_PYTHON",
                python.display()
            )
        });
    drop(stop);
    server.await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.trim_end().ends_with(", 0 problems"), "{text}");
    print!("{text}");
}
