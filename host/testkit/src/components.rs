//! Policies and notifiers from a few lines of WebAssembly text.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The worlds with everything that test plugins may import. Unused imports are removed.
const WORLDS: &str = r#"
    package test:hostile;

    world policy {
        include groundcrew:plugin/policy@0.1.0;
        import groundcrew:plugin/support-cases@0.1.0;
        import wasi:clocks/monotonic-clock@0.2.12;
        import sockets;
        import secrets;
    }

    world notifier {
        include groundcrew:plugin/notifier@0.1.0;
        import wasi:clocks/wall-clock@0.2.12;
        import wasi:cli/environment@0.2.12;
        import wasi:filesystem/preopens@0.2.12;
        import wasi:http/incoming-handler@0.2.12;
    }

    interface sockets { connect: func(); }
    interface secrets { read: func(); }

    package wasi:cli@0.2.12 {
        interface environment {
            get-environment: func() -> list<tuple<string, string>>;
        }
    }

    package wasi:filesystem@0.2.12 {
        interface types { resource descriptor; }
        interface preopens {
            use types.{descriptor};
            get-directories: func() -> list<tuple<descriptor, string>>;
        }
    }
"#;

/// A policy that imports nothing, accepts any settings and always abstains, unless a part of it is
/// replaced.
///
/// Results are read from fixed addresses in memory, where zeros mean success: the result of
/// `configure` from 32, that of `evaluate` from 64. The decision's case is then at 72, its payload
/// at 80.
#[derive(Clone, Copy)]
pub struct PolicyComponent {
    /// Its imports, for example [`LOG`].
    pub imports: &'static str,
    /// Its memory.
    pub memory: &'static str,
    /// Additional data and functions.
    pub fields: &'static str,
    /// Runs in `configure`.
    pub configure: &'static str,
    /// Runs when the candidate's action is `onboard`, so that a test can call the same plugin with
    /// a harmless candidate afterwards.
    pub onboard: &'static str,
    /// Runs for every candidate.
    pub evaluate: &'static str,
}

/// Always abstains.
pub const ABSTAIN: PolicyComponent = PolicyComponent {
    imports: "",
    memory: r#"(memory (export "memory") 2)"#,
    fields: "",
    configure: "",
    onboard: "",
    evaluate: "",
};

/// `$log`, of the contract.
pub const LOG: &str =
    r#"(import "groundcrew:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;

impl PolicyComponent {
    fn module(&self) -> String {
        let Self { imports, memory, fields, configure, onboard, evaluate } = self;
        format!(
            r#"(module
                {imports}
                {memory}
                {fields}
                (data (i32.const 16) "\00\04\00\00\02\00\00\00")
                (data (i32.const 1024) "{{}}")
                (global $free (mut i32) (i32.const 0x10000))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    (global.set $free (i32.and
                        (i32.add (global.get $free) (i32.const 7))
                        (i32.const -8)))
                    (global.get $free)
                    (global.set $free (i32.add (global.get $free) (local.get 3))))
                (func (export "groundcrew:plugin/settings@0.1.0#schema") (result i32)
                    (i32.const 16))
                (func (export "groundcrew:plugin/settings@0.1.0#configure")
                    (param i32 i32 i32 i32) (result i32)
                    {configure}
                    (i32.const 32))
                (func (export "groundcrew:plugin/decide@0.1.0#evaluate")
                    (param $candidate i32) (result i32)
                    {evaluate}
                    (if (i32.eqz (i32.load8_u (local.get $candidate))) (then {onboard}))
                    (i32.const 64))
            )"#
        )
    }

    /// The component.
    pub fn build(&self) -> Vec<u8> {
        component(WORLDS, "policy", &self.module())
    }
}

/// A notifier that imports nothing, accepts any settings and returns the reference `r-1`, unless a
/// part of it is replaced.
///
/// The result of `notify` is at 64, where zero means success. Then the reference's address is at 68
/// and its length at 72. Otherwise the failure's kind is at 68, its code at 72, its message at 80,
/// at 88 whether an effect is possible, at 92 whether to wait, and at 96 how long.
#[derive(Clone, Copy)]
pub struct NotifierComponent {
    /// Its imports, for example [`LOG`].
    pub imports: &'static str,
    /// Its memory.
    pub memory: &'static str,
    /// Additional data and functions.
    pub fields: &'static str,
    /// Runs in `configure`.
    pub configure: &'static str,
    /// Runs when the notification's cause is not `artifact`, so that a test can call the same
    /// plugin with a harmless notification afterwards.
    pub lifecycle: &'static str,
}

/// Always returns the reference `r-1`.
pub const RECEIPT: NotifierComponent = NotifierComponent {
    imports: "",
    memory: r#"(memory (export "memory") 2)"#,
    fields: "",
    configure: "",
    lifecycle: "",
};

