//! HTTP requests and responses, as far as the model has to do with them.

/// What of an HTTP request the model looks at.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The path, by which CBOR and REST services name the operation.
    pub path: &'a str,
    /// The header `X-Amz-Target`, by which JSON services name the operation.
    pub target: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// An HTTP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// What a proxy or a load balancer answers in the place of a service.
    pub(crate) fn html(status: u16) -> Self {
        let body = format!(
            "<html>\r\n<head><title>{status}</title></head>\r\n<body>proxy.example.com</body>\r\n\
             </html>\r\n"
        );
        Self {
            status,
            headers: vec![("content-type", "text/html; charset=utf-8".to_owned())],
            body: body.into_bytes(),
        }
    }
}
