//! Amazon SQS: the operations on queues.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Sqs;
use super::queue::Queue;
use super::queue_settings::{QueueOptions, Settings, is_settable, unknown_name};
use crate::cursor::Cursor;
use crate::protocol::ApiError;
use crate::time::saturating_later;

/// The time after its deletion in which a queue's name can't be used, and the shortest interval
/// between two purges of a queue.
const COOLDOWN: Duration = Duration::from_secs(60);

/// Most queues on a page, and the default number of queues.
const PAGE: usize = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateQueue {
    queue_name: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default, rename = "tags")]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct QueueRequest {
    pub(crate) queue_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetQueueUrl {
    queue_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetQueueAttributes {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SetQueueAttributes {
    queue_url: String,
    attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListQueues {
    queue_name_prefix: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListDeadLetterSourceQueues {
    queue_url: String,
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TagQueue {
    queue_url: String,
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UntagQueue {
    queue_url: String,
    tag_keys: Vec<String>,
}

impl Sqs {
    pub(crate) fn create_queue(
        &mut self,
        now: Timestamp,
        request: CreateQueue,
    ) -> Result<Value, ApiError> {
        let name = request.queue_name;
        let fifo = request.attributes.get("FifoQueue").is_some_and(|value| value == "true");
        check_name(&name, fifo)?;
        if let Some(existing) = self.queues.iter_mut().find(|queue| queue.name == name) {
            let current = existing.attributes(now);
            let differs = |(name, value): &(&String, &String)| current.get(*name) != Some(*value);
            if let Some((attribute, _)) = request.attributes.iter().find(differs) {
                return Err(ApiError::new(
                    "QueueNameExists",
                    format!(
                        "A queue already exists with the same name and a different value for attribute {attribute}"
                    ),
                ));
            }
            return Ok(json!({ "QueueUrl": self.url(&name) }));
        }
        if self.deleted.get(&name).is_some_and(|deleted| now < saturating_later(*deleted, COOLDOWN))
        {
            return Err(ApiError::new(
                "QueueDeletedRecently",
                "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
            ));
        }
        // The defaults of SQS.
        let options = QueueOptions {
            name: name.clone(),
            fifo,
            visibility: Duration::from_secs(30),
            retention: Duration::from_secs(4 * 24 * 3600),
            redrive: None,
        };
        let mut settings = Settings::from(&options);
        self.check_settings(fifo, &request.attributes, &mut settings)?;
        self.create(now, options);
        if let Some(queue) = self.queues.last_mut() {
            queue.settings = settings;
            queue.tags = request.tags;
        }
        Ok(json!({ "QueueUrl": self.url(&name) }))
    }

    fn check_settings(
        &self,
        fifo: bool,
        attributes: &BTreeMap<String, String>,
        settings: &mut Settings,
    ) -> Result<(), ApiError> {
        let kind_of =
            |name: &str| self.queues.iter().find(|queue| queue.name == name).map(|q| q.fifo);
        settings.set(fifo, attributes, kind_of)
    }

    pub(crate) fn delete_queue(
        &mut self,
        now: Timestamp,
        request: &QueueRequest,
    ) -> Result<Value, ApiError> {
        let index = self.index(&request.queue_url)?;
        let queue = self.queues.remove(index);
        self.deleted.insert(queue.name, now);
        Ok(json!({}))
    }

    pub(crate) fn queue_url(&mut self, request: &GetQueueUrl) -> Result<Value, ApiError> {
        let url = self.url(&request.queue_name);
        self.queue(&url)?;
        Ok(json!({ "QueueUrl": url }))
    }

    pub(crate) fn list_queues(&self, request: &ListQueues) -> Result<Value, ApiError> {
        let prefix = request.queue_name_prefix.as_deref().unwrap_or_default();
        let named = |queue: &Queue| queue.name.starts_with(prefix);
        let (urls, next) = self.list(named, request.max_results, request.next_token.as_deref())?;
        let mut answer = json!({});
        if !urls.is_empty() {
            answer["QueueUrls"] = urls.into();
        }
        if let Some(next) = next {
            answer["NextToken"] = next.into();
        }
        Ok(answer)
    }

    pub(crate) fn list_dead_letter_source_queues(
        &self,
        request: &ListDeadLetterSourceQueues,
    ) -> Result<Value, ApiError> {
        let target = self.queues[self.index(&request.queue_url)?].name.as_str();
        let source =
            |queue: &Queue| queue.settings.redrive.as_ref().is_some_and(|(name, _)| name == target);
        let (urls, next) = self.list(source, request.max_results, request.next_token.as_deref())?;
        let mut answer = json!({ "queueUrls": urls });
        if let Some(next) = next {
            answer["NextToken"] = next.into();
        }
        Ok(answer)
    }

    fn list(
        &self,
        wanted: impl Fn(&Queue) -> bool,
        max: Option<usize>,
        token: Option<&str>,
    ) -> Result<(Vec<String>, Option<String>), ApiError> {
        let size = max.unwrap_or(PAGE);
        let cursor =
            Cursor::read(token).filter(|_| (1..=PAGE).contains(&size)).ok_or_else(|| {
                ApiError::new(
                    "InvalidParameterValue",
                    "MaxResults must be 1 to 1000, and NextToken one of an answer.",
                )
            })?;
        let found: Vec<&Queue> = self.queues.iter().filter(|queue| wanted(queue)).collect();
        let (range, next) = cursor.page(size, found.len());
        Ok((found[range].iter().map(|queue| self.url(&queue.name)).collect(), next))
    }

    pub(crate) fn queue_attributes(
        &mut self,
        now: Timestamp,
        request: &GetQueueAttributes,
    ) -> Result<Value, ApiError> {
        let all = self.queue(&request.queue_url)?.attributes(now);
        let names = &request.attribute_names;
        let known = |name: &&String| *name == "All" || all.contains_key(*name) || is_settable(name);
        if let Some(name) = names.iter().find(|name| !known(name)) {
            return Err(unknown_name(name));
        }
        let wanted = |name: &str| names.iter().any(|wanted| wanted == name || wanted == "All");
        let attributes: BTreeMap<_, _> = all.into_iter().filter(|(name, _)| wanted(name)).collect();
        Ok(if attributes.is_empty() { json!({}) } else { json!({ "Attributes": attributes }) })
    }

    pub(crate) fn set_queue_attributes(
        &mut self,
        now: Timestamp,
        request: &SetQueueAttributes,
    ) -> Result<Value, ApiError> {
        let index = self.index(&request.queue_url)?;
        let mut settings = self.queues[index].settings.clone();
        self.check_settings(self.queues[index].fifo, &request.attributes, &mut settings)?;
        self.queues[index].settings = settings;
        self.queues[index].modified = now;
        Ok(json!({}))
    }

    pub(crate) fn purge_queue(
        &mut self,
        now: Timestamp,
        request: &QueueRequest,
    ) -> Result<Value, ApiError> {
        let queue = self.queue(&request.queue_url)?;
        if queue.purged.is_some_and(|purged| now < saturating_later(purged, COOLDOWN)) {
            return Err(ApiError::new(
                "PurgeQueueInProgress",
                format!(
                    "Only one PurgeQueue operation on {} is allowed every 60 seconds.",
                    queue.name
                ),
            )
            .with_status(403));
        }
        queue.purge(now);
        Ok(json!({}))
    }

    pub(crate) fn tag_queue(&mut self, request: TagQueue) -> Result<Value, ApiError> {
        self.queue(&request.queue_url)?.tags.extend(request.tags);
        Ok(json!({}))
    }

    pub(crate) fn untag_queue(&mut self, request: &UntagQueue) -> Result<Value, ApiError> {
        let queue = self.queue(&request.queue_url)?;
        queue.tags.retain(|key, _| !request.tag_keys.contains(key));
        Ok(json!({}))
    }

    pub(crate) fn queue_tags(&mut self, request: &QueueRequest) -> Result<Value, ApiError> {
        let tags = &self.queue(&request.queue_url)?.tags;
        Ok(if tags.is_empty() { json!({}) } else { json!({ "Tags": tags }) })
    }
}

fn check_name(name: &str, fifo: bool) -> Result<(), ApiError> {
    let plain = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    let good = match name.strip_suffix(".fifo") {
        Some(stem) => fifo && plain(stem),
        None => !fifo && plain(name),
    };
    if good && name.len() <= 80 {
        return Ok(());
    }
    Err(ApiError::new(
        "InvalidParameterValue",
        if fifo {
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length"
        } else {
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        },
    ))
}
