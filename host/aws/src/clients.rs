//! SDK clients, built from explicit parts.

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
use aws_types::region::Region;

/// How long one attempt may take. Longer than the longest long poll (20 s).
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// Attempts of a call, the first included.
const ATTEMPTS: u32 = 6;

/// Attempts of a call to Organizations. With up to 20 s between them it is throttled for
/// minutes before a caller hears of it: AWS publishes no rates, and ten thousand accounts
/// are read one by one.
const ORGANIZATIONS_ATTEMPTS: u32 = 50;

/// Where and as whom AWS is called.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Control Tower's home Region.
    pub region: String,
    /// Who calls.
    pub credentials: SharedCredentialsProvider,
    /// How requests travel.
    pub http_client: SharedHttpClient,
    /// The time that requests are signed with.
    pub time_source: SharedTimeSource,
    /// How to wait between attempts.
    pub sleep: SharedAsyncSleep,
    /// Where to call instead of AWS's own endpoints.
    pub endpoint: Option<String>,
}

/// A client for each service.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Service Catalog, in the home Region.
    pub service_catalog: aws_sdk_servicecatalog::Client,
    /// Organizations, in the Region that has its endpoint.
    pub organizations: aws_sdk_organizations::Client,
    /// SQS, in the home Region.
    pub sqs: aws_sdk_sqs::Client,
    /// SNS, in the home Region.
    pub sns: aws_sdk_sns::Client,
}

/// The clients' builders have the same methods, but no trait in common.
macro_rules! client {
    ($sdk:ident, $environment:expr, $region:expr, $retry:expr, $partition:expr) => {{
        let environment: &Environment = $environment;
        let mut config = $sdk::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new($region))
            .credentials_provider(environment.credentials.clone())
            .http_client(environment.http_client.clone())
            .time_source(environment.time_source.clone())
            .sleep_impl(environment.sleep.clone())
            // Bodies are small and the attempt timeout bounds every call; watching the
            // throughput would only cost a wake-up every half second of a long poll.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .retry_config($retry)
            .retry_partition($partition)
            .timeout_config(
                TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build(),
            );
        if let Some(endpoint) = &environment.endpoint {
            config = config.endpoint_url(endpoint);
        }
        $sdk::Client::from_conf(config.build())
    }};
}

impl Environment {
    /// An environment that waits by tokio's clock and calls AWS's own endpoints.
    pub fn new(
        region: impl Into<String>,
        credentials: SharedCredentialsProvider,
        http_client: SharedHttpClient,
        time_source: SharedTimeSource,
    ) -> Self {
        Self {
            region: region.into(),
            credentials,
            http_client,
            time_source,
            sleep: SharedAsyncSleep::new(TokioSleep::new()),
            endpoint: None,
        }
    }

    /// A client for each service. Clients of one environment share nothing with those of
    /// another: by default the SDK keeps retry quotas in statics, and a simulation would
    /// not repeat.
    pub fn clients(&self) -> Clients {
        let region = || self.region.clone();
        let retry = || RetryConfig::standard().with_max_attempts(ATTEMPTS);
        let partition = |name: &'static str| {
            RetryPartition::custom(name).token_bucket(TokenBucket::default()).build()
        };
        // Adaptive: it finds the rate that AWS allows. Without a retry quota, since a
        // throttled call must not fail because many others were throttled, too.
        let patient = RetryConfig::adaptive().with_max_attempts(ORGANIZATIONS_ATTEMPTS);
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
                organizations_region(&self.region),
                patient,
                unlimited
            ),
            sqs: client!(aws_sdk_sqs, self, region(), retry(), partition("sqs")),
            sns: client!(aws_sdk_sns, self, region(), retry(), partition("sns")),
        }
    }
}

/// The Region with the endpoint of Organizations, for a home Region.
fn organizations_region(home: &str) -> &'static str {
    if home.starts_with("us-gov-") { "us-gov-west-1" } else { "us-east-1" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organizations_has_one_endpoint_in_each_partition() {
        assert_eq!(organizations_region("eu-central-1"), "us-east-1");
        assert_eq!(organizations_region("us-gov-east-1"), "us-gov-west-1");
    }
}
