//! `groundcrew schema`: the JSON Schema of the config.

use groundcrew_core::config;

use crate::command_error::CommandError;
use crate::output::{print, to_json};

pub fn run() -> Result<(), CommandError> {
    print(&to_json(&config::schema())?)
}
