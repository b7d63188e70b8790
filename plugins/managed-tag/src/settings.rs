//! The settings, and the mode that is made from them.

use groundcrew_sdk::{Problem, Tag};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::ManagedTag;

/// AWS's limits on tags, in characters.
const MAX_KEY: usize = 128;
const MAX_VALUE: usize = 256;

/// Settings of `managed-tag`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Key of the tag. Without it every account is updated.
    #[serde(default)]
    pub tag_key: Option<String>,
    /// Value of the tag. Required with `tag_key`.
    #[serde(default)]
    pub tag_value: Option<String>,
    /// Update accounts with the tag in the first lane and all others in the second,
    /// instead of skipping the others. Requires `tag_key`.
    #[serde(default)]
    pub priority_mode: bool,
}

impl Settings {
    /// The mode for these settings, or all problems of the settings.
    pub(crate) fn mode(self, lanes: &[String]) -> Result<ManagedTag, Vec<Problem>> {
        let mut problems = Vec::new();
        let tag = self.tag(&mut problems);
        let pair = match lanes {
            [first, second, ..] => Some((first.clone(), second.clone())),
            _ => None,
        };
        if self.priority_mode && pair.is_none() {
            problems.push(Problem::new(
                "/priority_mode",
                format!(
                    "priority mode needs two lanes, one for accounts with the tag and one for \
                     the others, and the config has {}: add a lane",
                    lanes.len()
                ),
            ));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(match (tag, pair) {
            (Some(tag), Some((first, second))) if self.priority_mode => {
                ManagedTag::Priority { tag, first, second }
            }
            (Some(tag), _) => ManagedTag::TaggedOnly(tag),
            (None, _) => ManagedTag::All,
        })
    }

    /// The tag, if one is set.
    fn tag(&self, problems: &mut Vec<Problem>) -> Option<Tag> {
        let mut problem = |at: &str, message: String| problems.push(Problem::new(at, message));
        if self.priority_mode && self.tag_key.is_none() {
            problem("/priority_mode", "priority mode needs a tag: set `tag_key`".to_owned());
        }
        if let Some(key) = &self.tag_key {
            match key.chars().count() {
                0 => problem("/tag_key", "empty: leave it out to update every account".to_owned()),
                length if length > MAX_KEY => {
                    problem("/tag_key", too_long(length, MAX_KEY, "a tag's key"));
                }
                _ => {}
            }
        }
        if let Some(value) = &self.tag_value {
            let length = value.chars().count();
            if length > MAX_VALUE {
                problem("/tag_value", too_long(length, MAX_VALUE, "a tag's value"));
            }
        }
        match (&self.tag_key, &self.tag_value) {
            (Some(key), Some(value)) => return Some(Tag::new(key, value)),
            (Some(_), None) => {
                problem("/tag_key", "`tag_key` needs `tag_value` beside it".to_owned());
            }
            (None, Some(_)) => {
                problem("/tag_value", "`tag_value` needs `tag_key` beside it".to_owned());
            }
            (None, None) => {}
        }
        None
    }
}

fn too_long(length: usize, limit: usize, what: &str) -> String {
    format!("{length} characters: AWS allows {limit} in {what}")
}
