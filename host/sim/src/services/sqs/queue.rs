//! One SQS queue: order, visibility, groups, deduplication, redrive, retention and
//! counts that lag.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::address::arn;
use super::message_attributes::MessageAttributes;
use super::queue_settings::{QueueOptions, Settings};
use crate::ids;
use crate::names::MANAGEMENT_ACCOUNT;
use crate::protocol::ApiError;
use crate::time::saturating_later;

/// How long SQS keeps a deduplication id, even if the message is deleted.
const DEDUPLICATION: Duration = Duration::from_secs(5 * 60);

/// How long the counts lag behind a change.
const COUNT_LAG: Duration = Duration::from_secs(60);

/// The shortest interval between two samples of the counts.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);

/// The longest visibility timeout, counted from the receipt.
pub(crate) const LONGEST_VISIBILITY: Duration = Duration::from_secs(43_200);

/// A message to be sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct NewMessage {
    pub(crate) body: String,
    pub(crate) attributes: MessageAttributes,
    pub(crate) group: Option<String>,
    pub(crate) deduplication: Option<String>,
    pub(crate) delay: Duration,
    /// ARN of the queue from which the message was moved.
    pub(crate) source: Option<String>,
}

/// The result of a send.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SendResult {
    pub(crate) id: String,
    pub(crate) sequence_number: Option<String>,
}

/// A received message.
#[derive(Debug)]
pub(crate) struct ReceivedMessage {
    pub(crate) id: String,
    pub(crate) receipt: String,
    pub(crate) body: String,
    pub(crate) attributes: MessageAttributes,
    pub(crate) system: BTreeMap<&'static str, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Message {
    id: String,
    new: NewMessage,
    sent: Timestamp,
    received: u32,
    first_received: Option<Timestamp>,
    last_received: Timestamp,
    /// Number of the last receipt. In a FIFO queue only this one is valid.
    receipt: u64,
    /// Set while the message is hidden.
    hidden_until: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize)]
struct DeduplicationEntry {
    sent: SendResult,
    until: Timestamp,
}

/// The numbers of visible, in-flight and delayed messages.
type Counts = (usize, usize, usize);

/// One queue.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Queue {
    pub(crate) name: String,
    pub(crate) fifo: bool,
    pub(crate) settings: Settings,
    pub(crate) tags: BTreeMap<String, String>,
    /// When it was last purged.
    pub(crate) purged: Option<Timestamp>,
    /// When its settings were last changed.
    pub(crate) modified: Timestamp,
    #[serde(with = "crate::state_serde::rng")]
    rng: Rng,
    created: Timestamp,
    next: u64,
    receipts: u64,
    /// By sequence number, which is the order of sending.
    messages: BTreeMap<u64, Message>,
    visible: BTreeSet<u64>,
    hidden: BTreeSet<(Timestamp, u64)>,
    /// The number of messages in flight by group. Groups without any are not in the map.
    busy: BTreeMap<String, u32>,
    remembered: BTreeMap<String, DeduplicationEntry>,
    /// Deduplication ids in the order of their expiry.
    forgetting: VecDeque<(Timestamp, String)>,
    /// The counts just before these times.
    samples: VecDeque<(Timestamp, Counts)>,
}

impl Queue {
    pub(crate) fn new(now: Timestamp, options: QueueOptions, rng: Rng) -> Self {
        Self {
            settings: Settings::from(&options),
            name: options.name,
            fifo: options.fifo,
            tags: BTreeMap::new(),
            purged: None,
            modified: now,
            rng,
            created: now,
            next: 0,
            receipts: 0,
            messages: BTreeMap::new(),
            visible: BTreeSet::new(),
            hidden: BTreeSet::new(),
            busy: BTreeMap::new(),
            remembered: BTreeMap::new(),
            forgetting: VecDeque::new(),
            samples: VecDeque::new(),
        }
    }

    /// Adds a message, unless it repeats one of the last five minutes.
    pub(crate) fn send(&mut self, now: Timestamp, new: NewMessage) -> SendResult {
        self.apply_time(now);
        if let Some(known) = new.deduplication.as_ref().and_then(|id| self.remembered.get(id)) {
            return known.sent.clone();
        }
        self.sample(now);
        let number = self.next;
        self.next += 1;
        let sent = SendResult {
            id: ids::uuid(&mut self.rng),
            sequence_number: self.fifo.then(|| sequence_number(number)),
        };
        if let Some(id) = new.deduplication.clone().filter(|_| self.fifo) {
            let until = saturating_later(now, DEDUPLICATION);
            self.forgetting.push_back((until, id.clone()));
            self.remembered.insert(id, DeduplicationEntry { sent: sent.clone(), until });
        }
        let hidden_until = (!new.delay.is_zero()).then(|| saturating_later(now, new.delay));
        match hidden_until {
            Some(until) => self.hidden.insert((until, number)),
            None => self.visible.insert(number),
        };
        let message = Message {
            id: sent.id.clone(),
            new,
            sent: now,
            received: 0,
            first_received: None,
            last_received: now,
            receipt: 0,
            hidden_until,
        };
        self.messages.insert(number, message);
        sent
    }

