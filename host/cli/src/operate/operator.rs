//! Who gives an order: asks STS and the machine.

use std::time::Duration;

use groundcrew_core::ports::{IssuedBy, Operator};
use jiff::Timestamp;

use crate::ports::RealAws;

/// An order is not kept waiting for longer to learn who gives it.
const IDENTITY_TIMEOUT: Duration = Duration::from_secs(5);

/// The signature of an order that is given now by whoever runs this process.
pub async fn issued_by(aws: &RealAws) -> IssuedBy {
    let arn = tokio::time::timeout(IDENTITY_TIMEOUT, aws.caller_arn()).await.ok().flatten();
    IssuedBy { by: Operator::new(arn, user(), host()), at: Timestamp::now() }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The user, as a login shell, or Windows, has it.
fn user() -> Option<String> {
    ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(variable)
}

/// The name of this machine: as Linux or a container has it, and elsewhere as `uname -n` says.
fn host() -> Option<String> {
    let linux = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let uname = || {
        let output = std::process::Command::new("uname").arg("-n").output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    linux.or_else(uname).or_else(|| variable("HOSTNAME"))
}
