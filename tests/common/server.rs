//! Servers on loopback for tests: the simulated AWS, and third-party software.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{CommandOutput, command, eventually, run_command};

/// A server that ends with the test.
pub struct Server {
    child: Child,
    /// As in `127.0.0.1:4577`.
    pub address: String,
    /// The output of the simulated AWS at the start.
    pub banner: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// `groundcrew sim-aws` on a free port, with an organization of this many accounts.
    pub fn sim_aws(accounts: usize) -> Self {
        Self::sim_aws_with(&["--accounts", &accounts.to_string()])
    }

    /// `groundcrew sim-aws` on a free port, with these options.
    pub fn sim_aws_with(options: &[&str]) -> Self {
        let mut child = command(Path::new("/"))
            .args(["sim-aws", "--listen", "127.0.0.1:0"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut banner = String::new();
        // The last line of the banner.
        while !banner.contains("\n  curl ") {
            assert_ne!(stdout.read_line(&mut banner).unwrap(), 0, "it has ended: {banner}");
        }
        let address = banner.split("http://").nth(1).unwrap().split_whitespace().next().unwrap();
        Self { child, address: address.to_owned(), banner }
    }

    /// Any server, once it accepts connections.
    pub fn start(command: &mut Command, address: String) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually(&address, || {
            assert!(child.try_wait().unwrap().is_none(), "{command:?} has ended");
            TcpStream::connect(&address).is_ok()
        });
        Self { child, address, banner: String::new() }
    }

    /// A process that listens on no port.
    pub fn spawn(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, address: String::new(), banner: String::new() }
    }

    /// Ends it by a signal, such as `TERM`; returns its exit code, or `None` if the signal killed
    /// it.
    pub fn end(mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap().code()
    }

    /// The memory of its process, in bytes.
    #[cfg(target_os = "linux")]
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// The URL at which it listens.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of one of the queues of the simulated AWS, such as `updates.fifo`.
    pub fn queue(&self, name: &str) -> String {
        format!("{}/123456789012/groundcrew-{name}", self.url())
    }

    /// Runs the binary against this AWS.
    pub fn groundcrew(&self, dir: &Path, args: &[&str]) -> CommandOutput {
        run_command(self.environment(&mut command(dir)).args(args))
    }

    /// Makes a command use this AWS.
    pub fn environment<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env("AWS_ENDPOINT_URL", self.url())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "testing")
            .env("AWS_SECRET_ACCESS_KEY", "testing")
    }

    /// Reads the state of the simulated AWS for tests, under `/_groundcrew/`.
    pub fn inspect(&self, what: &str) -> Value {
        self.request("GET", &format!("/_groundcrew/{what}"), "")
    }

    /// Controls the simulated AWS, under `/_groundcrew/`.
    pub fn control(&self, what: &str, body: &str) -> Value {
        self.request("POST", &format!("/_groundcrew/{what}"), body)
    }

    /// Invokes a function, and returns its response, which may be an error.
    pub fn invoke(&self, path: &str, event: &str) -> String {
        self.exchange("POST", path, "", event).1
    }

    /// Calls an AWS operation with a JSON body: the target is as in `AmazonSQS.SendMessage`.
    pub fn call(&self, target: &str, body: &Value) -> Value {
        let headers = format!(
            "X-Amz-Target: {target}\r\nContent-Type: application/x-amz-json-1.0\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/sqs/aws4_request\r\n"
        );
        let (head, answer) = self.exchange("POST", "/", &headers, &body.to_string());
        assert!(head.starts_with("HTTP/1.1 2"), "{head}\n{answer}");
        serde_json::from_str(&answer).unwrap_or(Value::Null)
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Value {
        let (head, body) = self.exchange(method, path, "", body);
        assert!(head.starts_with("HTTP/1.1 2"), "{head}\n{body}");
        if body.trim().is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap() }
    }

    fn exchange(&self, method: &str, path: &str, headers: &str, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let body = match head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            false => body.to_owned(),
            // A small response has one chunk, between its size and the last, empty chunk.
            true => body.lines().nth(1).unwrap_or_default().to_owned(),
        };
        (head.to_owned(), body)
    }
}

/// A port that was free just now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
