//! The wire formats: JSON 1.0 and 1.1 with `X-Amz-Target`, CBOR and REST-JSON by path, and
//! form-encoded queries with XML answers.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{cbor, control_tower, sts, xml};

/// What of an HTTP request the model looks at.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The path, by which CBOR and REST services name the operation.
    pub path: &'a str,
    /// The header `X-Amz-Target`, by which JSON services name the operation.
    pub target: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// An HTTP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// What a proxy or a load balancer answers in the place of a service.
    pub(crate) fn html(status: u16) -> Self {
        let body = format!(
            "<html>\r\n<head><title>{status}</title></head>\r\n<body>proxy.example.com</body>\r\n\
             </html>\r\n"
        );
        Self {
            status,
            headers: vec![("content-type", "text/html; charset=utf-8".to_owned())],
            body: body.into_bytes(),
        }
    }
}

/// A service and how it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Catalog,
    Organizations,
    Sqs,
    Sns,
    Sts,
    Support,
    DynamoDb,
    Tagging,
    ControlTower,
    IdentityCenter,
    IdentityStore,
}

impl Service {
    /// The JSON service whose targets begin so.
    fn of_target(prefix: &str) -> Option<Self> {
        match prefix {
            "AWS242ServiceCatalogService" => Some(Self::Catalog),
            "AWSOrganizationsV20161128" => Some(Self::Organizations),
            "AmazonSQS" => Some(Self::Sqs),
            "AWSSupport_20130415" => Some(Self::Support),
            "DynamoDB_20120810" => Some(Self::DynamoDb),
            "ResourceGroupsTaggingAPI_20170126" => Some(Self::Tagging),
            "SWBExternalService" => Some(Self::IdentityCenter),
            "AWSIdentityStore" => Some(Self::IdentityStore),
            _ => None,
        }
    }

    /// The query service with this version of its API.
    fn of_version(version: &str) -> Option<Self> {
        match version {
            "2010-03-31" => Some(Self::Sns),
            "2011-06-15" => Some(Self::Sts),
            _ => None,
        }
    }

    fn json_type(self) -> &'static str {
        match self {
            Self::Sqs | Self::DynamoDb => "application/x-amz-json-1.0",
            Self::ControlTower => "application/json",
            _ => "application/x-amz-json-1.1",
        }
    }

    fn xml_namespace(self) -> &'static str {
        match self {
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
            _ => "http://sns.amazonaws.com/doc/2010-03-31/",
        }
    }

    /// What comes before the code of an error.
    fn error_namespace(self, code: &str) -> &'static str {
        match (self, code) {
            (Self::Sqs, _) => "com.amazonaws.sqs#",
            (Self::DynamoDb, "ValidationException") => "com.amazon.coral.validate#",
            (Self::DynamoDb, "SerializationException" | "UnknownOperationException") => {
                "com.amazon.coral.service#"
            }
            (Self::DynamoDb, _) => "com.amazonaws.dynamodb.v20120810#",
            _ => "",
        }
    }

    /// The member that holds an error's message. The models differ; so do the services.
    fn message_member(self, code: &str) -> &'static str {
        match (self, code) {
            (
                Self::DynamoDb,
                "TransactionCanceledException" | "IdempotentParameterMismatchException",
            ) => "Message",
            (Self::Sqs | Self::Support | Self::DynamoDb | Self::ControlTower, _) => "message",
            _ => "Message",
        }
    }

    /// The code by which the service says that it was called too often.
    pub(crate) fn throttling_code(self) -> &'static str {
        match self {
            Self::Catalog
            | Self::Support
            | Self::DynamoDb
            | Self::ControlTower
            | Self::IdentityCenter
            | Self::IdentityStore => "ThrottlingException",
            Self::Organizations => "TooManyRequestsException",
            Self::Tagging => "ThrottledException",
            Self::Sqs => "RequestThrottled",
            Self::Sns | Self::Sts => "Throttling",
        }
    }

    /// The code by which the service says that the caller lacks a permission.
    fn denying_code(self) -> &'static str {
        match self {
            Self::Sns => "AuthorizationError",
            Self::Sts => "AccessDenied",
            _ => "AccessDeniedException",
        }
    }

    /// What the names of its permissions begin with.
    fn permissions(self) -> &'static str {
        match self {
            Self::Catalog => "servicecatalog",
            Self::Organizations => "organizations",
            Self::Sqs => "sqs",
            Self::Sns => "sns",
            Self::Sts => "sts",
            Self::Support => "support",
            Self::DynamoDb => "dynamodb",
            Self::Tagging => "tag",
            Self::ControlTower => "controltower",
            Self::IdentityCenter => "sso",
            Self::IdentityStore => "identitystore",
        }
    }
}

