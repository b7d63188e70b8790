//! Policy scripts: a bundled interpreter runs them, which gets them as its settings.

use std::path::Path;

use groundcrew_core::decision::SettingProblem;
use serde_json::{Value, json};

use crate::files;
use crate::load_error::LoadError;
use crate::spec::PluginSpec;

/// Where the interpreter's settings have the script's data.
const DATA: &str = "/data";

/// Reads a script. Answers its bytes, and what the interpreter is configured with.
pub(crate) fn read(
    spec: PluginSpec<'_>,
    path: &Path,
    name: &str,
    coverage: bool,
) -> Result<(Vec<u8>, Value), LoadError> {
    let plugin = spec.name;
    let bytes = files::read(path, files::MAX_TEXT_BYTES).map_err(|source| LoadError::Read {
        plugin: plugin.to_owned(),
        path: path.to_owned(),
        source,
    })?;
    let script = str::from_utf8(&bytes).map_err(|error| LoadError::TextDecodeError {
        plugin: plugin.to_owned(),
        path: path.to_owned(),
        at: error.valid_up_to(),
    })?;
    let settings = json!({
        "file": name,
        "script": script,
        "data": spec.settings,
        "coverage": coverage,
    });
    Ok((bytes, settings))
}

/// A problem that the interpreter tells of: with the data, which are the user's settings, or
/// else with the script as a whole, whose message has line and column.
pub(crate) fn problem(problem: SettingProblem) -> SettingProblem {
    let at = problem.at.strip_prefix(DATA).unwrap_or_default().to_owned();
    SettingProblem { at, ..problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/data/canaries/0", "/canaries/0")]
    #[case("/data", "")]
    #[case("/script", "")]
    #[case("", "")]
    fn the_users_settings_are_the_scripts_data(#[case] at: &str, #[case] expected: &str) {
        let told = SettingProblem { at: at.into(), message: "wrong".into() };
        assert_eq!(problem(told), SettingProblem { at: expected.into(), message: "wrong".into() });
    }
}