    /// Receives up to `max` visible messages. The second list has those that were received too
    /// often and go to the dead-letter queue.
    pub(crate) fn receive(
        &mut self,
        now: Timestamp,
        max: usize,
        visibility: Duration,
    ) -> (Vec<ReceivedMessage>, Vec<NewMessage>) {
        self.apply_time(now);
        if self.visible.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let limit = self.settings.redrive.as_ref().map_or(u32::MAX, |(_, limit)| *limit);
        let (mut chosen, mut dead) = (Vec::new(), Vec::new());
        // One receive may return several messages of a group, in their order.
        for number in &self.visible {
            if chosen.len() == max {
                break;
            }
            let Some(message) = self.messages.get(number) else { continue };
            if message.received >= limit {
                dead.push(*number);
                continue;
            }
            let busy =
                message.new.group.as_ref().is_some_and(|group| self.busy.contains_key(group));
            if !(self.fifo && busy) {
                chosen.push(*number);
            }
        }
        if chosen.is_empty() && dead.is_empty() {
            return (Vec::new(), Vec::new());
        }
        self.sample(now);
        let arn = self.arn();
        let dead = dead
            .into_iter()
            .filter_map(|number| self.remove(number))
            .map(|message| NewMessage {
                delay: Duration::ZERO,
                source: Some(arn.clone()),
                ..message.new
            })
            .collect();
        let delivered =
            chosen.into_iter().filter_map(|number| self.deliver(now, number, visibility)).collect();
        (delivered, dead)
    }

    fn deliver(
        &mut self,
        now: Timestamp,
        number: u64,
        visibility: Duration,
    ) -> Option<ReceivedMessage> {
        self.receipts += 1;
        let receipt = self.receipts;
        let message = self.messages.get_mut(&number)?;
        message.received += 1;
        message.first_received.get_or_insert(now);
        message.last_received = now;
        message.receipt = receipt;
        let mut system = BTreeMap::from([
            ("SenderId", MANAGEMENT_ACCOUNT.to_owned()),
            ("SentTimestamp", message.sent.as_millisecond().to_string()),
            ("ApproximateReceiveCount", message.received.to_string()),
            (
                "ApproximateFirstReceiveTimestamp",
                message.first_received.unwrap_or(now).as_millisecond().to_string(),
            ),
        ]);
        if let Some(group) = &message.new.group {
            system.insert("MessageGroupId", group.clone());
        }
        if let Some(id) = &message.new.deduplication {
            system.insert("MessageDeduplicationId", id.clone());
        }
        if let Some(source) = &message.new.source {
            system.insert("DeadLetterQueueSourceArn", source.clone());
        }
        if self.fifo {
            system.insert("SequenceNumber", sequence_number(number));
        }
        let delivered = ReceivedMessage {
            id: message.id.clone(),
            receipt: format!("{}.{number}.{receipt}", self.name),
            body: message.new.body.clone(),
            attributes: message.new.attributes.clone(),
            system,
        };
        self.visible.remove(&number);
        if !visibility.is_zero() {
            self.hide(number, saturating_later(now, visibility));
        } else {
            self.visible.insert(number);
        }
        Some(delivered)
    }

    /// Deletes a message by its receipt. A message that no longer exists is no error.
    pub(crate) fn delete(&mut self, now: Timestamp, receipt: &str) -> Result<(), ApiError> {
        let (number, receipt) = self.read_receipt(receipt)?;
        self.apply_time(now);
        let Some(message) = self.messages.get(&number) else { return Ok(()) };
        // A standard queue accepts any receipt of the message.
        if self.fifo && (message.receipt != receipt || message.hidden_until.is_none()) {
            return Err(expired());
        }
        self.sample(now);
        self.remove(number);
        Ok(())
    }

