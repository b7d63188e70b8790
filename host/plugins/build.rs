//! Builds the bundled plugins for `wasm32-wasip2` and embeds them.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Packages of the workspace that are built as plugins. `src/bundled.rs` names them too.
const PLUGINS: [&str; 7] =
    ["managed-tag", "ams-case", "baseline-check", "billing", "cmdb", "webhook", "rego"];
const TARGET: &str = "wasm32-wasip2";

/// Variables that the outer cargo set for the host's own crates and that must not reach the build
/// of the plugins: flags for another target, and wrappers such as clippy's.
const NOT_FOR_PLUGINS: [&str; 9] = [
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "LLVM_PROFILE_FILE",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("building the bundled plugins: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let workspace = Path::new(&var("CARGO_MANIFEST_DIR")?).join("../..");
    for input in ["Cargo.lock", "Cargo.toml", "plugins", "wit"] {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }
    require_target()?;

    let output = PathBuf::from(var("OUT_DIR")?);
    let target_dir = output.join("plugins");
    let mut cargo = Command::new(var("CARGO")?);
    cargo.current_dir(&workspace);
    cargo.args(["build", "--locked", "--profile", "plugin", "--target", TARGET, "--target-dir"]);
    cargo.arg(&target_dir);
    for plugin in PLUGINS {
        cargo.args(["-p", plugin]);
    }
    for name in NOT_FOR_PLUGINS {
        cargo.env_remove(name);
    }
    let status = cargo.status().map_err(|error| format!("cargo can't be started: {error}"))?;
    if !status.success() {
        return Err(format!("`{cargo:?}` failed; its output is above"));
    }

    // Identifies this build: its plugins, and the dependencies that compile them.
    let mut identity = Sha256::new();
    let lock = workspace.join("Cargo.lock");
    let locked = std::fs::read(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    identity.update(Sha256::digest(locked));

    let built = target_dir.join(TARGET).join("plugin");
    for plugin in PLUGINS {
        let from = built.join(format!("{}.wasm", plugin.replace('-', "_")));
        let component =
            std::fs::read(&from).map_err(|error| format!("{}: {error}", from.display()))?;
        // Computed here, so that no start has to compute it.
        let digest = Sha256::digest(&component);
        identity.update(digest);
        write(&output.join(format!("{plugin}.wasm")), &component)?;
        write(&output.join(format!("{plugin}.sha256")), HEXLOWER.encode(&digest).as_bytes())?;
    }
    println!("cargo::rustc-env=GROUNDCREW_BUILD={}", HEXLOWER.encode(&identity.finalize()));
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// Fails early, with instructions, if the standard library for the target is missing.
fn require_target() -> Result<(), String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let answer = Command::new(&rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| format!("{}: {error}", rustc.display()))?;
    let directory = String::from_utf8_lossy(&answer.stdout);
    if Path::new(directory.trim()).is_dir() {
        Ok(())
    } else {
        Err(format!("no standard library for {TARGET}: run `rustup target add {TARGET}`"))
    }
}

fn var(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("{name} is not set: expected to be run by cargo"))
}
