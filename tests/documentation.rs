//! The documentation matches the code.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use groundcrew_core::config::Config;
use groundcrew_core::config::keys::{Key, KeyDefault, TABLES};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const BEGIN: &str = "<!-- keys: rendered from host/core/src/config/keys -->\n";
const END: &str = "<!-- end of keys -->\n";

fn rendered_keys() -> String {
    let mut out = String::new();
    for table in TABLES {
        writeln!(out, "\n### `{}`\n\n{}", table.heading(), table.meaning).unwrap();
        if table.keys.is_empty() {
            continue;
        }
        writeln!(out, "\n| key | value | default | meaning |\n|---|---|---|---|").unwrap();
        for Key { name, form, default, meaning, aliases: _ } in table.keys {
            let default = match default {
                KeyDefault::Is(text)
                    if text.parse::<f64>().is_ok()
                        || text.parse::<bool>().is_ok()
                        || text.starts_with('[') =>
                {
                    format!("`{text}`")
                }
                KeyDefault::Is(text) => format!("`\"{text}\"`"),
                KeyDefault::Required => "required".to_owned(),
                KeyDefault::Nothing(text) => (*text).to_owned(),
            };
            writeln!(out, "| `{name}` | {form} | {default} | {meaning} |").unwrap();
        }
    }
    out.push('\n');
    out
}

/// `docs/configuration.md` lists every key with its form, default and meaning. Run with
/// `UPDATE_DOCS=1` to regenerate it.
#[test]
fn every_key_is_documented_as_it_is() {
    let path = "docs/configuration.md";
    let text = read(path);
    let (before, rest) = text.split_once(BEGIN).expect("the marker where the keys begin");
    let (documented, after) = rest.split_once(END).expect("the marker where the keys end");
    let rendered = rendered_keys();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = format!("{before}{BEGIN}{rendered}{END}{after}");
        std::fs::write(root().join(path), text).unwrap();
    } else {
        assert_eq!(
            documented, rendered,
            "{path} is out of date; write it anew with: UPDATE_DOCS=1 cargo test -p groundcrew --test documentation"
        );
    }
}

/// `groundcrew.schema.json` is the output of `groundcrew schema`, and the configs that come with
/// groundcrew conform to it. Run with `UPDATE_DOCS=1` to regenerate it.
#[test]
fn the_schema_is_that_of_the_config() {
    let path = "groundcrew.schema.json";
    let schema = groundcrew_core::config::schema();
    let rendered = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(root().join(path), &rendered).unwrap();
    }
    assert_eq!(read(path), rendered, "{path} is out of date; write it anew with UPDATE_DOCS=1");

    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut configs = 0;
    for entry in std::fs::read_dir(root().join("policies")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".toml") || name.ends_with(".cases.toml") || name.ends_with(".data.toml")
        {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("#:schema ../groundcrew.schema.json\n"), "{name}");
        let config: serde_json::Value = toml::from_str(&text).unwrap();
        let problems: Vec<_> = validator.iter_errors(&config).map(|e| e.to_string()).collect();
        assert!(problems.is_empty(), "{name}: {problems:?}");
        configs += 1;
    }
    assert!(configs >= 5, "only {configs} configs");

    // Invalid configs don't conform.
    for wrong in ["[updates]\nwait = 1", "[updates]\npoll_interval = 0", "[[policies]]\nname = 'a'"]
    {
        let wrong: serde_json::Value = toml::from_str(wrong).unwrap();
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}

/// Every TOML block in the documentation is a valid config.
#[test]
fn configs_in_the_documentation_parse() {
    let mut blocks = 0;
    for path in pages() {
        let text = read(&path);
        for block in text.split("```toml\n").skip(1) {
            let (toml, _) = block.split_once("```").expect("a block that ends");
            if let Err(problems) = Config::parse(&path, toml) {
                panic!("{problems}\nin:\n{toml}");
            }
            blocks += 1;
        }
    }
    assert!(blocks > 12, "only {blocks} TOML blocks were found");
}

/// The first plugin of `docs/writing-plugins.md` is the one that the SDK's documentation tests.
#[test]
fn the_documented_plugin_is_the_tested_one() {
    let (page, sdk) = (read("docs/writing-plugins.md"), read("plugins/sdk/src/lib.rs"));
    let (_, block) = page.split_once("```rust\n").expect("a Rust block");
    let (block, _) = block.split_once("```").expect("a block that ends");
    let documented: String = sdk
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    assert!(documented.contains(block), "the SDK documents another plugin than:\n{block}");
}

/// No placeholder text is left.
#[test]
fn nothing_is_left_to_fill_in() {
    for path in ["README.md", "docs/benchmarks.md", "docs/architecture.md"] {
        let text = read(path);
        let open = text.split('@').skip(1).step_by(2).find(|word| {
            !word.is_empty() && word.chars().all(|letter| letter.is_ascii_uppercase())
        });
        assert_eq!(open, None, "{path}");
    }
}

/// The pages of the documentation.
fn pages() -> Vec<String> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().to_string_lossy()));
    docs.chain(["README.md".to_owned()]).collect()
}

/// The anchor of a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    text.chars().filter(|letter| letter.is_alphanumeric() || "-_".contains(*letter)).collect()
}

/// Files and headings that the README, the docs and the crates name in links exist.
#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    for path in pages() {
        let text = read(&path);
        let base = root().join(&path).parent().unwrap().to_owned();
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            let (target, section) = link.split_once('#').unwrap_or((link, ""));
            if target.contains("://") {
                continue;
            }
            let file = match target {
                "" => root().join(&path),
                target => base.join(target),
            };
            assert!(file.exists(), "{path} links to {target}, which does not exist");
            if !section.is_empty() {
                let text = std::fs::read_to_string(&file).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                let is_there = headings.any(|heading| anchor(heading) == section);
                assert!(is_there, "{path} links to {link}: there is no such heading");
            }
            links += 1;
        }
    }
    assert!(links > 0, "no link was found");
}