/// How a call is written, and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// AWS JSON 1.0 or 1.1.
    Json,
    /// Smithy RPC v2 CBOR.
    Cbor,
    /// REST-JSON: its errors are named in a header.
    Rest,
    /// A form, answered in XML.
    Query,
}

/// A request, as far as its operation is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) service: Service,
    pub(crate) operation: &'a str,
    pub(crate) encoding: Encoding,
    pub(crate) body: &'a [u8],
}

impl<'a> Call<'a> {
    pub(crate) fn read(request: &Request<'a>) -> Result<Self, ApiError> {
        let body = request.body;
        if let Some(target) = request.target {
            let (prefix, operation) = target.split_once('.').ok_or_else(|| unknown(target))?;
            let service = Service::of_target(prefix).ok_or_else(|| unknown(target))?;
            return Ok(Self { service, operation, encoding: Encoding::Json, body });
        }
        // https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
        if let Some(rest) = request.path.strip_prefix("/service/") {
            let (prefix, operation) =
                rest.split_once("/operation/").ok_or_else(|| unknown(request.path))?;
            let service = Service::of_target(prefix).ok_or_else(|| unknown(request.path))?;
            return Ok(Self { service, operation, encoding: Encoding::Cbor, body });
        }
        if let Some(operation) = control_tower::operation_at(request.path) {
            let service = Service::ControlTower;
            return Ok(Self { service, operation, encoding: Encoding::Rest, body });
        }
        // Operations and versions have plain names, which no encoding changes.
        let form = std::str::from_utf8(body).unwrap_or_default();
        let member = |name| form.split('&').find_map(|pair| pair.strip_prefix(name));
        let operation = member("Action=")
            .ok_or_else(|| unknown("a request with neither X-Amz-Target nor Action"))?;
        let service = match member("Version=") {
            Some(version) => Service::of_version(version).ok_or_else(|| unknown(operation))?,
            None => Service::Sns,
        };
        Ok(Self { service, operation, encoding: Encoding::Query, body })
    }

    /// The members of a JSON or CBOR request.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let malformed = |message: String| ApiError::new("SerializationException", message);
        match self.encoding {
            Encoding::Cbor => {
                let value = cbor::read(self.body).map_err(|error| malformed(error.to_string()))?;
                T::deserialize(value).map_err(|error| malformed(error.to_string()))
            }
            // A call without members may have no body.
            _ if self.body.is_empty() => T::deserialize(Value::Object(Map::new()))
                .map_err(|error| malformed(error.to_string())),
            _ => serde_json::from_slice(self.body).map_err(|error| malformed(error.to_string())),
        }
    }

    /// A member of a query request.
    pub(crate) fn form(&self, key: &str) -> Option<String> {
        form_urlencoded::parse(self.body)
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.into_owned())
    }

    /// The elements of a list in a query request.
    pub(crate) fn members(&self, list: &str) -> Vec<String> {
        (1..).map_while(|number| self.form(&format!("{list}.member.{number}"))).collect()
    }

    /// A map in a query request.
    pub(crate) fn entries(&self, map: &str) -> BTreeMap<String, String> {
        self.pairs(&format!("{map}.entry"), "key", "value")
    }

    /// The list of tags in a query request.
    pub(crate) fn tags(&self) -> BTreeMap<String, String> {
        self.pairs("Tags.member", "Key", "Value")
    }

    fn pairs(&self, list: &str, key: &str, value: &str) -> BTreeMap<String, String> {
        let member = |number: u32, name: &str| self.form(&format!("{list}.{number}.{name}"));
        (1..)
            .map_while(|number| {
                Some((member(number, key)?, member(number, value).unwrap_or_default()))
            })
            .collect()
    }

    pub(crate) fn unknown(&self) -> ApiError {
        let code = match self.encoding {
            Encoding::Query => "InvalidAction",
            _ => "UnknownOperationException",
        };
        ApiError::new(
            code,
            format!("the simulated AWS does not know the operation {}", self.operation),
        )
    }

    pub(crate) fn respond(&self, result: Result<Value, ApiError>, request_id: String) -> Response {
        let mut headers = Vec::new();
        let (status, content_type, body) = match self.encoding {
            Encoding::Query => {
                let namespace = self.service.xml_namespace();
                let (status, body) = match result {
                    Ok(members) => {
                        (200, xml::answer(self.operation, namespace, &members, &request_id))
                    }
                    Err(error) => (error.status, error.xml(namespace, &request_id)),
                };
                (status, "text/xml", body.into_bytes())
            }
            encoding => {
                let (status, members) = match result {
                    Ok(members) => (200, members),
                    Err(error) => {
                        headers.extend(error.query_header(self.service));
                        let mut members = error.members(self.service);
                        if let (Encoding::Rest, Some(members)) = (encoding, members.as_object_mut())
                        {
                            members.remove("__type");
                            headers.push(("x-amzn-errortype", error.code.to_owned()));
                        }
                        (error.status, members)
                    }
                };
                if encoding == Encoding::Cbor {
                    headers.push(("smithy-protocol", "rpc-v2-cbor".to_owned()));
                    (status, "application/cbor", cbor::write(&members))
                } else {
                    (status, self.service.json_type(), members.to_string().into_bytes())
                }
            }
        };
        headers.push(("content-type", content_type.to_owned()));
        headers.push(("x-amzn-requestid", request_id));
        Response { status, headers, body }
    }
}

