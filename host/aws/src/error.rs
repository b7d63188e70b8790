//! Converts SDK errors into core's errors.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use groundcrew_core::aws_error::{AwsError, ErrorClass, classify};
use groundcrew_core::credentials::{self, error_chain, error_chain_text};
use groundcrew_core::text::printable;

/// How many bytes an error shows of a response that does not come from AWS.
const MAX_EXCERPT_BYTES: usize = 200;

/// The error of a call that changes nothing.
pub(crate) fn read_error<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> AwsError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    AwsError { effect_possible: false, ..to_aws_error(operation, error) }
}

/// The error of a call that changes something. Whether the call may have had an effect depends on
/// the last attempt.
pub(crate) fn write_error<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> AwsError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    to_aws_error(operation, error)
}

/// Checks that a response is about the requested resource. `found` is the value of `member` in the
/// response. A response about another resource, or without the member, is an error. It is
/// transient, because another response may be right.
pub(crate) fn check_echo(
    operation: &'static str,
    member: &str,
    found: Option<&str>,
    asked: &str,
) -> Result<(), AwsError> {
    match found {
        Some(found) if found == asked => Ok(()),
        Some(found) => Err(unexpected(
            operation,
            ErrorClass::Transient,
            format!("the answer is about {found}, where {asked} was asked for ({member})"),
        )),
        None => Err(unexpected(
            operation,
            ErrorClass::Transient,
            format!("the answer for {asked} has no {member}"),
        )),
    }
}

/// A response that AWS does not send, or an account that must be set up first.
pub(crate) fn unexpected(
    operation: &'static str,
    class: ErrorClass,
    message: impl Into<String>,
) -> AwsError {
    AwsError::without_code(operation, class, message)
}

fn to_aws_error<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> AwsError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let with_class = |message: String, class, effect_possible| AwsError {
        effect_possible,
        ..AwsError::without_code(operation, class, message)
    };
    let no_credentials = |message: String, class| AwsError {
        without_credentials: true,
        ..AwsError::without_code(operation, class, message)
    };
    match &error {
        // Every error of AWS has a code. AWS may have received the request even so.
        SdkError::ServiceError(service) if service.err().code().is_none_or(str::is_empty) => {
            let message = describe_non_aws_response(service.raw(), service.err().message());
            with_class(message, ErrorClass::Transient, true)
        }
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or_default();
            let message = service.err().message().unwrap_or_default();
            let fault = service.raw().status().is_server_error();
            let class = match classify(code, message) {
                ErrorClass::Permanent if fault => ErrorClass::Transient,
                class => class,
            };
            AwsError {
                code: code.to_owned(),
                // A server error may come after the effect.
                effect_possible: fault,
                ..AwsError::without_code(operation, class, message)
            }
        }
        _ if lacks_credentials(&error) => {
            no_credentials(credentials::missing_message(), ErrorClass::Denied)
        }
        // Nothing was sent. The provider of the credentials may be unreachable for the moment.
        _ if let Some(why) = credentials_error(&error) => {
            no_credentials(credentials::unavailable_message(&why), ErrorClass::Transient)
        }
        SdkError::ConstructionFailure(_) => {
            with_class(error_chain_text(&error), ErrorClass::Permanent, false)
        }
        SdkError::ResponseError(response) => {
            let message =
                describe_non_aws_response(response.raw(), Some(&error_chain_text(&error)));
            with_class(message, ErrorClass::Transient, true)
        }
        // No response, a broken one, or a timeout: the request may have had an effect.
        _ => with_class(error_chain_text(&error), ErrorClass::Transient, true),
    }
}

/// Describes a response that does not come from AWS: its status, its content type, its beginning,
/// and the error of the SDK.
fn describe_non_aws_response(answer: &HttpResponse, sdk_message: Option<&str>) -> String {
    let status = answer.status().as_u16();
    let kind = answer.headers().get("content-type").unwrap_or("no content type");
    let begins = match answer.body().bytes() {
        None | Some([]) => "it is empty".to_owned(),
        Some(body) => {
            let text = String::from_utf8_lossy(&body[..body.len().min(MAX_EXCERPT_BYTES)]);
            format!("it begins with `{}`", printable(&text))
        }
    };
    let sdk_message = sdk_message.filter(|text| !text.is_empty());
    let sdk_message = sdk_message.map(|text| format!(" ({text})")).unwrap_or_default();
    format!(
        "the answer is not one of AWS: status {status}, {}, {begins}{sdk_message}; look for a proxy or \
         load balancer in between",
        printable(kind)
    )
}

/// Whether no credentials are configured.
fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    error_chain(error)
        .filter_map(|cause| cause.downcast_ref())
        .any(|cause: &CredentialsError| matches!(cause, CredentialsError::CredentialsNotLoaded(_)))
}

/// The text about unavailable credentials, if they are why a call failed.
pub(crate) fn credentials_error(error: &(dyn Error + 'static)) -> Option<String> {
    error_chain(error).find(|error| error.is::<CredentialsError>()).map(error_chain_text)
}

/// Records whether any attempt of a call ended with an unknown result. The SDK returns the error of
/// the last attempt only, and an earlier attempt may have had the effect.
#[derive(Clone, Debug, Default)]
pub(crate) struct UncertainAttempts(Arc<AtomicBool>);

impl UncertainAttempts {
    /// The error of the call, including the possible effect of earlier attempts.
    pub(crate) fn write_error<E>(
        &self,
        operation: &'static str,
        error: SdkError<E, HttpResponse>,
    ) -> AwsError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let error = write_error(operation, error);
        AwsError {
            effect_possible: error.effect_possible || self.0.load(Ordering::Relaxed),
            ..error
        }
    }
}

#[dyn_dispatch_hint]
impl Intercept for UncertainAttempts {
    fn name(&self) -> &'static str {
        "Uncertain"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answered =
            context.response().is_some_and(|response| !response.status().is_server_error());
        if !answered {
            self.0.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
