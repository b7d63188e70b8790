//! Responses that do not come from AWS, such as the HTML page of a proxy. The SDK would return them
//! as final errors. The call is retried instead, as after an error of the service.

use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{
    ClassifyRetry, RetryAction, RetryClassifierPriority,
};

/// Makes the SDK retry a call whose response can't be parsed or is HTML.
#[derive(Debug)]
pub(crate) struct MalformedResponse;

impl ClassifyRetry for MalformedResponse {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let unread = match context.output_or_error() {
            Some(Err(error)) => error.is_response_error(),
            _ => return RetryAction::NoActionIndicated,
        };
        let is_html = context.response().is_some_and(|answer| {
            let kind = answer.headers().get("content-type").unwrap_or_default();
            kind.trim_start().to_ascii_lowercase().starts_with("text/html")
        });
        match unread || is_html {
            true => RetryAction::transient_error(),
            false => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "answers that AWS did not give"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::http_status_code_classifier())
    }
}
