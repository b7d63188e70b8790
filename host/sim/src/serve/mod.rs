//! The model as a server: HTTP/1.1 in real time, for the AWS CLI, boto3 and other SDKs.

use std::future::Future;
mod resources;
mod test_api;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response as HttpResponse, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use crate::faults::RoundTrip;
use crate::protocol::{ApiError, Request, Response};
use crate::shared_model::{ExchangeOutcome, SharedModel};
use crate::state::{ServeOptions, State};
use crate::time::SimClock;
pub use resources::Resources;
use resources::endpoint;

/// Most bytes of a request.
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;

/// The server reads up to this many bytes more of a request that is too large, so that the client
/// gets to read the response.
const MAX_DISCARDED_BYTES: usize = 10 * MAX_BODY_BYTES;

/// On shutdown, open requests have this long to complete.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// How often a changed state is saved.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// The wait after a connection could not be accepted, for example for want of file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Serves a simulated AWS until `shutdown` is ready. Every service is at every path, in the Region
/// `us-east-1`, and accepts any credentials. Paths under `/_groundcrew/` are for tests:
///
/// - `GET offered`: the operations by service;
/// - `GET calls`: how often each operation was called;
/// - `GET queues-asked`: names of the queues that each operation of SQS was called for;
/// - `GET operations`: the account operations so far;
/// - `GET alerts`: what was published to the alerts topic;
/// - `GET cases`: the support cases;
/// - `POST release-artifact`: releases a new artifact of Account Factory, so that every account is
///   outdated, and sends its event;
/// - `POST event`: delivers the body to the events queue;
/// - `POST next-call`: injects a fault into the next call of an operation, for example
///   `{"operation": "CreateCase", "fares": "reply-lost"}`, or `not-connected`, `throttled`,
///   `denied`, `hung`, `garbled`, `proxy-refuses`;
/// - `POST deny`: takes a permission from the caller, for example
///   `{"operation": "GetResources"}`;
/// - `POST state`: changes settings as an operator would, for example
///   `{"landing_zone": {"status": "PROCESSING"}}`; also `unregistered_ous` (ids),
///   `launch_paths` (`[["lpv2-…", "portfolio"]]`), `support_plan` and `identity_center`.
///
/// # Errors
/// When the listener has no address.
pub async fn serve(
    listener: TcpListener,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_with_state(listener, State::new(options), None, shutdown).await
}

/// Saves a state, as text that [`State::parse`] reads, in place of the previous one.
pub type SaveState = Box<dyn FnMut(&str) -> io::Result<()> + Send>;

/// Like [`serve()`], but from a given state. If `save` is given, it is called at the start, at most
/// a second after a change, and at the end.
///
/// # Errors
/// When the listener has no address, and when the state can't be saved at the start or at the end.
/// In between, a failed save is retried every second.
pub async fn serve_with_state(
    listener: TcpListener,
    state: State,
    mut save: Option<SaveState>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut model = state.into_model();
    let clock = SimClock::real_from(model.now());
    model.set_queue_endpoint(endpoint(listener.local_addr()?));
    let shared = Arc::new(SharedModel::new(model, clock));
    save_state(&shared, &mut save).await?;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let saver = {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = sleep(SAVE_INTERVAL) => {}
                    _ = &mut stopped => return save,
                }
                // `save` itself reports the error.
                let _ = save_state(&shared, &mut save).await;
            }
        })
    };
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    sleep(ACCEPT_RETRY_DELAY).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        // Responses are small. Without this option they are only later.
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { answer(&shared, request).await }
            }),
        );
        let connection = graceful.watch(connection);
        // A connection ends with an error when the client closes it or when its response is lost.
        connections.spawn(async move { drop(connection.await) });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = sleep(SHUTDOWN_GRACE) => {}
    }
    // Whatever still runs, above all long polls, ends here.
    connections.shutdown().await;
    let _ = stop.send(());
    let mut save = saver.await.map_err(io::Error::other)?;
    save_state(&shared, &mut save).await
}

/// Saves the state of a model if it has changed.
async fn save_state(shared: &SharedModel, save: &mut Option<SaveState>) -> io::Result<()> {
    let Some(mut act) = save.take() else { return Ok(()) };
    let Some(text) = shared.take_changed_state() else {
        *save = Some(act);
        return Ok(());
    };
    let text = text.map_err(io::Error::other)?;
    // A disk may be slow, and no response may wait for it.
    let (act, kept) = spawn_blocking(move || {
        let kept = act(&text);
        (act, kept)
    })
    .await
    .map_err(io::Error::other)?;
    *save = Some(act);
    if kept.is_err() {
        shared.mark_dirty();
    }
    kept
}

/// No response: the connection must be closed.
#[derive(Debug, thiserror::Error)]
#[error("the reply is lost")]
struct ResponseLost;

async fn answer(
    shared: &SharedModel,
    request: hyper::Request<Incoming>,
) -> Result<HttpResponse<Full<Bytes>>, ResponseLost> {
    let (head, body) = request.into_parts();
    let body = match read(body).await.map_err(|_| ResponseLost)? {
        Some(body) => body,
        None => {
            let error = ApiError::new(
                "RequestEntityTooLargeException",
                format!("The request has more than {MAX_BODY_BYTES} bytes."),
            );
            return Ok(http(shared.with(|model| model.reject(error.with_status(413)))));
        }
    };
    let path = head.uri.path();
    if let Some(name) = path.strip_prefix("/_groundcrew/") {
        return Ok(http(test_api::answer(shared, &head.method, name, &body)));
    }
    let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let request = Request { path, target, body: &body };
    // The real network adds the latency.
    let trip = RoundTrip {
        request_latency: Duration::ZERO,
        response_latency: Duration::ZERO,
        ..shared.with(|model| model.draw_round_trip(&request))
    };
    match shared.exchange(&request, trip).await {
        ExchangeOutcome::Answered(response) => Ok(http(response)),
        ExchangeOutcome::NotConnected | ExchangeOutcome::Broken => Err(ResponseLost),
    }
}

/// Reads a body to its end. `None` if it is too large.
async fn read(mut body: Incoming) -> Result<Option<Vec<u8>>, ResponseLost> {
    let (mut bytes, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| ResponseLost)?.into_data() else { continue };
        length += data.len();
        if length > MAX_DISCARDED_BYTES {
            return Err(ResponseLost);
        }
        if length <= MAX_BODY_BYTES {
            bytes.extend_from_slice(&data);
        }
    }
    Ok((length <= MAX_BODY_BYTES).then_some(bytes))
}

fn http(response: Response) -> HttpResponse<Full<Bytes>> {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::new(Full::new(Bytes::from(response.body)));
    *answer.status_mut() = status;
    for (name, value) in response.headers {
        if let Ok(value) = value.parse() {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}
