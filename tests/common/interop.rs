//! Third-party software: moto and ministack, with boto3 as the client.

use std::path::Path;

use super::function::program;
use super::server::{Server, free_port};
use super::{root, run_command};

/// Runs a script of `tests/interop` against a server, and returns its output.
pub fn python(aws: &Server, script: &str, args: &[&str]) -> String {
    let mut command = program(".venv", "python");
    command.arg(root().join("tests/interop").join(script)).args(args);
    let ran = run_command(aws.environment(&mut command).env("AWS_DEFAULT_REGION", "us-east-1"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout
}

pub fn moto() -> Server {
    let port = free_port();
    let mut command = program(".venv", "moto_server");
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
    Server::start(&mut command, format!("127.0.0.1:{port}"))
}

/// Starts ministack with a folder to work in. It retries a failed invocation sooner than AWS does.
pub fn ministack(dir: &Path) -> Server {
    let port = free_port();
    let mut command = program(".venv-ministack", "ministack");
    command
        .env("GATEWAY_PORT", port.to_string())
        .env("LAMBDA_ASYNC_RETRY_BASE_SECONDS", "0.1")
        .current_dir(dir);
    Server::start(&mut command, format!("127.0.0.1:{port}"))
}
