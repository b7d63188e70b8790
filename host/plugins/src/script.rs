//! Policy scripts: a bundled interpreter runs them. It receives a script as its settings.

use std::path::Path;

use groundcrew_core::decision::SettingProblem;
use serde_json::{Value, json};

use crate::files;
use crate::load_error::LoadError;
use crate::spec::PluginSpec;

/// The pointer of the script's data in the interpreter's settings.
const DATA: &str = "/data";

/// Reads a script. Returns its bytes and the settings of the interpreter.
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

/// Converts a problem that the interpreter reports. Its place is either in the data, which are the
/// user's settings, or it is the script as a whole, and then the message has line and column.
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
