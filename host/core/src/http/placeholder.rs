//! Placeholders: the places of secrets in the URL of a grant.
//!
//! A placeholder is written `$(name)`. RFC 3986 allows each of these characters unencoded in a path
//! and in a query. So every library that reads or builds URLs, including a plugin's own, passes it
//! on unchanged. `{name}` would be percent-encoded or refused by such libraries, is refused by
//! [`Url`](super::Url), and is one typing mistake away from the templates of settings.

use super::{HttpSecret, Secret, url};

/// A secret that takes the place of `$(name)` in a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlSecret {
    /// The placeholder's name.
    pub name: String,
    /// Where the secret is.
    pub secret: HttpSecret,
}

/// A placeholder as text.
pub fn written(name: &str) -> String {
    format!("$({name})")
}

/// The names of all placeholders in a text. A placeholder that does not end reaches to the end of
/// the text.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split("$(").skip(1).map(|rest| rest.split(')').next().unwrap_or(rest))
}

/// Why a secret can't replace a placeholder. Never shows the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct UnfitSecret {
    /// The placeholder's name; `None` if no single secret is the cause.
    pub name: Option<String>,
    problem: String,
}

impl UnfitSecret {
    /// A problem of the whole request, without a single secret as its cause.
    pub fn for_request(problem: &str) -> Self {
        Self { name: None, problem: problem.to_owned() }
    }
}

/// Puts secrets into the path and the query of a request. `values` has the secret of every
/// placeholder. Scheme, host and port can't change, because placeholders are not replaced in them.
///
/// A secret in the path may have several segments and, at the end of the path, a query of its own,
/// as in webhooks of Slack and Teams.
///
/// # Errors Which secret can't be put there, and why.
pub fn fill_placeholders(
    path: &str,
    query: Option<&str>,
    values: &[(String, Secret)],
) -> Result<Secret, UnfitSecret> {
    let mut parts = Vec::new();
    let mut queries: Vec<&str> = Vec::new();
    for (name, value) in values {
        let unfit = |problem: String| UnfitSecret { name: Some(name.clone()), problem };
        let placeholder = written(name);
        let value = value.expose();
        if path.contains(&placeholder) {
            let (part, own_query) = match value.split_once('?') {
                Some((part, query)) => (part, Some(query)),
                None => (value, None),
            };
            check_path_part(part).map_err(unfit)?;
            if let Some(own_query) = own_query {
                if !path.ends_with(&placeholder) {
                    let problem = "it has a query, but the URL's path goes on after it";
                    return Err(unfit(problem.to_owned()));
                }
                check_query(own_query).map_err(|problem| unfit(format!("its query {problem}")))?;
                queries.push(own_query);
            }
            parts.push((name.as_str(), part));
        }
        if query.is_some_and(|query| query.contains(&placeholder)) {
            let problem = |problem| unfit(format!("as a part of a query it {problem}"));
            check_query(value).map_err(problem)?;
        }
    }
    let mut filled = replace_placeholders(path, &parts);
    // Each secret is valid by itself. Together with its neighbours it may not be.
    url::check_path(&filled).map_err(|problem| UnfitSecret {
        name: None,
        problem: format!("with the secrets in it, the URL's path {problem}"),
    })?;
    let whole: Vec<_> =
        values.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    let query = query.map(|query| replace_placeholders(query, &whole));
    queries.extend(query.as_deref());
    for (index, query) in queries.into_iter().enumerate() {
        filled.push(if index == 0 { '?' } else { '&' });
        filled.push_str(query);
    }
    Ok(Secret::new(filled))
}

/// The text with its placeholders replaced. A placeholder within a value is not replaced.
fn replace_placeholders(text: &str, values: &[(&str, &str)]) -> String {
    let mut pieces = text.split("$(");
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let found = piece.split_once(')').and_then(|(name, rest)| {
            let value = values.iter().find(|(known, _)| *known == name)?.1;
            Some((value, rest))
        });
        match found {
            Some((value, rest)) => filled.extend([value, rest]),
            None => filled.extend(["$(", piece]),
        }
    }
    filled
}

/// Checks a secret of a path by itself, so that the error names the right one of several.
fn check_path_part(part: &str) -> Result<(), String> {
    if part.contains("://") {
        return Err("it is a whole URL: expected only what the placeholder stands for".to_owned());
    }
    url::check_path(&format!("/{part}")).map_err(|problem| match part.starts_with('/') {
        true => "as a part of a path it begins with `/`".to_owned(),
        false => format!("as a part of a path it {problem}"),
    })
}

