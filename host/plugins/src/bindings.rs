//! The bindings that wasmtime generates from the contract. Both worlds are generated at once, so
//! that they have the same types. [`crate::exports`] and [`crate::sandbox`] define what a plugin
//! really exports and may import. [`crate::convert`], [`crate::delivery`] and [`crate::support`]
//! convert the values.

#![allow(missing_docs)]

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package groundcrew:host;

        world plugin {
            import groundcrew:plugin/log@0.1.0;
            import groundcrew:plugin/support-cases@0.1.0;
            export groundcrew:plugin/settings@0.1.0;
            export groundcrew:plugin/decide@0.1.0;
            export groundcrew:plugin/deliver@0.1.0;
        }
    ",
    world: "groundcrew:host/plugin",
    imports: {
        "groundcrew:plugin/support-cases.open-case": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    // Candidates are lowered straight from the host's own strings.
    ownership: Borrowing { duplicate_if_necessary: true },
    require_store_data_send: true,
});
