//! What the tests of several crates share: hosts on a simulated AWS, support cases, events and
//! seeds. No crate but tests depends on it.

#![deny(missing_docs)]

pub mod cases;
pub mod events;
pub mod hosts;
pub mod seeds;
