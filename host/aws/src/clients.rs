//! SDK clients, and the environment from which they are built.

use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_runtime::client::retries::{RetryPartition, TokenBucket};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

use crate::call_counter::CallCounter;
use crate::malformed_response::MalformedResponse;

/// The timeout of one attempt. Longer than the longest long poll (20 s).
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// Attempts of a call, including the first.
const MAX_ATTEMPTS: u32 = 6;

/// The longest backoff between two attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(20);

/// The settings for a person who waits for the result.
const INTERACTIVE: RetrySettings = RetrySettings {
    attempt_timeout: Duration::from_secs(10),
    max_attempts: 4,
    max_organizations_attempts: 6,
    max_backoff: Duration::from_secs(5),
};

/// Attempts of a call to Organizations. With a backoff of up to 20 s, a call retries through
/// minutes of throttling before it fails. AWS publishes no rates, and ten thousand accounts are
/// read one by one.
const MAX_ORGANIZATIONS_ATTEMPTS: u32 = 50;

/// Credentials, home Region, endpoints, HTTP client and clock of the calls to AWS.
#[derive(Clone, Debug)]
pub struct Environment {
    shared: SdkConfig,
    /// Region of IAM Identity Center, if it is not the home Region.
    identity_center_region: Option<String>,
    call_counter: CallCounter,
    retry_settings: RetrySettings,
}

/// The timeouts and the number of attempts of a call.
#[derive(Clone, Copy, Debug)]
struct RetrySettings {
    attempt_timeout: Duration,
    max_attempts: u32,
    max_organizations_attempts: u32,
    max_backoff: Duration,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            attempt_timeout: ATTEMPT_TIMEOUT,
            max_attempts: MAX_ATTEMPTS,
            max_organizations_attempts: MAX_ORGANIZATIONS_ATTEMPTS,
            max_backoff: MAX_BACKOFF,
        }
    }
}

/// A client for each service.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Service Catalog, in the home Region.
    pub service_catalog: aws_sdk_servicecatalog::Client,
    /// Organizations, in the Region of its endpoint.
    pub organizations: aws_sdk_organizations::Client,
    /// SQS, in the home Region.
    pub sqs: aws_sdk_sqs::Client,
    /// SNS, in the home Region.
    pub sns: aws_sdk_sns::Client,
    /// AWS Support, in the Region of its endpoint.
    pub support: aws_sdk_support::Client,
    /// DynamoDB, in the home Region.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// The Resource Groups Tagging API, in the Region of Organizations.
    pub tagging: aws_sdk_resourcegroupstagging::Client,
    /// The calls through all of these clients.
    pub call_counter: CallCounter,
    /// Control Tower, in the home Region.
    pub control_tower: aws_sdk_controltower::Client,
    /// IAM Identity Center, in its Region.
    pub identity_center: aws_sdk_ssoadmin::Client,
    /// The identity store of IAM Identity Center, in the same Region.
    pub identity_store: aws_sdk_identitystore::Client,
    /// Secrets Manager, in the home Region.
    pub secrets_manager: aws_sdk_secretsmanager::Client,
    /// STS, in the home Region.
    pub sts: aws_sdk_sts::Client,
}

/// The builders of the clients have the same methods, but no common trait.
macro_rules! client {
    ($sdk:ident, $environment:expr, $region:expr, $retry:expr, $partition:expr) => {{
        let environment: &Environment = $environment;
        let config = $sdk::config::Builder::from(&environment.shared)
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new($region))
            // Bodies are small, and the attempt timeout limits every call. A check of the
            // throughput would only wake the process every half second of a long poll.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .interceptor(environment.call_counter.clone())
            .retry_config($retry)
            .retry_classifier(MalformedResponse)
            .retry_partition($partition)
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_attempt_timeout(environment.retry_settings.attempt_timeout)
                    .build(),
            );
        $sdk::Client::from_conf(config.build())
    }};
}

impl Environment {
    /// An environment that sleeps by tokio's clock and calls the endpoints of AWS.
    pub fn new(
        region: impl Into<String>,
        credentials: SharedCredentialsProvider,
        http_client: SharedHttpClient,
        time_source: SharedTimeSource,
    ) -> Self {
        let shared = SdkConfig::builder()
            .region(Region::new(region.into()))
            .credentials_provider(credentials)
            .http_client(http_client)
            .time_source(time_source)
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .build();
        Self {
            shared,
            identity_center_region: None,
            retry_settings: RetrySettings::default(),
            call_counter: CallCounter::default(),
        }
    }

