//! `groundcrew health`: asks the service of this machine whether it is well. For images, which have
//! no other program that could.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::commands::Health;
use crate::failure::Failure;
use crate::output::print;

/// Less than what container runtimes wait for a health check.
const PATIENCE: Duration = Duration::from_secs(4);
/// Of the answer, so much is read.
const LONGEST: usize = 64 << 10;

/// Why the service is not well.
#[derive(Debug, thiserror::Error)]
enum Unwell {
    #[error("{0}: nobody listens there: {1}; is `groundcrew run` running with that --listen?")]
    Connection(SocketAddr, std::io::Error),
    #[error("{0}: no answer to GET /healthz: {1}")]
    Answer(SocketAddr, Box<dyn std::error::Error + Send + Sync>),
    #[error("{0}: no answer to GET /healthz within {1:?}")]
    Late(SocketAddr, Duration),
    #[error("{0}: {1}: {2}")]
    Status(SocketAddr, StatusCode, String),
}

pub fn run(options: &Health) -> Result<(), Failure> {
    let address = options.address;
    let asking = async {
        tokio::time::timeout(PATIENCE, ask(address))
            .await
            .unwrap_or(Err(Unwell::Late(address, PATIENCE)))
    };
    let answer = crate::runtime::current_thread()?.block_on(asking);
    print(&answer.map_err(|unwell| Failure::Other(unwell.to_string()))?)
}

/// The answer, if it is a good one.
async fn ask(address: SocketAddr) -> Result<String, Unwell> {
    let stream =
        TcpStream::connect(address).await.map_err(|error| Unwell::Connection(address, error))?;
    let failed = |error: hyper::Error| Unwell::Answer(address, error.into());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Ends with the answer, or with this process.
    tokio::spawn(connection);
    let request = Request::get("/healthz")
        .header(header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(|error| Unwell::Answer(address, error.into()))?;
    let answer = sender.send_request(request).await.map_err(failed)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LONGEST).collect().await;
    let body = body.map_err(|error| Unwell::Answer(address, error))?.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    match status.is_success() {
        true => Ok(text),
        false => Err(Unwell::Status(address, status, text.trim_end().to_owned())),
    }
}
