//! What wasmtime makes of the contract. Only [`crate::convert`], [`crate::sandbox`] and
//! [`crate::log`] know these types.

#![allow(missing_docs)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "policy",
    imports: { default: trappable },
    exports: { default: async },
    // Candidates are lowered straight from the host's own strings.
    ownership: Borrowing { duplicate_if_necessary: true },
    require_store_data_send: true,
});