    /// Hides a message for this long from now, or makes it visible again.
    pub(crate) fn change_visibility(
        &mut self,
        now: Timestamp,
        receipt: &str,
        visibility: Duration,
    ) -> Result<(), ApiError> {
        if visibility > LONGEST_VISIBILITY {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "VisibilityTimeout must be between 0 and 43200.",
            ));
        }
        let (number, receipt) = self.read_receipt(receipt)?;
        self.apply_time(now);
        let Some(message) = self.messages.get(&number) else {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "Value for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.",
            ));
        };
        if self.fifo && message.receipt != receipt {
            return Err(expired());
        }
        let until = saturating_later(now, visibility);
        if until > saturating_later(message.last_received, LONGEST_VISIBILITY) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "Total VisibilityTimeout for the message is beyond the limit [43200 seconds].",
            ));
        }
        if message.hidden_until.is_none() {
            return Err(ApiError::new(
                "MessageNotInflight",
                "The specified message isn't in flight.",
            ));
        }
        self.sample(now);
        self.show(number);
        if !visibility.is_zero() {
            self.visible.remove(&number);
            self.hide(number, until);
        }
        Ok(())
    }

    /// When the next hidden message becomes visible again.
    pub(crate) fn next_visible(&self) -> Option<Timestamp> {
        self.hidden.first().map(|(until, _)| *until)
    }

    pub(crate) fn bodies(&mut self, now: Timestamp) -> Vec<String> {
        self.apply_time(now);
        self.messages.values().map(|message| message.new.body.clone()).collect()
    }

    /// The attributes of the queue with their values.
    pub(crate) fn attributes(&mut self, now: Timestamp) -> BTreeMap<String, String> {
        self.apply_time(now);
        let (visible, in_flight, delayed) = self.lagging_counts(now);
        let mut attributes = self.settings.attributes(self.fifo);
        let own = [
            ("QueueArn", self.arn()),
            ("ApproximateNumberOfMessages", visible.to_string()),
            ("ApproximateNumberOfMessagesNotVisible", in_flight.to_string()),
            ("ApproximateNumberOfMessagesDelayed", delayed.to_string()),
            ("CreatedTimestamp", self.created.as_second().to_string()),
            ("LastModifiedTimestamp", self.modified.as_second().to_string()),
        ];
        attributes.extend(own.map(|(name, value)| (name.to_owned(), value)));
        attributes
    }

    /// Removes every message.
    pub(crate) fn purge(&mut self, now: Timestamp) {
        self.apply_time(now);
        self.sample(now);
        self.messages.clear();
        self.visible.clear();
        self.hidden.clear();
        self.busy.clear();
        self.purged = Some(now);
    }

    fn arn(&self) -> String {
        arn(&self.name)
    }

    /// Applies the effects of time: makes hidden messages visible again, drops old messages, and
    /// removes expired deduplication ids.
    fn apply_time(&mut self, now: Timestamp) {
        while let Some((until, number)) = self.hidden.first().copied() {
            if until > now {
                break;
            }
            self.sample(until);
            self.show(number);
        }
        while let Some((number, message)) = self.messages.first_key_value() {
            if saturating_later(message.sent, self.settings.retention) > now {
                break;
            }
            let number = *number;
            self.sample(now);
            self.remove(number);
        }
        while self.forgetting.front().is_some_and(|(until, _)| *until <= now) {
            if let Some((until, id)) = self.forgetting.pop_front()
                && self.remembered.get(&id).is_some_and(|known| known.until == until)
            {
                self.remembered.remove(&id);
            }
        }
    }

    fn hide(&mut self, number: u64, until: Timestamp) {
        let Some(message) = self.messages.get_mut(&number) else { return };
        message.hidden_until = Some(until);
        self.hidden.insert((until, number));
        if let Some(group) = message.new.group.clone() {
            *self.busy.entry(group).or_default() += 1;
        }
    }

    fn show(&mut self, number: u64) {
        let Some(message) = self.messages.get_mut(&number) else { return };
        let Some(until) = message.hidden_until.take() else { return };
        self.hidden.remove(&(until, number));
        self.visible.insert(number);
        // A delayed message was not in flight, so it does not keep its group busy.
        if message.received > 0
            && let Some(group) = &message.new.group
            && let Some(count) = self.busy.get_mut(group)
        {
            *count -= 1;
            if *count == 0 {
                self.busy.remove(group);
            }
        }
    }

    fn remove(&mut self, number: u64) -> Option<Message> {
        self.show(number);
        self.visible.remove(&number);
        self.messages.remove(&number)
    }

    fn read_receipt(&self, receipt: &str) -> Result<(u64, u64), ApiError> {
        receipt
            .strip_prefix(&self.name)
            .and_then(|rest| rest.strip_prefix('.'))
            .and_then(|rest| rest.split_once('.'))
            .and_then(|(number, receipt)| Some((number.parse().ok()?, receipt.parse().ok()?)))
            .ok_or_else(|| {
                ApiError::new("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
            })
    }

    fn counts(&self) -> Counts {
        let never_received = |(_, number): &&(Timestamp, u64)| {
            self.messages.get(number).is_some_and(|message| message.received == 0)
        };
        let delayed = self.hidden.iter().filter(never_received).count();
        (self.visible.len(), self.hidden.len() - delayed, delayed)
    }

    /// Records the counts just before a change at `now`.
    fn sample(&mut self, now: Timestamp) {
        if self
            .samples
            .back()
            .is_none_or(|(last, _)| saturating_later(*last, SAMPLE_INTERVAL) <= now)
        {
            let counts = self.counts();
            self.samples.push_back((now, counts));
        }
        while self
            .samples
            .front()
            .is_some_and(|(first, _)| saturating_later(*first, COUNT_LAG) < now)
        {
            self.samples.pop_front();
        }
    }

    /// The counts of about a minute ago: just before the first change since then.
    fn lagging_counts(&self, now: Timestamp) -> Counts {
        self.samples
            .iter()
            .find(|(time, _)| saturating_later(*time, COUNT_LAG) > now)
            .map_or_else(|| self.counts(), |(_, counts)| *counts)
    }
}

/// A sequence number in twenty digits, as SQS writes it.
fn sequence_number(number: u64) -> String {
    format!("{:020}", 18_000_000_000_000_000_000_u64 + number)
}

fn expired() -> ApiError {
    ApiError::new(
        "ReceiptHandleIsInvalid",
        "Value for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
    )
}
