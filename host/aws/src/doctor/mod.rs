//! Reads the facts that `groundcrew doctor` evaluates. It changes nothing.

mod account_factory;
mod caller;
mod control_tower;
mod queues;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::config::{Config, LedgerLocation};
use groundcrew_core::doctor::{
    AwsFacts, Fact, Facts, LedgerFacts, ReadFailure, ReadFailureReason, TableFacts,
    granted_service_codes,
};

use crate::clients::Clients;
use crate::error::{read_error, unexpected};

/// The timeout of one read, with its retries.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The timeout of a listing of all accounts: ten thousand accounts take six hundred calls.
const LISTING_TIMEOUT: Duration = Duration::from_secs(300);

/// Reads everything that the config uses, concurrently. `examine_file` reads the ledger if it is a
/// file, because a file is not part of AWS.
pub async fn gather_facts(
    clients: &Clients,
    config: &Config,
    examine_file: impl FnOnce(&Path) -> LedgerFacts,
) -> Facts {
    let caller =
        with_timeout(READ_TIMEOUT, "sts", "GetCallerIdentity", caller::caller(clients)).await;
    let useless = |read_failure: &ReadFailure| {
        matches!(
            read_failure.reason,
            ReadFailureReason::NoCredentials | ReadFailureReason::Rejected
        )
    };
    let known = !caller.as_ref().is_err_and(useless);
    let (aws, ledger) = tokio::join!(
        async {
            match known {
                true => Some(aws(clients, config).await),
                false => None,
            }
        },
        async {
            let name = match &config.ledger.location {
                LedgerLocation::File(path) => return examine_file(path),
                LedgerLocation::Table(name) => name,
            };
            let read = table(clients, name);
            let table = match known {
                true => Some(with_timeout(READ_TIMEOUT, "dynamodb", "DescribeTable", read).await),
                false => None,
            };
            LedgerFacts::Table { name: name.clone(), table }
        },
    );
    // Other systems are not part of AWS. The caller that can send requests checks them.
    Facts { caller, aws, ledger, notifiers: Vec::new() }
}

async fn aws(clients: &Clients, config: &Config) -> AwsFacts {
    let queue = |url: Option<String>| async move {
        let url = url?;
        let read = queues::queue(clients, &url);
        Some(with_timeout(READ_TIMEOUT, "sqs", "GetQueueAttributes", read).await)
    };
    let queues = &config.queues;
    let codes = granted_service_codes(config);
    let (
        organization,
        landing_zone,
        (product, units),
        identity_center,
        updates_queue,
        notifications_queue,
        events_queue,
        topic,
        support_services,
    ) = tokio::join!(
        with_timeout(
            READ_TIMEOUT,
            "organizations",
            "DescribeOrganization",
            caller::organization(clients)
        ),
        with_timeout(
            READ_TIMEOUT,
            "controltower",
            "ListLandingZones",
            control_tower::landing_zone(clients)
        ),
        account_factory::product_and_units(clients, config),
        with_timeout(READ_TIMEOUT, "sso", "ListInstances", control_tower::identity_center(clients)),
        queue(queues.updates_url.clone()),
        queue(queues.notifications_url.clone()),
        queue(queues.events_url.clone()),
        async {
            let arn = config.alerts_topic.as_deref()?;
            Some(with_timeout(READ_TIMEOUT, "sns", "GetTopicAttributes", topic(clients, arn)).await)
        },
        async {
            let read = services(clients, &codes);
            match codes.is_empty() {
                true => None,
                false => {
                    Some(with_timeout(READ_TIMEOUT, "support", "DescribeServices", read).await)
                }
            }
        },
    );
    AwsFacts {
        organization,
        landing_zone,
        units,
        identity_center,
        product,
        updates_queue,
        notifications_queue,
        events_queue,
        topic,
        support_services,
    }
}

/// Ends the read after a timeout. The error names the permission of the call that timed out.
async fn with_timeout<T>(
    timeout: Duration,
    service: &'static str,
    operation: &'static str,
    read: impl Future<Output = Fact<T>>,
) -> Fact<T> {
    tokio::time::timeout(timeout, read)
        .await
        .unwrap_or_else(|_| Err(ReadFailure::too_slow(format!("{service}:{operation}"), timeout)))
}

/// Converts an error of a port into a read failure of a service.
fn failure_of_service(service: &'static str) -> impl Fn(AwsError) -> ReadFailure {
    move |error| ReadFailure::from_aws_error(service, &error)
}

/// Converts an error of a call into a read failure.
fn read_failure<E>(
    service: &'static str,
    operation: &'static str,
) -> impl FnOnce(SdkError<E, HttpResponse>) -> ReadFailure
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    move |error| ReadFailure::from_aws_error(service, &read_error(operation, error))
}

/// A response that lacks a member.
fn incomplete(service: &'static str, operation: &'static str, what: &str) -> ReadFailure {
    let text = format!("the answer has no {what}");
    ReadFailure::from_aws_error(service, &unexpected(operation, ErrorClass::Transient, text))
}

async fn topic(clients: &Clients, arn: &str) -> Fact<BTreeMap<String, String>> {
    let answer = clients
        .sns
        .get_topic_attributes()
        .topic_arn(arn)
        .send()
        .await
        .map_err(read_failure("sns", "GetTopicAttributes"))?;
    Ok(answer.attributes.unwrap_or_default().into_iter().collect())
}

async fn services(clients: &Clients, codes: &BTreeSet<String>) -> Fact<BTreeSet<String>> {
    let answer = clients
        .support
        .describe_services()
        .set_service_code_list(Some(codes.iter().cloned().collect()))
        .send()
        .await
        .map_err(read_failure("support", "DescribeServices"))?;
    let offered = answer.services.unwrap_or_default();
    Ok(offered.into_iter().filter_map(|service| service.code).collect())
}

async fn table(clients: &Clients, name: &str) -> Fact<TableFacts> {
    use aws_sdk_dynamodb::types::KeyType;
    const OPERATION: &str = "DescribeTable";
    let answer = clients
        .dynamodb
        .describe_table()
        .table_name(name)
        .send()
        .await
        .map_err(read_failure("dynamodb", OPERATION))?;
    let table = answer.table.ok_or_else(|| incomplete("dynamodb", OPERATION, "Table"))?;
    let key = |wanted: KeyType| {
        let key = table.key_schema().iter().find(|key| key.key_type == wanted)?;
        let definitions = table.attribute_definitions();
        let kind = definitions.iter().find(|one| one.attribute_name == key.attribute_name)?;
        Some((key.attribute_name.clone(), kind.attribute_type.as_str().to_owned()))
    };
    Ok(TableFacts {
        partition: key(KeyType::Hash),
        sort: key(KeyType::Range),
        status: table.table_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
    })
}
