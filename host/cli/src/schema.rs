//! `groundcrew schema`: the JSON Schema of the config.

use groundcrew_core::config;

use crate::failure::Failure;
use crate::output::{json, print};

pub fn run() -> Result<(), Failure> {
    print(&json(&config::schema())?)
}
