//! The binary as a Lambda function, under cargo-lambda's Runtime API.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::root;
use super::server::{Server, free_port};

/// A program of one of the Python environments.
pub fn program(environment: &str, name: &str) -> Command {
    let path: PathBuf = root().join(environment).join("bin").join(name);
    assert!(path.exists(), "{} is missing: run `make interop`", path.display());
    Command::new(path)
}

/// The environment of a Lambda function, without the variables of its runtime.
pub fn environment(aws: &Server, config: &Path) -> Value {
    json!({
        "AWS_ENDPOINT_URL": aws.url(),
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "GROUNDCREW_CONFIG": config,
        // Not in the machine's own temporary folder, where any file may have this name.
        "GROUNDCREW_CACHE": Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache"),
    })
}

/// The binary as a running Lambda function, and its Runtime API.
pub struct Function {
    runtime: Server,
    /// The process.
    pub bootstrap: Server,
    _dir: tempfile::TempDir,
}

impl Function {
    /// Starts it with this config, and with these additional variables.
    pub fn start(aws: &Server, config: &str, variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config_file = dir.path().join("crew.toml");
        std::fs::write(&config_file, config).unwrap();
        let port = free_port();
        let mut command = program(".venv", "cargo-lambda");
        command.args(["lambda", "watch", "--only-lambda-apis", "--invoke-port", &port.to_string()]);
        let runtime = Server::start(command.current_dir(root()), format!("127.0.0.1:{port}"));
        let mut bootstrap = super::command(dir.path());
        for (name, value) in environment(aws, &config_file).as_object().unwrap() {
            bootstrap.env(name, value.as_str().unwrap());
        }
        bootstrap
            .envs(variables.iter().copied())
            .env("AWS_LAMBDA_RUNTIME_API", format!("http://127.0.0.1:{port}/.rt"))
            .env("AWS_LAMBDA_FUNCTION_NAME", "_")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "groundcrew")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "1");
        let bootstrap = Server::spawn(&mut bootstrap);
        Self { runtime, bootstrap, _dir: dir }
    }

    pub fn invoke(&self, event: &str) -> Value {
        let answer = self.runtime.invoke("/2015-03-31/functions/_/invocations", event);
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }
}
