//! A request as a call of an operation, and its response, in every wire format.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::ApiError;
use super::request::{Request, Response};
use super::service::{Service, rest_operation};
use super::{cbor, xml};

/// The format of a call and its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// AWS JSON 1.0 or 1.1.
    Json,
    /// Smithy RPC v2 CBOR.
    Cbor,
    /// REST-JSON: a header has the name of an error.
    Rest,
    /// A form, with a response in XML.
    Query,
}

/// A request whose operation is known.
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
        if let Some(operation) = rest_operation(request.path) {
            let service = Service::ControlTower;
            return Ok(Self { service, operation, encoding: Encoding::Rest, body });
        }
        // Operations and versions have plain names, which URL encoding leaves as they are.
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
}
