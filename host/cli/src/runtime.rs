//! The environment of this process.

use tokio::runtime::Runtime;

use crate::command_error::CommandError;

/// Whether this process is a Lambda function. With arguments it is a command, even in Lambda.
pub fn is_lambda() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() && std::env::args_os().len() <= 1
}

/// The runtime of commands: plugins and AWS calls take turns on one thread.
pub fn current_thread() -> Result<Runtime, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| CommandError::Other(error.to_string()))
}
