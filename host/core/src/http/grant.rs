//! Grants: which requests of a plugin are sent.

use std::fmt;
use std::path::{Path, PathBuf};

use super::secret::{HttpSecret, SecretPlace};
use super::url::Url;

/// One of `[[notifiers.grants.http]]`: URLs that a notifier may reach, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGrant {
    /// Everything below it is granted.
    pub url: Url,
    /// The methods that are.
    pub methods: Vec<String>,
    /// What the host adds to each request: header fields by their names in lower case.
    pub headers: Vec<(String, HttpSecret)>,
    /// How the host signs each request, if it does.
    pub sign: Option<Signing>,
    /// Whether the host may be in a private network, on this link or this machine.
    pub allow_private: bool,
    /// Certificates (PEM) that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The proxy by which the host is reached.
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
    /// Whether it covers a URL, by some method.
    fn reaches(&self, url: &Url) -> bool {
        self.url.covers(url)
    }

    /// The same, with its files in a folder, unless their paths are absolute.
    pub fn within(mut self, folder: &Path) -> Self {
        if let Some(file) = &mut self.ca_file {
            *file = folder.join(&*file);
        }
        let headers = self.headers.iter_mut().map(|(_, secret)| secret);
        for secret in headers.chain(self.sign.iter_mut().map(|sign| &mut sign.key)) {
            if let SecretPlace::File(file) = &mut secret.place {
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
        headers.chain(self.sign.iter().map(|sign| &sign.key))
    }
}

/// The first grant that covers a request.
///
/// # Errors
/// What is not granted, and the TOML that would grant it.
pub fn grant_for<'g>(
    grants: &'g [HttpGrant],
    method: &str,
    url: &Url,
) -> Result<&'g HttpGrant, Denied> {
    let mut reaching = grants.iter().filter(|grant| grant.reaches(url));
    if let Some(grant) = reaching.clone().find(|grant| grant.allows(method)) {
        return Ok(grant);
    }
    Err(Denied {
        method: method.to_owned(),
        url: url.to_string(),
        nearest: reaching.next().map(|grant| (grant.url.to_string(), grant.methods.clone())),
    })
}

/// A request that no grant covers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Denied {
    method: String,
    url: String,
    /// The URL of a grant that has another method, and its methods.
    nearest: Option<(String, Vec<String>)>,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, url, nearest } = self;
        match nearest {
            None => {
                write!(f, "{method} {url} is not granted; to grant it, write below the notifier:")?;
                write!(f, "\n\n[[notifiers.grants.http]]\nurl = {url:?}")?;
                write!(f, "\nmethods = [{method:?}]\n")
            }
            Some((granted, methods)) => {
                let methods: Vec<_> =
                    methods.iter().chain([method]).map(|method| format!("{method:?}")).collect();
                write!(f, "{method} is not granted for {url}; to grant it, write in the ")?;
                write!(f, "[[notifiers.grants.http]] of {granted}:")?;
                write!(f, "\n\nmethods = [{}]\n", methods.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(url: &str, methods: &[&str]) -> HttpGrant {
        HttpGrant {
            url: Url::parse(url).unwrap(),
            methods: methods.iter().map(|&method| method.to_owned()).collect(),
            headers: vec![],
            sign: None,
            allow_private: false,
            ca_file: None,
            proxy: None,
        }
    }

    fn ask<'g>(grants: &'g [HttpGrant], method: &str, url: &str) -> Result<&'g str, String> {
        let found = grant_for(grants, method, &Url::parse(url).unwrap());
        found.map(|grant| grant.url.host()).map_err(|denied| denied.to_string())
    }

    #[test]
    fn the_first_that_covers_url_and_method() {
        let grants = [grant("https://a/x", &["GET"]), grant("https://a/", &["GET", "POST"])];
        for (method, url, index) in
            [("GET", "https://a/x/y", 0), ("POST", "https://a/x/y", 1), ("GET", "https://a/z", 1)]
        {
            let url = Url::parse(url).unwrap();
            assert_eq!(grant_for(&grants, method, &url), Ok(&grants[index]));
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
}
