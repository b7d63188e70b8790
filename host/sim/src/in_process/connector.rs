//! The model as the HTTP client of the real SDK: without a socket, on tokio's clock.

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

use crate::protocol::{Request, Response};
use crate::shared_model::{ExchangeOutcome, SharedModel};

async fn send(
    shared: &SharedModel,
    mut request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    // Read the body to its end, as a socket would, because the SDK ends an upload that makes no
    // progress.
    let body = ByteStream::new(request.take_body())
        .collect()
        .await
        .map_err(|error| ConnectorError::user(error.into()))?
        .into_bytes();
    let request = Request {
        path: path(request.uri()),
        target: request.headers().get("x-amz-target"),
        body: &body,
    };
    let trip = shared.with(|model| model.draw_round_trip(&request));
    match shared.exchange(&request, trip).await {
        ExchangeOutcome::Answered(response) => http(response),
        ExchangeOutcome::NotConnected => {
            Err(ConnectorError::io("connection refused".into()).never_connected())
        }
        ExchangeOutcome::Broken => Err(ConnectorError::io("connection reset by peer".into())),
    }
}

fn http(response: Response) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(response.status)
        .map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut answer = HttpResponse::new(status, SdkBody::from(response.body));
    let headers = answer.headers_mut();
    for (name, value) in response.headers {
        headers.insert(name, value);
    }
    Ok(answer)
}

/// The path of a URI.
fn path(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    rest.find('/').map_or("/", |slash| rest[slash..].split('?').next().unwrap_or("/"))
}

/// The connector of a [`SharedModel`].
#[derive(Clone, Debug)]
pub(crate) struct Connector(pub(crate) Arc<SharedModel>);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let shared = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move { send(&shared, request).await })
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
