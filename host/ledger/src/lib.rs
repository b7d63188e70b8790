//! Core's [`Ledger`](groundcrew_core::ports::Ledger) port: what AWS does not remember.
//!
//! [`MemoryLedger`] forgets everything with its process. It serves the simulator, where
//! it stands for a ledger that outlives its host.

#![deny(missing_docs)]

mod memory;

pub use memory::MemoryLedger;
