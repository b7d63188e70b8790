//! The author of an operator command, from STS and the machine.

use std::time::Duration;

use groundcrew_core::ports::{IssuedBy, Operator};
use jiff::Timestamp;

use crate::ports::RealAws;

/// An operator command waits no longer than this for the identity of its author.
const IDENTITY_TIMEOUT: Duration = Duration::from_secs(5);

/// The author of an operator command: the user who runs this process, and the time.
pub async fn issued_by(aws: &RealAws) -> IssuedBy {
    let arn = tokio::time::timeout(IDENTITY_TIMEOUT, aws.caller_arn()).await.ok().flatten();
    IssuedBy { by: Operator::new(arn, user(), host()), at: Timestamp::now() }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The user name, from the variables of a login shell or of Windows.
fn user() -> Option<String> {
    ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(variable)
}

/// The name of this machine: from the file that Linux or a container has, or else from `uname -n`.
fn host() -> Option<String> {
    let linux = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let uname = || {
        let output = std::process::Command::new("uname").arg("-n").output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    linux.or_else(uname).or_else(|| variable("HOSTNAME"))
}