/// The characters that RFC 3986 (3.4) allows in a query.
fn check_query(query: &str) -> Result<(), &'static str> {
    if query.bytes().any(|byte| !byte.is_ascii_graphic() || b"\\\"<>^`{|}#".contains(&byte)) {
        return Err("has a character that must be percent-encoded");
    }
    let decoded = url::decode(query).ok_or("has a `%` that is not followed by two digits")?;
    match decoded.iter().any(u8::is_ascii_control) {
        true => Err("has an encoded control character"),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn filled(path: &str, query: Option<&str>, value: &str) -> Result<String, UnfitSecret> {
        let values = [("s".to_owned(), Secret::new(value))];
        fill_placeholders(path, query, &values).map(|filled| filled.expose().to_owned())
    }

    #[test]
    fn names_of_placeholders() {
        let text = "/a/$(slack)/b-$(x_1)?sig=$(sig)&y=$(never";
        assert_eq!(names(text).collect::<Vec<_>>(), ["slack", "x_1", "sig", "never"]);
        assert_eq!(names("/$filter/(x)?$a=(b)").count(), 0);
    }

    /// URLs of real webhooks.
    #[rstest]
    #[case::slack("/services/$(s)", None, "T000/B000/XXXX", "/services/T000/B000/XXXX")]
    #[case::discord(
        "/api/webhooks/$(s)",
        Some("wait=true"),
        "123/a-B_c",
        "/api/webhooks/123/a-B_c?wait=true"
    )]
    #[case::teams(
        "/workflows/$(s)",
        None,
        "0a1b/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sig=Ab-_c",
        "/workflows/0a1b/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sig=Ab-_c"
    )]
    #[case::teams_and_a_query(
        "/workflows/$(s)",
        Some("a=1"),
        "0a1b?sig=c",
        "/workflows/0a1b?sig=c&a=1"
    )]
    #[case::a_signature_alone(
        "/invoke",
        Some("v=1&sig=$(s)"),
        "a%2Fb/c",
        "/invoke?v=1&sig=a%2Fb/c"
    )]
    #[case::a_part_of_a_segment("/hook-$(s)/x", None, "1", "/hook-1/x")]
    #[case::at_signs_and_colons("/$(s)", None, "@evil.example:80/x", "/@evil.example:80/x")]
    fn what_fits(
        #[case] path: &str,
        #[case] query: Option<&str>,
        #[case] value: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(filled(path, query, value).unwrap(), expected);
    }

    /// Each is refused. The error names the placeholder, and says why without showing the secret.
    #[rstest]
    #[case::another_scheme_and_host("/services/$(s)", "https://evil.example/hush", "whole URL")]
    #[case::another_host("/$(s)", "/evil.example/hush", "begins with `/`")]
    #[case::a_backslash("/$(s)", "\\\\evil.example\\hush", "percent-encoded")]
    #[case::up("/services/$(s)", "../hush", "`.` or `..`")]
    #[case::up_within("/services/$(s)", "hush/../../x", "`.` or `..`")]
    #[case::up_encoded("/services/$(s)", "hush/%2e%2E/x", "`.` or `..`")]
    #[case::a_hidden_slash("/services/$(s)", "hush/..%2fx", "an encoded `/`")]
    #[case::a_space("/services/$(s)", "hu sh", "percent-encoded")]
    #[case::a_fragment("/services/$(s)", "hush#x", "percent-encoded")]
    #[case::a_line_break("/services/$(s)", "hush%0d%0a", "control character")]
    #[case::no_digits("/services/$(s)", "hush%zz", "two digits")]
    #[case::braces("/services/$(s)", "hush{x}", "percent-encoded")]
    #[case::not_ascii("/services/$(s)", "hüsh", "percent-encoded")]
    #[case::a_query_in_the_middle("/$(s)/x", "hush?sig=1", "goes on after it")]
    #[case::a_fragment_in_its_query("/$(s)", "hush?sig=1#x", "percent-encoded")]
    #[case::a_line_break_in_its_query("/$(s)", "hush?sig=%0a", "control character")]
    fn what_does_not_fit(#[case] path: &str, #[case] value: &str, #[case] why: &str) {
        let error = filled(path, None, value).unwrap_err();
        assert_eq!(error.name.as_deref(), Some("s"));
        assert!(error.to_string().contains(why), "{error}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }

    #[test]
    fn what_does_not_fit_into_a_query_or_between_its_neighbours() {
        let error = filled("/a", Some("sig=$(s)"), "hush#x").unwrap_err();
        assert_eq!(error.name.as_deref(), Some("s"));
        let error = filled("/a/$(s)/b", None, "hush/").unwrap_err();
        assert!(error.to_string().contains("empty segment"), "{error}");
    }

    #[test]
    fn a_secret_has_no_placeholders() {
        let values = [("a", "x$(b)"), ("b", "y")].map(|(n, v)| (n.to_owned(), Secret::new(v)));
        let filled = fill_placeholders("/$(b)/$(a)/$(c)", None, &values).unwrap();
        assert_eq!(filled.expose(), "/y/x$(b)/$(c)");
    }

    proptest! {
        /// Whatever the secret is, the result is below the path before the placeholder.
        #[test]
        fn nothing_climbs(value in "[a.%2eE5cCfF/\\\\;?#:@ ~-]{0,12}") {
            if let Ok(filled) = filled("/services/$(s)", None, &value) {
                let path = filled.split('?').next().unwrap();
                let url = super::super::Url::from_parts("https", "a", path).unwrap();
                let below = super::super::Url::parse("https://a/services/").unwrap();
                prop_assert!(below.covers(&url), "{filled}");
                prop_assert!(!filled.contains('#'), "{filled}");
            }
        }
    }
}