fn unknown(what: &str) -> ApiError {
    ApiError::new("UnknownOperationException", format!("the simulated AWS does not know {what}"))
}

/// An error that a service answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// Members that it has besides.
    members: Map<String, Value>,
}

impl ApiError {
    /// The caller's fault: status 400.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, code, message: message.into(), members: Map::new() }
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With one more member.
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
                sts::caller_arn()
            ),
        };
        let status = match service {
            Service::Sns | Service::Sts | Service::ControlTower => 403,
            _ => 400,
        };
        Self::new(service.denying_code(), message).with_status(status)
    }

    /// An answer that belongs to no service, to a request that names none.
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

    /// SQS spoke the query protocol once, and tells the codes of that time in a header:
    /// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#awsquerycompatible-trait
    fn query_header(&self, service: Service) -> Option<(&'static str, String)> {
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

    fn members(&self, service: Service) -> Value {
        let mut members = self.members.clone();
        let code = format!("{}{}", service.error_namespace(self.code), self.code);
        members.insert("__type".to_owned(), code.into());
        let member = service.message_member(self.code);
        members.insert(member.to_owned(), self.message.as_str().into());
        members.into()
    }

    fn xml(&self, namespace: &str, request_id: &str) -> String {
        xml::error(namespace, self.fault(), self.code, &self.message, request_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Some("AmazonSQS.SendMessage"), "/", b"{}", Service::Sqs, "SendMessage")]
    #[case(Some("DynamoDB_20120810.Query"), "/", b"", Service::DynamoDb, "Query")]
    #[case(
        None,
        "/service/AWS242ServiceCatalogService/operation/DescribeRecord",
        b"\xa0",
        Service::Catalog,
        "DescribeRecord"
    )]
    #[case(None, "/get-landingzone", b"{}", Service::ControlTower, "GetLandingZone")]
    #[case(None, "/", b"Action=Publish&Subject=a%26b", Service::Sns, "Publish")]
    #[case(
        None,
        "/",
        b"Action=GetCallerIdentity&Version=2011-06-15",
        Service::Sts,
        "GetCallerIdentity"
    )]
    fn operations_are_found_in_every_protocol(
        #[case] target: Option<&str>,
        #[case] path: &str,
        #[case] body: &[u8],
        #[case] service: Service,
        #[case] operation: &str,
    ) {
        let call = Call::read(&Request { path, target, body }).unwrap();
        assert_eq!((call.service, call.operation), (service, operation));
    }

    #[rstest]
    #[case(None, "/", b"")]
    #[case(None, "/", b"\xff\xfe")]
    #[case(None, "/", b"Action=Publish&Version=1999-01-01")]
    #[case(None, "/service/AmazonEC2/operation/RunInstances", b"")]
    #[case(None, "/service/AmazonSQS", b"")]
    #[case(Some("AmazonSQS"), "/", b"{}")]
    #[case(Some("AmazonEC2.RunInstances"), "/", b"{}")]
    fn what_is_no_operation_is_refused(
        #[case] target: Option<&str>,
        #[case] path: &str,
        #[case] body: &[u8],
    ) {
        let error = Call::read(&Request { path, target, body }).unwrap_err();
        assert_eq!(error.code, "UnknownOperationException");
    }

    #[test]
    fn members_of_forms_are_decoded() {
        let body = b"Action=Publish&Subject=a%26b";
        let call = Call::read(&Request { path: "/", target: None, body }).unwrap();
        assert_eq!(call.form("Subject").as_deref(), Some("a&b"));
        assert_eq!(call.form("Message"), None);
        let body =
            b"TagKeys.member.1=a&TagKeys.member.2=b&Tags.member.1.Key=k&Tags.member.1.Value=v";
        let call = Call { body, ..call };
        assert_eq!(call.members("TagKeys"), ["a", "b"]);
        assert_eq!(call.tags(), BTreeMap::from([("k".to_owned(), "v".to_owned())]));
    }

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
