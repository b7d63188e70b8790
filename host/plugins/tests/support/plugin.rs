//! Policies made of a few lines of core WebAssembly text.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A world with everything that test plugins may import; what they don't is left out.
const WORLDS: &str = r#"
    package test:hostile;

    world policy {
        include groundcrew:plugin/policy@0.1.0;
        import wasi:clocks/monotonic-clock@0.2.12;
        import sockets;
        import secrets;
    }

    world notifier {
        include groundcrew:plugin/notifier@0.1.0;
    }

    interface sockets { connect: func(); }
    interface secrets { read: func(); }
"#;

/// A policy that imports nothing, accepts any settings and always abstains, unless a
/// part of it is replaced.
///
/// Results are read from fixed places in memory, where zeros mean success: `configure`
/// answers at 32, `evaluate` at 64. There the decision's case is at 72, its payload at 80.
#[derive(Clone, Copy)]
pub struct Plugin {
    pub imports: &'static str,
    pub memory: &'static str,
    pub fields: &'static str,
    pub configure: &'static str,
    /// Runs when the candidate's action is `onboard`, so that the same plugin can be
    /// asked for something harmless afterwards.
    pub onboard: &'static str,
    /// Runs for every candidate.
    pub evaluate: &'static str,
}

pub const ABSTAIN: Plugin = Plugin {
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

impl Plugin {
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

/// A notifier that does nothing.
pub fn notifier() -> Vec<u8> {
    component(
        WORLDS,
        "notifier",
        r#"(module
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
            (func (export "groundcrew:plugin/settings@0.1.0#schema") (result i32) (i32.const 0))
            (func (export "groundcrew:plugin/settings@0.1.0#configure")
                (param i32 i32 i32 i32) (result i32) (i32.const 0))
            (func (export "groundcrew:plugin/deliver@0.1.0#notify") (param i32) (result i32)
                (i32.const 0))
        )"#,
    )
}

/// A policy of some contract that has the same names and another version.
pub fn of_version(version: &str) -> Vec<u8> {
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

/// A component of one's own that has nothing to do with the contract.
pub fn stranger() -> Vec<u8> {
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
