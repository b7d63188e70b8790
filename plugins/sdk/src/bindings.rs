//! The bindings that `wit-bindgen` generates from the contract: a module for each interface that
//! plugins export. A policy exports `settings` and `decide`, a notifier `settings` and `deliver`.
//! So both have the same types, and each gets only the imports that it uses.

#![allow(missing_docs)]

/// Settings, which every plugin exports; and the types and the log, which every plugin has.
pub mod settings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package groundcrew:sdk;

            world settings {
                import groundcrew:plugin/log@0.1.0;
                export groundcrew:plugin/settings@0.1.0;
            }
        ",
        world: "groundcrew:sdk/settings",
        generate_all,
        pub_export_macro: true,
        additional_derives: [PartialEq, Eq, Clone],
    });
}

/// The exports of a policy.
pub mod decide {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package groundcrew:sdk;

            world decide {
                export groundcrew:plugin/decide@0.1.0;
            }
        ",
        world: "groundcrew:sdk/decide",
        with: {
            "groundcrew:plugin/types@0.1.0": crate::bindings::settings::groundcrew::plugin::types,
        },
        pub_export_macro: true,
        additional_derives: [PartialEq, Eq, Clone],
    });
}

/// The exports of a notifier, and its imports besides the log.
pub mod deliver {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package groundcrew:sdk;

            world deliver {
                import groundcrew:plugin/support-cases@0.1.0;
                export groundcrew:plugin/deliver@0.1.0;
            }
        ",
        world: "groundcrew:sdk/deliver",
        with: {
            "groundcrew:plugin/types@0.1.0": crate::bindings::settings::groundcrew::plugin::types,
            "groundcrew:plugin/support-cases@0.1.0": generate,
        },
        pub_export_macro: true,
        additional_derives: [PartialEq, Eq, Clone],
    });
}

/// HTTP requests, which a notifier imports if it sends any.
#[cfg(target_arch = "wasm32")]
pub mod http {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package groundcrew:sdk;

            world http {
                import wasi:http/outgoing-handler@0.2.12;
            }
        ",
        world: "groundcrew:sdk/http",
        generate_all,
    });
}
