//! The services, with the parts of each that only its wire format has: prefixes, codes, names of
//! members.

/// The operations of Control Tower, which speaks REST-JSON, by their paths.
const REST_OPERATIONS: [(&str, &str); 4] = [
    ("/list-landingzones", "ListLandingZones"),
    ("/get-landingzone", "GetLandingZone"),
    ("/list-baselines", "ListBaselines"),
    ("/list-enabled-baselines", "ListEnabledBaselines"),
];

/// The operation of Control Tower at a path.
pub(super) fn rest_operation(path: &str) -> Option<&'static str> {
    REST_OPERATIONS.iter().find(|(at, _)| *at == path).map(|(_, operation)| *operation)
}

/// A service.
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
    /// The JSON service with this prefix of `X-Amz-Target`.
    pub(super) fn of_target(prefix: &str) -> Option<Self> {
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
    pub(super) fn of_version(version: &str) -> Option<Self> {
        match version {
            "2010-03-31" => Some(Self::Sns),
            "2011-06-15" => Some(Self::Sts),
            _ => None,
        }
    }

    pub(super) fn json_type(self) -> &'static str {
        match self {
            Self::Sqs | Self::DynamoDb => "application/x-amz-json-1.0",
            Self::ControlTower => "application/json",
            _ => "application/x-amz-json-1.1",
        }
    }

    pub(super) fn xml_namespace(self) -> &'static str {
        match self {
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
            _ => "http://sns.amazonaws.com/doc/2010-03-31/",
        }
    }

    /// The prefix of the code of an error.
    pub(super) fn error_namespace(self, code: &str) -> &'static str {
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

    /// The member that holds an error's message. It differs between the models and the services.
    pub(super) fn message_member(self, code: &str) -> &'static str {
        match (self, code) {
            (
                Self::DynamoDb,
                "TransactionCanceledException" | "IdempotentParameterMismatchException",
            ) => "Message",
            (Self::Sqs | Self::Support | Self::DynamoDb | Self::ControlTower, _) => "message",
            _ => "Message",
        }
    }

    /// The error code of the service for too many calls.
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

    /// The error code of the service for a missing permission.
    pub(super) fn denying_code(self) -> &'static str {
        match self {
            Self::Sns => "AuthorizationError",
            Self::Sts => "AccessDenied",
            _ => "AccessDeniedException",
        }
    }

    /// The prefix of the service's permissions.
    pub(super) fn permissions(self) -> &'static str {
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
