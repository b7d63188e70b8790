//! Problems of settings.

use serde_path_to_error::{Path, Segment};

use crate::Problem;

impl Problem {
    /// A problem with one setting: `at` is its JSON pointer, such as `/tag_key`.
    pub fn new(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at: at.into(), message: message.into() }
    }
}

/// Where and why a deserializer stopped.
pub(crate) fn from_serde(error: serde_path_to_error::Error<serde_json::Error>) -> Problem {
    Problem::new(pointer(error.path()), error.inner().to_string())
}

/// A path of `serde_path_to_error` as a JSON pointer (RFC 6901).
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        let token = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            // Not a part of the JSON text: the next segment is.
            Segment::Enum { .. } => continue,
            Segment::Unknown => break,
        };
        pointer.push('/');
        pointer.push_str(&token);
    }
    pointer
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Lists {
        #[allow(dead_code)]
        lists: BTreeMap<String, Vec<u8>>,
    }

    #[test]
    fn the_pointer_names_the_value_that_is_wrong() {
        let mut json = serde_json::Deserializer::from_str(r#"{"lists": {"a/b~": [1, "two"]}}"#);
        let error = serde_path_to_error::deserialize::<_, Lists>(&mut json).unwrap_err();
        assert_eq!(from_serde(error).at, "/lists/a~1b~0/1");
    }
}
