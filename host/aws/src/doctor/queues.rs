//! Queues with their dead-letter queues.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::QueueAttributeName;
use groundcrew_core::doctor::{DeadLetterQueue, Fact, QueueFacts, RedrivePolicy};

use super::read_failure;
use crate::clients::Clients;

pub(super) async fn queue(clients: &Clients, url: &str) -> Fact<QueueFacts> {
    let attributes = attributes(clients, url).await?;
    let dead_letters = match RedrivePolicy::from_attributes(&attributes) {
        None => None,
        Some(redrive) => {
            Some(DeadLetterQueue { attributes: dead_letters(clients, &redrive).await, redrive })
        }
    };
    Ok(QueueFacts { attributes, dead_letters })
}

async fn attributes(clients: &Clients, url: &str) -> Fact<BTreeMap<String, String>> {
    let answer = clients
        .sqs
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(QueueAttributeName::All)
        .send()
        .await
        .map_err(read_failure("sqs", "GetQueueAttributes"))?;
    let attributes = answer.attributes.unwrap_or_default();
    Ok(attributes.into_iter().map(|(name, value)| (name.as_str().to_owned(), value)).collect())
}

async fn dead_letters(
    clients: &Clients,
    redrive: &RedrivePolicy,
) -> Fact<BTreeMap<String, String>> {
    let answer = clients
        .sqs
        .get_queue_url()
        .queue_name(&redrive.name)
        .queue_owner_aws_account_id(&redrive.owner)
        .send()
        .await
        .map_err(read_failure("sqs", "GetQueueUrl"))?;
    attributes(clients, &answer.queue_url.unwrap_or_default()).await
}
