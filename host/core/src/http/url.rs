//! URLs in a form that no two parsers read differently.
//!
//! A grant is only as safe as its comparison with a request. So nothing is normalized: a text that
//! parsers could read in more than one way is refused, in grants and in requests.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Unencrypted.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// Scheme, host, port and path of a request or a grant. The query and the fragment are not part of
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    /// A name in lower case, or an address without brackets.
    host: String,
    port: u16,
    /// Begins with `/`.
    path: String,
}

/// Why a text is not a URL that can be granted or requested.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither `http://` nor `https://`.
    #[error("it begins with neither `https://` nor `http://`")]
    Scheme,
    /// A user or a password.
    #[error("it has a user or password before the host")]
    User,
    /// The host is not valid.
    #[error("its host is neither a name in ASCII nor an address in its usual form")]
    Host,
    /// The port is not valid.
    #[error("its port is no number from 1 to 65535")]
    Port,
    /// There is something after the path.
    #[error("it has a query or fragment")]
    Query,
    /// Parsers could read the path in different ways.
    #[error("its path {0}")]
    Path(&'static str),
}

impl Url {
    /// Parses a URL that has neither query nor fragment.
    ///
    /// # Errors What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        if rest.contains(['?', '#']) {
            return Err(UrlError::Query);
        }
        let path_at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path_at);
        Self::from_parts(scheme, authority, path)
    }

    /// Combines a URL from its parts. An empty path becomes `/`.
    ///
    /// # Errors What is wrong with them.
    pub fn from_parts(scheme: &str, authority: &str, path: &str) -> Result<Self, UrlError> {
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(UrlError::Scheme),
        };
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(UrlError::Host)?;
                let host: Ipv6Addr = host.parse().map_err(|_| UrlError::Host)?;
                (host.to_string(), port)
            }
            None => {
                let (host, port) =
                    authority.split_at(authority.find(':').unwrap_or(authority.len()));
                (host_name(host)?, port)
            }
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => scheme.port(),
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|port| *port > 0).ok_or(UrlError::Port)?
            }
            _ => return Err(UrlError::Port),
        };
        let path = if path.is_empty() { "/" } else { path };
        check_path(path).map_err(UrlError::Path)?;
        Ok(Self { scheme, host, port, path: path.to_owned() })
    }

    /// How a request to it is sent.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host's name in lower case, or its address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host, if it is an address.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The port; the scheme's default if there is none in the text.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as in the header `Host`: brackets around an IPv6 address, no port if it is the
    /// scheme's default.
    pub fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match self.port == self.scheme.port() {
            true => host,
            false => format!("{host}:{}", self.port),
        }
    }

    /// The path, beginning with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The other's path if this one covers it, split into the part that this one's segments cover,
    /// and the rest.
    pub(super) fn strip_covered<'o>(&self, other: &'o Self) -> (&'o str, &'o str) {
        let count = segments(&self.path).count();
        let end = other.path.match_indices('/').map(|(at, _)| at).nth(count);
        other.path.split_at(end.unwrap_or(other.path.len()))
    }

    /// Whether the other has the same origin, and its path begins with all segments of this one's:
    /// `/api/` covers `/api`, `/api/` and `/api/v1`, not `/apis`.
    pub fn covers(&self, other: &Self) -> bool {
        let mut segments = segments(&other.path);
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
            && self::segments(&self.path).all(|segment| segments.next() == Some(segment))
    }
}

/// As text, without default values.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority(), self.path)
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// The name in lower case, or the address.
fn host_name(host: &str) -> Result<String, UrlError> {
    let fit = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if host.len() > 253 || !host.split('.').all(fit) {
        return Err(UrlError::Host);
    }
    // Some resolvers read `127.1`, `0x7f.0.0.1` and `2130706433` as addresses.
    let last = host.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    if is_number && host.parse::<Ipv4Addr>().is_err() {
        return Err(UrlError::Host);
    }
    Ok(host.to_ascii_lowercase())
}

/// Refuses paths that servers, proxies and frameworks are known to read as another path.
pub(super) fn check_path(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("doesn't begin with `/`");
    }
    if path.bytes().any(|byte| !byte.is_ascii_graphic() || b"\\\"<>^`{|}?#".contains(&byte)) {
        return Err("has a character that must be percent-encoded");
    }
    let decoded = decode(path).ok_or("has a `%` that is not followed by two digits")?;
    // Decoding must not add slashes: a segment would have hidden one.
    let slashes = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'/').count();
    if slashes(&decoded) != slashes(path.as_bytes())
        || decoded.iter().any(|byte| matches!(byte, b'\\' | b'%') || byte.is_ascii_control())
    {
        return Err("has an encoded `/`, `\\`, `%` or control character");
    }
    if path.contains("//") {
        return Err("has an empty segment");
    }
    // Some servers remove `;…` from a segment before they evaluate it.
    let dots = |segment: &[u8]| {
        let end = segment.iter().position(|byte| *byte == b';').unwrap_or(segment.len());
        matches!(&segment[..end], b"." | b"..")
    };
    if decoded.split(|byte| *byte == b'/').any(dots) {
        return Err("has a segment `.` or `..`");
    }
    Ok(())
}

