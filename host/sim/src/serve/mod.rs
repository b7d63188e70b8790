//! The model as a server: HTTP/1.1 in real time, for the AWS CLI, boto3 and other SDKs.

use std::future::Future;
mod control;
mod resources;

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
use crate::state::{ServeOptions, State};
use crate::time::SimClock;
use crate::world::{Exchange, World};
pub use resources::Resources;
use resources::endpoint;

/// Most bytes of a request.
const LARGEST_BODY: usize = 10 * 1024 * 1024;

/// A request that is too large is read on for so many bytes, so that its sender comes to
/// read the answer.
const LARGEST_WASTE: usize = 10 * LARGEST_BODY;

/// On shutdown, requests that are being answered get so long.
const GRACE: Duration = Duration::from_secs(2);

/// A changed state is kept so often.
const KEPT_EVERY: Duration = Duration::from_secs(1);

/// After a connection that could not be accepted, for want of files perhaps.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves a simulated AWS until `shutdown` is ready. Every service answers at every path,
/// in the Region `us-east-1`, to whatever credentials. Paths under `/_groundcrew/` are for
/// tests:
///
/// - `GET offered`: the operations by service;
/// - `GET calls`: how often each operation was called;
/// - `GET queues-asked`: names of the queues that each operation of SQS was asked of;
/// - `GET operations`: the account operations so far;
/// - `GET alerts`: what was published to the alerts topic;
/// - `GET cases`: the support cases;
/// - `POST release-artifact`: releases a new artifact of Account Factory, so that every account is
///   outdated, and tells of it by event;
/// - `POST event`: delivers the body to the events queue;
/// - `POST next-call`: lets the next call of an operation fail, for example
///   `{"operation": "CreateCase", "fares": "reply-lost"}`, or `not-connected`, `throttled`,
///   `denied`, `hung`, `garbled`, `proxy-refuses`;
/// - `POST deny`: takes a permission from the caller, for example
///   `{"operation": "GetResources"}`;
/// - `POST state`: sets what an operator would, for example
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
    serve_kept(listener, State::new(options), None, shutdown).await
}

/// Keeps a state, as text that [`State::parse`] reads, in the place of the one before.
pub type Keep = Box<dyn FnMut(&str) -> io::Result<()> + Send>;

/// As [`serve()`], but from a state on, and with `keep`, if it is given, called at the start, at most
/// a second after a change, and at the end.
///
/// # Errors
/// When the listener has no address, and when the state can't be kept at the start or at the end.
/// In between it is tried again each second.
pub async fn serve_kept(
    listener: TcpListener,
    state: State,
    mut keep: Option<Keep>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut model = state.into_model();
    let clock = SimClock::real_from(model.now());
    model.set_queue_endpoint(endpoint(listener.local_addr()?));
    let world = Arc::new(World::new(model, clock));
    keep_state(&world, &mut keep).await?;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let keeper = {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = sleep(KEPT_EVERY) => {}
                    _ = &mut stopped => return keep,
                }
                // Told by whoever keeps it.
                let _ = keep_state(&world, &mut keep).await;
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
                    sleep(PAUSE).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        // Answers are small; without it they are only later.
        let _ = stream.set_nodelay(true);
        let world = Arc::clone(&world);
        let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| {
                let world = Arc::clone(&world);
                async move { answer(&world, request).await }
            }),
        );
        let connection = graceful.watch(connection);
        // A connection ends badly when its peer goes or when its reply is lost.
        connections.spawn(async move { drop(connection.await) });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = sleep(GRACE) => {}
    }
    // What is still running, long polls above all, ends here.
    connections.shutdown().await;
    let _ = stop.send(());
    let mut keep = keeper.await.map_err(io::Error::other)?;
    keep_state(&world, &mut keep).await
}

/// Keeps the state of a world if it has changed.
async fn keep_state(world: &World, keep: &mut Option<Keep>) -> io::Result<()> {
    let Some(mut act) = keep.take() else { return Ok(()) };
    let Some(text) = world.changed_state() else {
        *keep = Some(act);
        return Ok(());
    };
    let text = text.map_err(io::Error::other)?;
    // Disks may be slow, and nobody is to wait for an answer meanwhile.
    let (act, kept) = spawn_blocking(move || {
        let kept = act(&text);
        (act, kept)
    })
    .await
    .map_err(io::Error::other)?;
    *keep = Some(act);
    if kept.is_err() {
        world.touch();
    }
    kept
}

/// No answer: the connection is to be closed.
#[derive(Debug, thiserror::Error)]
#[error("the reply is lost")]
struct Lost;

async fn answer(
    world: &World,
    request: hyper::Request<Incoming>,
) -> Result<HttpResponse<Full<Bytes>>, Lost> {
    let (head, body) = request.into_parts();
    let body = match read(body).await.map_err(|_| Lost)? {
        Some(body) => body,
        None => {
            let error = ApiError::new(
                "RequestEntityTooLargeException",
                format!("The request has more than {LARGEST_BODY} bytes."),
            );
            return Ok(http(world.with(|model| model.refuse(error.with_status(413)))));
        }
    };
    let path = head.uri.path();
    if let Some(name) = path.strip_prefix("/_groundcrew/") {
        return Ok(http(control::answer(world, &head.method, name, &body)));
    }
    let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let request = Request { path, target, body: &body };
    // The way takes the time that it takes.
    let trip = RoundTrip {
        there: Duration::ZERO,
        back: Duration::ZERO,
        ..world.with(|model| model.round_trip(&request))
    };
    match world.exchange(&request, trip).await {
        Exchange::Answered(response) => Ok(http(response)),
        Exchange::NotConnected | Exchange::Broken => Err(Lost),
    }
}

/// Reads a body to its end; nothing if it is too large.
async fn read(mut body: Incoming) -> Result<Option<Vec<u8>>, Lost> {
    let (mut bytes, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Lost)?.into_data() else { continue };
        length += data.len();
        if length > LARGEST_WASTE {
            return Err(Lost);
        }
        if length <= LARGEST_BODY {
            bytes.extend_from_slice(&data);
        }
    }
    Ok((length <= LARGEST_BODY).then_some(bytes))
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
