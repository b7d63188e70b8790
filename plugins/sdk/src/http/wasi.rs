//! Sends requests with `wasi:http`.

use super::{HttpError, Request, Response};
use crate::FailureKind::{self, Denied, Invalid, Permanent, Transient};
use crate::bindings::http::wasi::http::outgoing_handler::handle;
use crate::bindings::http::wasi::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    Scheme,
};
use crate::bindings::http::wasi::io::streams::StreamError;

/// Most bytes that a stream takes in one blocking write.
const CHUNK: usize = 4096;
/// Most bytes that are read at once.
const READ: u64 = 64 << 10;

pub(super) fn send(request: &Request) -> Result<Response, HttpError> {
    let failed = |code| from_error_code(request, code);
    let outgoing = outgoing(request)?;
    let body =
        outgoing.body().map_err(|()| invalid_request(request, "its body can't be written"))?;
    let answer = handle(outgoing, None).map_err(failed)?;
    write(request, body)?;
    let pollable = answer.subscribe();
    let answer = loop {
        match answer.get() {
            Some(Ok(Ok(answer))) => break answer,
            Some(Ok(Err(code))) => return Err(failed(code)),
            Some(Err(())) => return Err(response_lost(request, "its answer was taken twice")),
            None => pollable.block(),
        }
    };
    drop(pollable);
    read(request, &answer)
}

/// The request without its body.
fn outgoing(request: &Request) -> Result<OutgoingRequest, HttpError> {
    let headers = Fields::new();
    for (name, value) in request.headers() {
        headers.append(name, value.as_bytes()).map_err(|_| {
            invalid_request(
                request,
                &format!("the header field {name:?} can't be sent with this value"),
            )
        })?;
    }
    let outgoing = OutgoingRequest::new(headers);
    let (scheme, rest) = match request.url().split_once("://") {
        Some(("https", rest)) => (Scheme::Https, rest),
        Some(("http", rest)) => (Scheme::Http, rest),
        _ => return Err(invalid_request(request, "expected a URL that begins with `https://`")),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    outgoing
        .set_method(&method(request.method()))
        .and_then(|()| outgoing.set_scheme(Some(&scheme)))
        .and_then(|()| outgoing.set_authority(Some(authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(&path)))
        .map_err(|()| invalid_request(request, "this is no URL, or no method"))?;
    Ok(outgoing)
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        other => Method::Other(other.to_owned()),
    }
}

/// Writes the body. If the host closes the stream, that is not an error of its own: the response
/// says why.
fn write(request: &Request, body: OutgoingBody) -> Result<(), HttpError> {
    {
        let stream =
            body.write().map_err(|()| invalid_request(request, "its body can't be written"))?;
        for chunk in request.bytes().chunks(CHUNK) {
            if stream.blocking_write_and_flush(chunk).is_err() {
                break;
            }
        }
    }
    let _ = OutgoingBody::finish(body, None);
    Ok(())
}

fn read(request: &Request, answer: &IncomingResponse) -> Result<Response, HttpError> {
    let mut bytes = Vec::new();
    let body =
        answer.consume().map_err(|()| response_lost(request, "its answer was read twice"))?;
    {
        let stream =
            body.stream().map_err(|()| response_lost(request, "its answer was read twice"))?;
        loop {
            match stream.blocking_read(READ) {
                Ok(read) => bytes.extend(read),
                Err(StreamError::Closed) => break,
                Err(StreamError::LastOperationFailed(_)) => {
                    return Err(response_lost(request, "its answer broke off"));
                }
            }
        }
    }
    drop(IncomingBody::finish(body));
    let response = Response::new(answer.status(), bytes);
    let headers = answer.headers().entries();
    Ok(headers.into_iter().fold(response, |response, (name, value)| {
        response.with_header(name, String::from_utf8_lossy(&value).into_owned())
    }))
}

fn invalid_request(request: &Request, what: &str) -> HttpError {
    HttpError::new(request, Invalid, "http-invalid", what, false)
}

fn response_lost(request: &Request, what: &str) -> HttpError {
    HttpError::new(request, Transient, "http-lost", what, true)
}

fn from_error_code(request: &Request, code: ErrorCode) -> HttpError {
    let (kind, name, what, received): (FailureKind, _, _, _) = match code {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
            (Denied, "http-denied", "the host does not send it", false)
        }
        ErrorCode::ConfigurationError => {
            (Denied, "http-misconfigured", "the host lacks something that it needs for it", false)
        }
        ErrorCode::InternalError(_) => {
            (Transient, "http-unavailable", "the host can't send it at the moment", false)
        }
        ErrorCode::DnsTimeout
        | ErrorCode::DnsError(_)
        | ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::ConnectionRefused
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionLimitReached => {
            (Transient, "http-unreachable", "the other system can't be reached", false)
        }
        ErrorCode::TlsProtocolError
        | ErrorCode::TlsCertificateError
        | ErrorCode::TlsAlertReceived(_) => {
            (Transient, "http-tls", "there is no trusted connection", false)
        }
        ErrorCode::HttpRequestBodySize(_) => {
            (Permanent, "http-too-large", "its body is larger than allowed", false)
        }
        ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestLengthRequired
        | ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_)
        | ErrorCode::HttpRequestTrailerSectionSize(_)
        | ErrorCode::HttpRequestTrailerSize(_) => {
            (Invalid, "http-invalid", "it is no request that can be sent", false)
        }
        ErrorCode::HttpResponseBodySize(_) => {
            (Permanent, "http-answer-too-large", "its answer is larger than allowed", true)
        }
        // The request had a result that is unknown: sent again, it would have its effect twice.
        ErrorCode::HttpResponseTransferCoding(_) | ErrorCode::HttpResponseHeaderSectionSize(_)
            if !super::is_safe(request.method()) =>
        {
            (Permanent, "http-answer-broken", "its answer can't be read to the end", true)
        }
        ErrorCode::HttpResponseTimeout => {
            (Transient, "http-timeout", "there was no answer in time", true)
        }
        _ => (Transient, "http-lost", "there was no complete answer", true),
    };
    HttpError::new(request, kind, name, what, received)
}