/// Percent-decoded once.
pub(super) fn decode(path: &str) -> Option<Vec<u8>> {
    let mut bytes = path.bytes();
    let mut decoded = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[rstest]
    #[case("https://cmdb.example.com", "https://cmdb.example.com/")]
    #[case("HTTPS://CMDB.example.COM:443/Api/", "https://cmdb.example.com/Api/")]
    #[case("http://localhost:8080/a", "http://localhost:8080/a")]
    #[case("https://[2001:DB8:0::1]:8443/", "https://[2001:db8::1]:8443/")]
    #[case("https://10.0.0.1/", "https://10.0.0.1/")]
    #[case("https://a/x%20y;v=1/~z", "https://a/x%20y;v=1/~z")]
    fn one_form(#[case] text: &str, #[case] form: &str) {
        assert_eq!(url(text).to_string(), form);
        assert_eq!(url(form), url(text));
    }

    #[rstest]
    #[case("cmdb.example.com", UrlError::Scheme)]
    #[case("ftp://a/", UrlError::Scheme)]
    #[case("https://user@a/", UrlError::User)]
    #[case("https://a.example.com@evil.example.com/", UrlError::User)]
    #[case("https:///a", UrlError::Host)]
    #[case("https://a..b/", UrlError::Host)]
    #[case("https://a./", UrlError::Host)]
    #[case("https://ä.example.com/", UrlError::Host)]
    #[case("https://a b/", UrlError::Host)]
    #[case("https://127.1/", UrlError::Host)]
    #[case("https://0x7f.0.0.1/", UrlError::Host)]
    #[case("https://2130706433/", UrlError::Host)]
    #[case("https://0177.0.0.1/", UrlError::Host)]
    #[case("https://[::1/", UrlError::Host)]
    #[case("https://[::1%25eth0]/", UrlError::Host)]
    #[case("https://a:0/", UrlError::Port)]
    #[case("https://a:/", UrlError::Port)]
    #[case("https://a:65536/", UrlError::Port)]
    #[case("https://a:+1/", UrlError::Port)]
    #[case("https://a/?x", UrlError::Query)]
    #[case("https://a/#x", UrlError::Query)]
    fn what_is_no_url(#[case] text: &str, #[case] error: UrlError) {
        assert_eq!(Url::parse(text), Err(error));
    }

    #[rstest]
    #[case::up("/api/../admin")]
    #[case::up_at_the_end("/api/..")]
    #[case::here("/api/./x")]
    #[case::up_encoded("/api/%2e%2E/admin")]
    #[case::up_half_encoded("/api/.%2e/admin")]
    #[case::up_with_parameters("/api/..;x=1/admin")]
    #[case::up_with_encoded_parameters("/api/..%3bx/admin")]
    #[case::slash_encoded("/api/..%2fadmin")]
    #[case::slash_encoded_alone("/api/a%2Fb")]
    #[case::backslash("/api\\..\\admin")]
    #[case::backslash_encoded("/api/..%5cadmin")]
    #[case::encoded_twice("/api/%252e%252e/admin")]
    #[case::empty_segment("/api//admin")]
    #[case::nul("/api/%00")]
    #[case::line_break("/api/%0d%0a")]
    #[case::cut_off("/api/%2")]
    #[case::no_digits("/api/%zz")]
    #[case::space("/api/ x")]
    #[case::not_ascii("/api/ä")]
    fn paths_of_two_readings(#[case] path: &str) {
        let error = Url::from_parts("https", "a", path).unwrap_err();
        assert!(matches!(error, UrlError::Path(_)), "{error}");
    }

    #[rstest]
    #[case("https://a/api/", "https://a/api/v1", true)]
    #[case("https://a/api", "https://a/api/v1", true)]
    #[case("https://a/api/", "https://a/api", true)]
    #[case("https://a/api", "https://a/apis", false)]
    #[case("https://a/api/v1", "https://a/api", false)]
    #[case("https://a", "https://a/x/y", true)]
    #[case("https://a/API", "https://a/api", false)]
    #[case("https://a/api", "https://a/%61pi", false)]
    #[case("https://a/", "http://a/", false)]
    #[case("https://a/", "https://a:8443/", false)]
    #[case("https://a/", "https://b.a/", false)]
    #[case("https://a.example.com/", "https://A.EXAMPLE.com:443/x", true)]
    #[case("https://[::1]/", "https://[0:0:0:0:0:0:0:1]/", true)]
    fn covers(#[case] grant: &str, #[case] request: &str, #[case] strip_covered: bool) {
        assert_eq!(url(grant).covers(&url(request)), strip_covered);
    }
}
