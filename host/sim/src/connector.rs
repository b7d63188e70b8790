//! The model as the HTTP client of the real SDK: no socket, tokio's clock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use groundcrew_core::ports::Clock;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout_at};

use crate::faults::Mishap;
use crate::model::{Answer, Model};
use crate::protocol::{Request, Response};
use crate::time::SimClock;

/// Longer than any caller waits for an answer.
const FOREVER: Duration = Duration::from_secs(600);

/// The model with its clock, shared by every client.
#[derive(Debug)]
pub(crate) struct World {
    model: Mutex<Model>,
    pub(crate) clock: SimClock,
    changed: Notify,
}

impl World {
    pub(crate) fn new(model: Model, clock: SimClock) -> Self {
        Self { model: Mutex::new(model), clock, changed: Notify::new() }
    }

    /// The model, for a moment. Wakes long polls if what is done to it may concern them.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Model) -> T) -> T {
        let mut model = self.lock();
        let before = model.changes();
        let result = act(&mut model);
        if model.changes() != before {
            self.changed.notify_waiters();
        }
        result
    }

    /// A panic while the model was held would be a defect of the model itself; its state
    /// is as good as it was.
    fn lock(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        // Read to the end, as a socket would: the SDK gives up on uploads that stand still.
        let body = ByteStream::new(request.take_body())
            .collect()
            .await
            .map_err(|error| ConnectorError::user(error.into()))?
            .into_bytes();
        let request = Request { target: request.headers().get("x-amz-target"), body: &body };
        let fate = self.with(|model| model.fate(&request));
        sleep(fate.there).await;
        let response = match fate.mishap {
            None => self.answer(&request).await,
            Some(Mishap::Refused(refusal)) => self.with(|model| model.refusal(&request, refusal)),
            Some(Mishap::NotConnected) => {
                return Err(ConnectorError::io("connection refused".into()).never_connected());
            }
            Some(Mishap::ReplyLost) => {
                self.answer(&request).await;
                sleep(fate.back).await;
                return Err(ConnectorError::io("connection reset by peer".into()));
            }
            Some(Mishap::Hung { effect }) => {
                if effect {
                    self.answer(&request).await;
                }
                sleep(FOREVER).await;
                return Err(ConnectorError::io("connection reset by peer".into()));
            }
        };
        sleep(fate.back).await;
        http(response)
    }

    async fn answer(&self, request: &Request<'_>) -> Response {
        let mut changed = self.changed.notified();
        let mut answer = self.with(|model| model.handle(self.clock.now(), request));
        loop {
            let poll = match answer {
                Answer::Ready(response) => return response,
                Answer::Wait(poll) => poll,
            };
            // Waking early, late or for nothing is all the same: the model is asked again.
            let _ = timeout_at(self.clock.instant(poll.wake), changed).await;
            changed = self.changed.notified();
            answer = self.with(|model| model.resume(self.clock.now(), poll));
        }
    }
}

fn http(response: Response) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(response.status)
        .map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut answer = HttpResponse::new(status, SdkBody::from(response.body));
    let headers = answer.headers_mut();
    headers.insert("content-type", response.content_type);
    headers.insert("x-amzn-requestid", response.request_id);
    Ok(answer)
}

/// The connector of a [`World`].
#[derive(Clone, Debug)]
pub(crate) struct Connector(pub(crate) Arc<World>);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let world = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move { world.send(request).await })
    }
}

impl HttpClient for Connector {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
