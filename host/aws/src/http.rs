//! The HTTP client for the real AWS.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, Connector, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

/// A client that sets TLS up at the first request that needs it. Reading the system's certificates
/// takes longer than everything else in a cold start, and emulators use plain HTTP. The client
/// honours `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
pub(crate) fn client() -> SharedHttpClient {
    SharedHttpClient::new(LazyTlsClient {
        plain: Builder::new()
            .build_with_connector_fn(|settings, parts| connector(settings, parts).build_http()),
        secure: Builder::new().build_with_connector_fn(|settings, parts| {
            connector(settings, parts).tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
        }),
    })
}

fn connector(
    settings: Option<&HttpConnectorSettings>,
    components: Option<&RuntimeComponents>,
) -> ConnectorBuilder {
    let mut builder = Connector::builder().proxy_config(ProxyConfig::from_env());
    builder.set_connector_settings(settings.cloned());
    builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
    builder
}

#[derive(Clone, Debug)]
struct LazyTlsClient {
    plain: SharedHttpClient,
    secure: SharedHttpClient,
}

impl HttpClient for LazyTlsClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(SchemeConnector {
            clients: self.clone(),
            settings: settings.clone(),
            components: components.clone(),
        })
    }
}

/// The client makes its connectors at the first request and keeps them.
#[derive(Debug)]
struct SchemeConnector {
    clients: LazyTlsClient,
    settings: HttpConnectorSettings,
    components: RuntimeComponents,
}

impl HttpConnector for SchemeConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = match request.uri().starts_with("http://") {
            true => &self.clients.plain,
            false => &self.clients.secure,
        };
        client.http_connector(&self.settings, &self.components).call(request)
    }
}
