//! The state of a simulated AWS as text, from which it goes on: a line that tells its version and
//! its digest, and the model as JSON.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::dynamodb::TABLE;
use crate::model::{
    EVENTS_DEAD, EVENTS_QUEUE, MANAGEMENT_ACCOUNT, Model, NOTIFICATIONS_DEAD, NOTIFICATIONS_QUEUE,
    REGION, TOPIC, UPDATES_DEAD, UPDATES_QUEUE,
};
use crate::serve::{ServeOptions, endpoint};
use crate::sqs::url_at;

/// Changes with every change of the model that old states can't be read with.
const VERSION: u32 = 1;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    groundcrew_sim_aws: u32,
    sha256: String,
}

/// A simulated AWS that is not running.
#[derive(Debug)]
pub struct State {
    model: Model,
}

/// A text that is no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// It never was one.
    #[error("this is no state of `groundcrew sim-aws`: expected its first line to tell a version")]
    Other,
    /// It is one of another version of groundcrew.
    #[error(
        "this is a state of version {found}, and this groundcrew reads version {VERSION}: use the \
         groundcrew that wrote it"
    )]
    Version {
        /// Its version.
        found: u32,
    },
    /// It is not what was written.
    #[error("this state is damaged: {0}")]
    Damaged(String),
}

impl State {
    /// A new one, as of the real time.
    pub fn new(options: ServeOptions) -> Self {
        let ServeOptions { seed, snapshot, faults, quota } = options;
        Self { model: Model::new(seed, Timestamp::now(), snapshot, faults, quota) }
    }

    /// Reads what was kept.
    ///
    /// # Errors
    /// When the text is not whole, or is of another version.
    pub fn parse(text: &str) -> Result<Self, StateError> {
        let (head, model) = text.split_once('\n').unwrap_or((text, ""));
        let head: Head = serde_json::from_str(head).map_err(|_| StateError::Other)?;
        if head.groundcrew_sim_aws != VERSION {
            return Err(StateError::Version { found: head.groundcrew_sim_aws });
        }
        let model = model.strip_suffix('\n').unwrap_or(model);
        if digest(model) != head.sha256 {
            let message = "its second line doesn't have the digest that the first tells";
            return Err(StateError::Damaged(message.to_owned()));
        }
        let mut model: Model =
            serde_json::from_str(model).map_err(|error| StateError::Damaged(error.to_string()))?;
        model.share_fleet();
        Ok(Self { model })
    }

    /// Writes it as [`State::parse`] reads it.
    ///
    /// # Errors
    /// Never in practice: everything in it can be written as JSON.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        write(&self.model)
    }

    pub(crate) fn into_model(self) -> Model {
        self.model
    }
}

/// The state of this model as text.
pub(crate) fn write(model: &Model) -> Result<String, serde_json::Error> {
    let model = serde_json::to_string(model)?;
    let head = Head { groundcrew_sim_aws: VERSION, sha256: digest(&model) };
    Ok(format!("{}\n{model}\n", serde_json::to_string(&head)?))
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What there is on a simulated AWS that is served, by the names that a config takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Where it answers, as a URL.
    pub endpoint: String,
    /// Its Region.
    pub region: &'static str,
    /// URL of the queue of accounts to update (FIFO), and of its dead-letter queue.
    pub updates: (String, String),
    /// URL of the queue of events, and of its dead-letter queue.
    pub events: (String, String),
    /// URL of the queue of notifications (FIFO), and of its dead-letter queue.
    pub notifications: (String, String),
    /// ARN of the topic of alerts.
    pub topic_arn: String,
    /// Name of the DynamoDB table, which has the keys of a ledger.
    pub table: &'static str,
}

impl Resources {
    /// Of one that listens there.
    pub fn at(listening: SocketAddr) -> Self {
        let endpoint = endpoint(listening);
        let pair = |queue, dead| (url_at(&endpoint, queue), url_at(&endpoint, dead));
        Self {
            region: REGION,
            updates: pair(UPDATES_QUEUE, UPDATES_DEAD),
            events: pair(EVENTS_QUEUE, EVENTS_DEAD),
            notifications: pair(NOTIFICATIONS_QUEUE, NOTIFICATIONS_DEAD),
            topic_arn: format!("arn:aws:sns:{REGION}:{MANAGEMENT_ACCOUNT}:{TOPIC}"),
            table: TABLE,
            endpoint,
        }
    }
}