/// `$open`, of the contract.
pub const SUPPORT_CASES: &str = r#"
    (import "groundcrew:plugin/support-cases@0.1.0" "open-case" (func $open
        (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#;

/// `$case`, which opens a case and returns the result of the host. For use with [`SUPPORT_CASES`].
pub const CASE: &str = r#"
    (data (i32.const 3072) "New account")
    (data (i32.const 3104) "It has landed.")
    (data (i32.const 3136) "service-ams-operations-service-request")
    (data (i32.const 3200) "onboarding-or-offboarding")
    (data (i32.const 3232) "low")
    (data (i32.const 3248) "en")
    (data (i32.const 3264) "technical")
    (func $case_of (param $service i32) (param $length i32)
        (call $open
            (i32.const 3072) (i32.const 11)
            (i32.const 3104) (i32.const 14)
            (local.get $service) (local.get $length)
            (i32.const 3200) (i32.const 25)
            (i32.const 3232) (i32.const 3)
            (i32.const 0) (i32.const 0)
            (i32.const 3248) (i32.const 2)
            (i32.const 3264) (i32.const 9)
            (i32.const 64))
        ;; What a receipt holds is aligned to 8 bytes, what that call answers to 4.
        (memory.copy (i32.const 72) (i32.const 68) (i32.const 32))
        (if (i32.eqz (i32.load8_u (i32.const 64))) (then (i32.store8 (i32.const 80) (i32.const 0)))))
    (func $case (call $case_of (i32.const 3136) (i32.const 38)))"#;

impl NotifierComponent {
    fn module(&self) -> String {
        let Self { imports, memory, fields, configure, lifecycle } = self;
        format!(
            r#"(module
                {imports}
                {memory}
                {fields}
                (data (i32.const 16) "\00\04\00\00\02\00\00\00")
                (data (i32.const 1024) "{{}}")
                (data (i32.const 1040) "r-1")
                (global $free (mut i32) (i32.const 0x10000))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    (global.set $free (i32.and
                        (i32.add (global.get $free) (i32.const 7))
                        (i32.const -8)))
                    (global.get $free)
                    (global.set $free (i32.add (global.get $free) (local.get 3))))
                (func (export "groundcrew:plugin/settings@0.1.0#schema") (result i32)
                    (i32.const 16))
                (func (export "groundcrew:plugin/settings@0.1.0#configure")
                    (param i32 i32 i32 i32) (result i32)
                    {configure}
                    (i32.const 32))
                (func (export "groundcrew:plugin/deliver@0.1.0#notify")
                    (param $notification i32) (result i32)
                    (i32.store (i32.const 72) (i32.const 1040))
                    (i32.store (i32.const 76) (i32.const 3))
                    (if (i32.load8_u offset=8 (local.get $notification)) (then {lifecycle}))
                    (i32.const 64))
            )"#
        )
    }

    /// The component.
    pub fn build(&self) -> Vec<u8> {
        component(WORLDS, "notifier", &self.module())
    }
}

/// A policy for another version of the contract, with the same names.
pub fn policy_of_contract(version: &str) -> Vec<u8> {
    let package = format!(
        "package groundcrew:plugin@{version};
         interface settings {{ schema: func(); }}
         interface decide {{ evaluate: func(); }}
         world policy {{ export settings; export decide; }}"
    );
    let module = format!(
        r#"(module
            (func (export "groundcrew:plugin/settings@{version}#schema"))
            (func (export "groundcrew:plugin/decide@{version}#evaluate"))
        )"#
    );
    component(&package, "policy", &module)
}

/// A notifier whose `notify` has no parameters and no result.
pub fn notifier_without_parameters() -> Vec<u8> {
    let contract = "package groundcrew:plugin@0.1.0;
        interface types { record problem { at: string, message: string } }
        interface settings {
            use types.{problem};
            record context { lanes: list<string> }
            variant named-lanes { any, only(list<string>) }
            record metadata { lanes: named-lanes }
            schema: func() -> string;
            configure: func(settings: string, context: context)
                -> result<metadata, list<problem>>;
        }
        interface deliver { notify: func(); }
        world notifier { export settings; export deliver; }";
    let module = r#"(module
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
        (func (export "groundcrew:plugin/settings@0.1.0#schema") (result i32) (i32.const 0))
        (func (export "groundcrew:plugin/settings@0.1.0#configure")
            (param i32 i32 i32 i32) (result i32) (i32.const 0))
        (func (export "groundcrew:plugin/deliver@0.1.0#notify"))
    )"#;
    component(contract, "notifier", module)
}

/// A component that does not use the contract.
pub fn component_of_another_world() -> Vec<u8> {
    component(
        "package test:stranger; world greeter { export greet: func(); }",
        "greeter",
        r#"(module (func (export "greet")))"#,
    )
}

fn component(wit: &str, world: &str, module: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    if wit.contains("test:hostile") {
        let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        resolve.push_dir(contract).unwrap();
    }
    let package = resolve.push_str("test.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}
