//! The HTTP endpoints of the service: liveness, readiness and metrics. They can't change anything.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use groundcrew_engine::Health;
use tokio::net::TcpListener;

use super::metrics::Metrics;

/// The state that the endpoints serve.
#[derive(Clone)]
pub struct ServiceState {
    pub health: Arc<Health>,
    pub metrics: Arc<Metrics>,
}

/// Serves until it is aborted.
pub async fn serve(listener: TcpListener, state: ServiceState) {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state(state);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "HTTP is not served any more");
    }
}

/// Whether the host makes progress: if not, the service should be restarted.
async fn healthz(State(state): State<ServiceState>) -> impl IntoResponse {
    probe_response(state.health.stuck())
}

/// Whether the ledger and the organization could be read.
async fn readyz(State(state): State<ServiceState>) -> impl IntoResponse {
    probe_response(state.health.unready())
}

fn probe_response(problem: Option<String>) -> impl IntoResponse {
    match problem {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, problem + "\n"),
    }
}

async fn render(State(state): State<ServiceState>) -> impl IntoResponse {
    match state.metrics.render() {
        Ok(text) => (
            StatusCode::OK,
            [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
            text,
        ),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
            format!("{error}\n"),
        ),
    }
}
