//! `groundcrew health`: checks the health of the service on this machine. For images, which contain
//! no other program that could do it.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::command_error::CommandError;
use crate::commands::Health;
use crate::output::print;

/// Shorter than the timeout of container runtimes for a health check.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Most bytes of the response that are read.
const MAX_BODY_BYTES: usize = 64 << 10;

/// Why the service is not healthy.
#[derive(Debug, thiserror::Error)]
enum HealthError {
    #[error("{0}: nobody listens there: {1}; is `groundcrew run` running with that --listen?")]
    Connection(SocketAddr, std::io::Error),
    #[error("{0}: no answer to GET /healthz: {1}")]
    Answer(SocketAddr, Box<dyn std::error::Error + Send + Sync>),
    #[error("{0}: no answer to GET /healthz within {1:?}")]
    TimedOut(SocketAddr, Duration),
    #[error("{0}: {1}: {2}")]
    Status(SocketAddr, StatusCode, String),
}

pub fn run(options: &Health) -> Result<(), CommandError> {
    let address = options.address;
    let check = async {
        tokio::time::timeout(TIMEOUT, request_health(address))
            .await
            .unwrap_or(Err(HealthError::TimedOut(address, TIMEOUT)))
    };
    let answer = crate::runtime::current_thread()?.block_on(check);
    print(&answer.map_err(|error| CommandError::Other(error.to_string()))?)
}

/// The response, if its status is a success.
async fn request_health(address: SocketAddr) -> Result<String, HealthError> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| HealthError::Connection(address, error))?;
    let failed = |error: hyper::Error| HealthError::Answer(address, error.into());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Ends with the response, or with this process.
    tokio::spawn(connection);
    let request = Request::get("/healthz")
        .header(header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(|error| HealthError::Answer(address, error.into()))?;
    let answer = sender.send_request(request).await.map_err(failed)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_BODY_BYTES).collect().await;
    let body = body.map_err(|error| HealthError::Answer(address, error))?.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    match status.is_success() {
        true => Ok(text),
        false => Err(HealthError::Status(address, status, text.trim_end().to_owned())),
    }
}
