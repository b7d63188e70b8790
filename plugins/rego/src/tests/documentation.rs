//! The examples of `docs/writing-policies.md` work.

use groundcrew_sdk::{NamedLanes, Policy as _};

use super::cases::{Suite, check};
use super::{configured, lanes, policies, read};
use crate::{Rego, Settings};

/// The block with this beginning.
fn block<'a>(text: &'a str, begin: &str) -> &'a str {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("no block {begin:?}"));
    rest.split_once("```").unwrap().0
}

#[test]
fn the_documented_policy_passes_its_cases() {
    let text = read(&policies().join("../docs/writing-policies.md"));
    let script = block(&text, "```rego\n");
    let rest = block(&text, "```rego\n# Which lanes");
    let script = format!("{script}\n# Which lanes{rest}");
    let suite: Suite =
        toml::from_str(&format!("plugin{}", block(&text, "```text\nplugin"))).unwrap();
    let settings = Settings {
        file: suite.plugin.clone(),
        script: script.clone(),
        data: suite.settings.clone(),
        coverage: false,
    };
    let context = lanes(&["early", "late"]);
    let policy = Rego::configure(settings, &context).unwrap_or_else(|p| panic!("{p:?}"));
    assert_eq!(policy.named_lanes(), NamedLanes::Only(context.lanes));
    check("writing-policies.md", &policy, &suite);

    let data = serde_json::json!({ "frozen": { "payments": "soon" } });
    let Err(problems) = configured(&script, data) else { panic!("accepted") };
    assert_eq!(problems[0].at, "/data/frozen/payments");
    assert_eq!(problems[0].message, block(&text, "`frozen.payments`: ").trim_end());

    let data = serde_json::json!({ "frozen": { "payments": "2031-01-01T00:00:00Z" } });
    let Err(problems) = configured(&script, data) else { panic!("accepted") };
    assert_eq!(problems[0].at, "/data/frozen/payments");
    assert_eq!(problems[0].message, "frozen for good");

    let message = block(&text, "policies/by-owner.rego:").trim_end();
    let misspelt = script.replace("time.parse_rfc3339_ns", "time.parse");
    let Err(problems) = configured(&misspelt, serde_json::json!({})) else { panic!("accepted") };
    assert_eq!(problems[0].message, format!("test.rego:{message}"));
}
