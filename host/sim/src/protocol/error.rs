//! Errors in the form in which the services return them.

use serde_json::{Map, Value};

use super::request::Response;
use super::service::Service;
use super::xml;
use crate::names::caller_arn;

/// An error of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// Additional members.
    members: Map<String, Value>,
}

impl ApiError {
    /// An error caused by the caller, with status 400.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, code, message: message.into(), members: Map::new() }
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same error with one more member.
    pub(crate) fn with(mut self, member: &str, value: Value) -> Self {
        self.members.insert(member.to_owned(), value);
        self
    }

    pub(crate) fn throttled(service: Service) -> Self {
        let status = if service == Service::ControlTower { 429 } else { 400 };
        Self::new(service.throttling_code(), "Rate exceeded").with_status(status)
    }

    /// The caller has no permission for the operation.
    pub(crate) fn denied(service: Service, operation: &str) -> Self {
        let permissions = service.permissions();
        let message = match service {
            Service::Organizations => {
                "You don't have permissions to access this resource.".to_owned()
            }
            _ => format!(
                "User: {} is not authorized to perform: {permissions}:{operation} because no identity-based policy allows the {permissions}:{operation} action",
                caller_arn()
            ),
        };
        let status = match service {
            Service::Sns | Service::Sts | Service::ControlTower => 403,
            _ => 400,
        };
        Self::new(service.denying_code(), message).with_status(status)
    }

    /// The response to a request that names no service.
    pub(crate) fn respond(self, request_id: String) -> Response {
        Response {
            status: self.status,
            headers: vec![
                ("content-type", Service::Catalog.json_type().to_owned()),
                ("x-amzn-requestid", request_id),
            ],
            body: self.members(Service::Catalog).to_string().into_bytes(),
        }
    }

    fn fault(&self) -> &'static str {
        if self.status < 500 { "Sender" } else { "Receiver" }
    }

    /// SQS used the query protocol once, and returns the codes of that time in a header:
    /// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#awsquerycompatible-trait
    pub(super) fn query_header(&self, service: Service) -> Option<(&'static str, String)> {
        let code = match (service, self.code) {
            (Service::Sqs, "QueueDoesNotExist") => "AWS.SimpleQueueService.NonExistentQueue",
            (Service::Sqs, "QueueNameExists") => "QueueAlreadyExists",
            (
                Service::Sqs,
                code @ ("BatchEntryIdsNotDistinct"
                | "BatchRequestTooLong"
                | "EmptyBatchRequest"
                | "InvalidBatchEntryId"
                | "MessageNotInflight"
                | "PurgeQueueInProgress"
                | "QueueDeletedRecently"
                | "TooManyEntriesInBatchRequest"
                | "UnsupportedOperation"),
            ) => {
                let header = format!("AWS.SimpleQueueService.{code};{}", self.fault());
                return Some(("x-amzn-query-error", header));
            }
            (Service::Sqs, code) => code,
            _ => return None,
        };
        Some(("x-amzn-query-error", format!("{code};{}", self.fault())))
    }

    pub(super) fn members(&self, service: Service) -> Value {
        let mut members = self.members.clone();
        let code = format!("{}{}", service.error_namespace(self.code), self.code);
        members.insert("__type".to_owned(), code.into());
        let member = service.message_member(self.code);
        members.insert(member.to_owned(), self.message.as_str().into());
        members.into()
    }

    pub(super) fn xml(&self, namespace: &str, request_id: &str) -> String {
        xml::error(namespace, self.fault(), self.code, &self.message, request_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("QueueDoesNotExist", 400, "AWS.SimpleQueueService.NonExistentQueue;Sender")]
    #[case("EmptyBatchRequest", 400, "AWS.SimpleQueueService.EmptyBatchRequest;Sender")]
    #[case("ServiceUnavailable", 503, "ServiceUnavailable;Receiver")]
    fn sqs_tells_its_old_codes(
        #[case] code: &'static str,
        #[case] status: u16,
        #[case] header: &str,
    ) {
        let error = ApiError::new(code, "").with_status(status);
        let (name, value) = error.query_header(Service::Sqs).unwrap();
        assert_eq!((name, value.as_str()), ("x-amzn-query-error", header));
        assert_eq!(error.query_header(Service::Support), None);
    }
}