    /// The environment of this process, as the AWS tools read it: variables such as `AWS_PROFILE`,
    /// `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>`, the files in `~/.aws`, and the
    /// credentials of a container, an instance or a Lambda function.
    pub async fn from_process_env(region: impl Into<String>) -> Self {
        let shared = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(region.into()))
            .http_client(crate::http::client())
            .load()
            .await;
        Self {
            shared,
            identity_center_region: None,
            retry_settings: RetrySettings::default(),
            call_counter: CallCounter::default(),
        }
    }

    /// The same, with IAM Identity Center in this Region.
    pub fn with_identity_center_in(self, region: impl Into<String>) -> Self {
        Self { identity_center_region: Some(region.into()), ..self }
    }

    /// The same, for a person who waits: calls fail sooner.
    pub fn interactive(self) -> Self {
        Self { retry_settings: INTERACTIVE, ..self }
    }

    /// Control Tower's home Region.
    fn region(&self) -> String {
        self.shared.region().map(ToString::to_string).unwrap_or_default()
    }

    /// A client for each service. The clients of one environment share nothing with those of
    /// another. By default the SDK keeps retry quotas in statics, so that the run of a simulation
    /// could not be repeated.
    pub fn clients(&self) -> Clients {
        let home = self.region();
        let region = || home.clone();
        let identity_region = || self.identity_center_region.clone().unwrap_or_else(region);
        let retry = || {
            RetryConfig::standard()
                .with_max_attempts(self.retry_settings.max_attempts)
                .with_max_backoff(self.retry_settings.max_backoff)
        };
        let partition = |name: &'static str| {
            RetryPartition::custom(name).token_bucket(TokenBucket::default()).build()
        };
        // The adaptive mode finds the rate that AWS allows. There is no retry quota, because a
        // throttled call must not fail when many other calls were throttled too.
        let patient = RetryConfig::adaptive()
            .with_max_attempts(self.retry_settings.max_organizations_attempts)
            .with_max_backoff(self.retry_settings.max_backoff);
        let unlimited =
            RetryPartition::custom("organizations").token_bucket(TokenBucket::unlimited()).build();
        Clients {
            service_catalog: client!(
                aws_sdk_servicecatalog,
                self,
                region(),
                retry(),
                partition("servicecatalog")
            ),
            organizations: client!(
                aws_sdk_organizations,
                self,
                organizations_region(&home),
                patient,
                unlimited
            ),
            sqs: client!(aws_sdk_sqs, self, region(), retry(), partition("sqs")),
            sns: client!(aws_sdk_sns, self, region(), retry(), partition("sns")),
            support: client!(
                aws_sdk_support,
                self,
                support_region(&home),
                retry(),
                partition("support")
            ),
            dynamodb: client!(aws_sdk_dynamodb, self, region(), retry(), partition("dynamodb")),
            tagging: client!(
                aws_sdk_resourcegroupstagging,
                self,
                organizations_region(&home),
                retry(),
                partition("resourcegroupstagging")
            ),
            call_counter: self.call_counter.clone(),
            control_tower: client!(
                aws_sdk_controltower,
                self,
                region(),
                retry(),
                partition("controltower")
            ),
            identity_center: client!(
                aws_sdk_ssoadmin,
                self,
                identity_region(),
                retry(),
                partition("identitycenter")
            ),
            identity_store: client!(
                aws_sdk_identitystore,
                self,
                identity_region(),
                retry(),
                partition("identitystore")
            ),
            secrets_manager: client!(
                aws_sdk_secretsmanager,
                self,
                region(),
                retry(),
                partition("secretsmanager")
            ),
            sts: client!(aws_sdk_sts, self, region(), retry(), partition("sts")),
        }
    }
}

/// The Region with the endpoint of Organizations, for a home Region.
fn organizations_region(home: &str) -> &'static str {
    match home {
        _ if home.starts_with("us-gov-") => "us-gov-west-1",
        _ if home.starts_with("cn-") => "cn-northwest-1",
        _ => "us-east-1",
    }
}

/// The Region with the endpoint of AWS Support, for a home Region.
fn support_region(home: &str) -> &'static str {
    match home {
        _ if home.starts_with("us-gov-") => "us-gov-west-1",
        _ if home.starts_with("cn-") => "cn-north-1",
        _ => "us-east-1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_async::time::SystemTimeSource;
    use rstest::rstest;

    #[rstest]
    #[case("eu-central-1", "us-east-1", "us-east-1")]
    #[case("us-gov-east-1", "us-gov-west-1", "us-gov-west-1")]
    #[case("cn-north-1", "cn-northwest-1", "cn-north-1")]
    fn global_services_have_one_endpoint_in_each_partition(
        #[case] home: &str,
        #[case] organizations: &str,
        #[case] support: &str,
    ) {
        assert_eq!((organizations_region(home), support_region(home)), (organizations, support));
    }

    #[rstest]
    #[case(None, "eu-central-1")]
    #[case(Some("us-east-2"), "us-east-2")]
    fn identity_center_has_a_region_of_its_own(
        #[case] region: Option<&str>,
        #[case] expected: &str,
    ) {
        let credentials =
            aws_credential_types::Credentials::new("id", "secret", None, None, "test");
        let home = Environment::new(
            "eu-central-1",
            SharedCredentialsProvider::new(credentials),
            crate::http::client(),
            SharedTimeSource::new(SystemTimeSource::new()),
        );
        let environment = match region {
            Some(region) => home.with_identity_center_in(region),
            None => home,
        };
        let clients = environment.clients();
        for region in
            [clients.identity_center.config().region(), clients.identity_store.config().region()]
        {
            assert_eq!(region.map(|region| region.as_ref()), Some(expected));
        }
        let home = clients.service_catalog.config().region();
        assert_eq!(home.map(|region| region.as_ref()), Some("eu-central-1"));
    }
}
