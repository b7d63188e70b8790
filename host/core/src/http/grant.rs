//! Grants: which requests of a plugin are sent.

use std::fmt;
use std::path::{Path, PathBuf};

use super::placeholder::{self, UrlSecret};
use super::secret::{HttpSecret, SecretLocation};
use super::url::Url;

/// One of `[[notifiers.grants.http]]`: URLs that a notifier may reach, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGrant {
    /// Everything below it is granted. It contains the placeholders of `secrets` unchanged.
    pub url: Url,
    /// Parameters that the query of a request must have, each with a placeholder, such as
    /// `sig=$(sig)`. The plugin chooses the others.
    pub query: Vec<String>,
    /// What the host puts in the place of the placeholders.
    pub secrets: Vec<UrlSecret>,
    /// The methods that are granted.
    pub methods: Vec<String>,
    /// The header fields that the host adds to each request, by their names in lower case.
    pub headers: Vec<(String, HttpSecret)>,
    /// How the host signs each request, if it does.
    pub sign: Option<Signing>,
    /// Whether the host of the URL may be in a private network, on this link or this machine.
    pub allow_private: bool,
    /// Certificates (PEM) that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The proxy through which the host of the URL is reached.
    pub proxy: Option<Url>,
}

/// A signature over the time and the body of a request: HMAC-SHA256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// The key.
    pub key: HttpSecret,
    /// The header field that has the signature, in lower case.
    pub header: String,
}

impl HttpGrant {
    /// The first parameter that is missing in the query of a request.
    fn missing_parameter(&self, query: Option<&str>) -> Option<&String> {
        let has = |parameter: &String| parameters(query).any(|other| other == parameter);
        self.query.iter().find(|parameter| !has(parameter))
    }

    /// A placeholder of this grant that a request has in another place than the grant. From there
    /// the other system could pass the secret on.
    fn misplaced_placeholder(&self, url: &Url, query: Option<&str>) -> Option<&UrlSecret> {
        let (_, rest) = self.url.strip_covered(url);
        let others = parameters(query).filter(|one| !self.query.iter().any(|own| own == one));
        let others: Vec<&str> = others.chain([rest]).collect();
        let is_within = |secret: &&UrlSecret| {
            let placeholder = placeholder::written(&secret.name);
            others.iter().any(|other| other.contains(&placeholder))
        };
        self.secrets.iter().find(is_within)
    }

    /// The same grant, with its files in a folder, unless their paths are absolute.
    pub fn relative_to(mut self, folder: &Path) -> Self {
        if let Some(file) = &mut self.ca_file {
            *file = folder.join(&*file);
        }
        let headers = self.headers.iter_mut().map(|(_, secret)| secret);
        let secrets = self.secrets.iter_mut().map(|one| &mut one.secret);
        let signing = self.sign.iter_mut().map(|sign| &mut sign.key);
        for secret in headers.chain(secrets).chain(signing) {
            if let SecretLocation::File(file) = &mut secret.location {
                *file = folder.join(&*file);
            }
        }
        self
    }

    fn allows(&self, method: &str) -> bool {
        self.methods.iter().any(|allowed| allowed == method)
    }

    /// All secrets that the host puts into requests for it.
    pub fn secrets(&self) -> impl Iterator<Item = &HttpSecret> {
        let headers = self.headers.iter().map(|(_, secret)| secret);
        let secrets = self.secrets.iter().map(|one| &one.secret);
        headers.chain(secrets).chain(self.sign.iter().map(|sign| &sign.key))
    }
}

/// As in the config: its URL with its query, and the placeholders of its secrets.
impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.query.is_empty() {
            true => write!(f, "{}", self.url),
            false => write!(f, "{}?{}", self.url, self.query.join("&")),
        }
    }
}

/// The parameters of a query, unchanged.
fn parameters(query: Option<&str>) -> impl Iterator<Item = &str> {
    query.into_iter().flat_map(|query| query.split('&'))
}

