//! The `groundcrew` binary. All of it is in the library beside it, which the tests use too.

use std::process::ExitCode;

fn main() -> ExitCode {
    groundcrew::main()
}
