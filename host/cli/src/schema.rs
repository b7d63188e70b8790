//! `groundcrew schema`: the JSON Schema of the config.

use groundcrew_core::config;

use crate::Failure;
use crate::wording::{json, print};

pub fn run() -> Result<(), Failure> {
    print(&json(&config::schema())?)
}