/// The first grant that covers a request. Of the request's query only placeholders count.
///
/// # Errors What is not granted, and the TOML that would grant it.
pub fn grant_for<'g>(
    grants: &'g [HttpGrant],
    method: &str,
    url: &Url,
    query: Option<&str>,
) -> Result<&'g HttpGrant, RequestDenied> {
    let denied = |reason| RequestDenied { method: method.to_owned(), url: url.to_string(), reason };
    let mut reaching = grants.iter().filter(|grant| grant.url.covers(url));
    let mut covering = reaching.clone().filter(|grant| grant.missing_parameter(query).is_none());
    if let Some(grant) = covering.clone().find(|grant| grant.allows(method)) {
        return match grant.misplaced_placeholder(url, query) {
            None => Ok(grant),
            Some(secret) => Err(denied(DeniedReason::Misplaced {
                grant: grant.to_string(),
                placeholder: placeholder::written(&secret.name),
            })),
        };
    }
    if let Some(nearest) = covering.next() {
        let (grant, methods) = (nearest.to_string(), nearest.methods.clone());
        return Err(denied(DeniedReason::Method { grant, methods }));
    }
    let lacking = reaching
        .find_map(|grant| Some((grant.to_string(), grant.missing_parameter(query)?.clone())));
    Err(denied(match lacking {
        Some((grant, parameter)) => DeniedReason::Query { grant, parameter },
        None => DeniedReason::NoGrant,
    }))
}

/// A request that no grant covers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RequestDenied {
    method: String,
    /// The URL without its query.
    url: String,
    reason: DeniedReason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum DeniedReason {
    /// No grant covers the URL.
    NoGrant,
    /// The nearest grant has other methods.
    Method { grant: String, methods: Vec<String> },
    /// The nearest grant requires a parameter that the request lacks.
    Query { grant: String, parameter: String },
    /// The request has a placeholder where the grant has none.
    Misplaced { grant: String, placeholder: String },
}

