//! HTTP requests and responses, with the parts that the model uses.

/// The parts of an HTTP request that the model reads.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The path, which has the name of the operation for CBOR and REST services.
    pub path: &'a str,
    /// The header `X-Amz-Target`, which has the name of the operation for JSON services.
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
    /// The response of a proxy or a load balancer in place of the service.
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
