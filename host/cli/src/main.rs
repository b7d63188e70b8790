//! The `groundcrew` binary. All of its code is in the library, which the tests use too.

use std::process::ExitCode;

fn main() -> ExitCode {
    groundcrew::main()
}