impl fmt::Display for RequestDenied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, url, reason } = self;
        match reason {
            DeniedReason::NoGrant => {
                write!(f, "{method} {url} is not granted; to grant it, write below the notifier:")?;
                write!(f, "\n\n[[notifiers.grants.http]]\nurl = {url:?}")?;
                write!(f, "\nmethods = [{method:?}]\n")?;
                let mut names: Vec<_> = placeholder::names(url).collect();
                names.dedup();
                for name in names {
                    writeln!(f, "secrets.{name} = {{ secret = \"NAME or ARN\" }}")?;
                }
                Ok(())
            }
            DeniedReason::Method { grant, methods } => {
                let methods: Vec<_> =
                    methods.iter().chain([method]).map(|method| format!("{method:?}")).collect();
                write!(f, "{method} is not granted for {url}; to grant it, write in the ")?;
                write!(f, "[[notifiers.grants.http]] of {grant}:")?;
                write!(f, "\n\nmethods = [{}]\n", methods.join(", "))
            }
            DeniedReason::Query { grant, parameter } => write!(
                f,
                "{method} {url} is not granted: the [[notifiers.grants.http]] of {grant} asks for \
                 `{parameter}` in the query; write it into the plugin's URL as well"
            ),
            DeniedReason::Misplaced { grant, placeholder } => write!(
                f,
                "{method} {url} is not granted: it has `{placeholder}` in another place than the \
                 [[notifiers.grants.http]] of {grant}, and the secret goes nowhere else"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn grant(url: &str, methods: &[&str]) -> HttpGrant {
        HttpGrant {
            url: Url::parse(url).unwrap(),
            query: vec![],
            secrets: vec![],
            methods: methods.iter().map(|&method| method.to_owned()).collect(),
            headers: vec![],
            sign: None,
            allow_private: false,
            ca_file: None,
            proxy: None,
        }
    }

    fn ask<'g>(grants: &'g [HttpGrant], method: &str, url: &str) -> Result<&'g str, String> {
        let (url, query) = match url.split_once('?') {
            Some((url, query)) => (url, Some(query)),
            None => (url, None),
        };
        let found = grant_for(grants, method, &Url::parse(url).unwrap(), query);
        found.map(|grant| grant.url.host()).map_err(|denied| denied.to_string())
    }

    #[test]
    fn the_first_that_covers_url_and_method() {
        let grants = [grant("https://a/x", &["GET"]), grant("https://a/", &["GET", "POST"])];
        for (method, url, index) in
            [("GET", "https://a/x/y", 0), ("POST", "https://a/x/y", 1), ("GET", "https://a/z", 1)]
        {
            let url = Url::parse(url).unwrap();
            assert_eq!(grant_for(&grants, method, &url, Some("q")), Ok(&grants[index]));
        }
    }

    #[test]
    fn a_denial_is_the_toml_that_would_grant_it() {
        assert_eq!(
            ask(&[], "POST", "https://cmdb.example.com/api/now"),
            Err("POST https://cmdb.example.com/api/now is not granted; to grant it, write below \
                 the notifier:\n\n\
                 [[notifiers.grants.http]]\n\
                 url = \"https://cmdb.example.com/api/now\"\n\
                 methods = [\"POST\"]\n"
                .to_owned())
        );
        assert_eq!(
            ask(&[grant("https://a/api/", &["GET"])], "DELETE", "https://a/api/x"),
            Err("DELETE is not granted for https://a/api/x; to grant it, write in the \
                 [[notifiers.grants.http]] of https://a/api/:\n\n\
                 methods = [\"GET\", \"DELETE\"]\n"
                .to_owned())
        );
    }

    /// The secret of a placeholder goes only where the grant has the placeholder.
    #[rstest]
    #[case::there("https://a/x/$(s)?sig=$(q)", "")]
    #[case::among_others("https://a/x/$(s)?v=1&sig=$(q)&w", "")]
    #[case::with_more_after_it("https://a/x/$(s)/y?sig=$(q)", "")]
    #[case::another_name("https://a/x/$(s)?sig=$(q)&text=$(other)", "")]
    #[case::no_secret_in_the_path("https://a/x/y?sig=$(q)", "url = \"https://a/x/y\"")]
    #[case::no_secret_in_the_query("https://a/x/$(s)", "asks for `sig=$(q)` in the query")]
    #[case::another_value("https://a/x/$(s)?sig=x", "asks for `sig=$(q)` in the query")]
    #[case::also_in_the_path("https://a/x/$(s)/$(s)?sig=$(q)", "it has `$(s)` in another place")]
    #[case::of_the_query_in_the_path("https://a/x/$(s)/$(q)?sig=$(q)", "has `$(q)` in another")]
    #[case::in_a_text("https://a/x/$(s)?sig=$(q)&text=$(s)", "it has `$(s)` in another place")]
    #[case::in_a_name("https://a/x/$(s)?sig=$(q)&$(q)", "it has `$(q)` in another place")]
    fn where_placeholders_may_be(#[case] url: &str, #[case] refused: &str) {
        let secret = |name: &str| UrlSecret {
            name: name.to_owned(),
            secret: HttpSecret {
                prefix: String::new(),
                location: SecretLocation::EnvironmentVariable("S".to_owned()),
            },
        };
        let mut grant = grant("https://a/x/$(s)", &["POST"]);
        grant.query = vec!["sig=$(q)".to_owned()];
        grant.secrets = vec![secret("s"), secret("q")];
        match (ask(&[grant], "POST", url), refused) {
            (Ok(host), "") => assert_eq!(host, "a"),
            (Err(denied), refused) if !refused.is_empty() => {
                assert!(denied.contains(refused), "{denied}")
            }
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn a_denial_names_the_secrets_that_are_to_be_granted() {
        let denied = ask(&[], "POST", "https://a/x/$(slack)").unwrap_err();
        let toml = "url = \"https://a/x/$(slack)\"\nmethods = [\"POST\"]\n\
                    secrets.slack = { secret = \"NAME or ARN\" }\n";
        assert!(denied.contains(toml), "{denied}");
    }
}
