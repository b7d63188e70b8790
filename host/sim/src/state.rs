//! The state of a simulated AWS as text, from which it can resume: a line with its version and its
//! digest, and the model as JSON.

use data_encoding::HEXLOWER;
use groundcrew_core::snapshot::Snapshot;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::faults::FaultLevel;
use crate::model::Model;

/// Increases with every change of the model that makes old states unreadable.
const VERSION: u32 = 2;

/// The first line.
#[derive(Serialize, Deserialize)]
struct StateHeader {
    groundcrew_sim_aws: u32,
    sha256: String,
}

/// The initial settings of a server.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The seed of all random values. In real time a run can't be repeated exactly.
    pub seed: u64,
    /// The organization.
    pub snapshot: Snapshot,
    /// How many faults occur. The connection of a lost response is closed.
    pub faults: FaultLevel,
    /// Control Tower's quota of concurrent account operations: 5 unless AWS has raised it.
    pub quota: usize,
}

/// A simulated AWS that is not running.
#[derive(Debug)]
pub struct State {
    model: Model,
}

/// Why a text is not a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The text is something else.
    #[error("this is no state of `groundcrew sim-aws`: expected its first line to tell a version")]
    NotAState,
    /// The state is of another version of groundcrew.
    #[error(
        "this is a state of version {found}, and this groundcrew reads version {VERSION}: use the \
         groundcrew that wrote it"
    )]
    Version {
        /// Its version.
        found: u32,
    },
    /// The state is incomplete or was changed.
    #[error("this state is damaged: {0}")]
    Damaged(String),
}

impl State {
    /// A new state, at the present time.
    pub fn new(options: ServeOptions) -> Self {
        let ServeOptions { seed, snapshot, faults, quota } = options;
        Self { model: Model::new(seed, Timestamp::now(), snapshot, faults, quota) }
    }

    /// Reads a saved state.
    ///
    /// # Errors
    /// When the text is damaged, or is of another version.
    pub fn parse(text: &str) -> Result<Self, StateError> {
        let (head, model) = text.split_once('\n').unwrap_or((text, ""));
        let head: StateHeader = serde_json::from_str(head).map_err(|_| StateError::NotAState)?;
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

    /// Writes the state as [`State::parse`] reads it.
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
    let head = StateHeader { groundcrew_sim_aws: VERSION, sha256: digest(&model) };
    Ok(format!("{}\n{model}\n", serde_json::to_string(&head)?))
}

fn digest(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    use crate::faults::{Fault, Rejection};
    use crate::fleet::random_fleet;
    use crate::model::ModelResponse;
    use crate::names::{
        EVENTS_DLQ, EVENTS_QUEUE, MANAGEMENT_ACCOUNT, NOTIFICATIONS_DLQ, NOTIFICATIONS_QUEUE,
        REGION, TABLE, UPDATES_DLQ, UPDATES_QUEUE,
    };
    use crate::protocol::Request;
    use crate::time::saturating_later;
    use crate::web::WebRequest;

    const BEGIN: Timestamp = Timestamp::constant(1_788_249_600, 0);
    const ACCOUNTS: u32 = 6;

    /// A step that changes a model or reads from it, of one of several kinds.
    #[derive(Clone, Debug)]
    struct Step {
        kind: usize,
        which: u32,
        seconds: u64,
    }

    fn step() -> impl Strategy<Value = Step> {
        (0..32_usize, 0..ACCOUNTS, 0..900_u64).prop_map(|(kind, which, seconds)| Step {
            kind,
            which,
            seconds,
        })
    }

    fn ask(model: &mut Model, now: Timestamp, target: &str, body: &Value) -> String {
        let body = body.to_string();
        let request = Request { path: "/", target: Some(target), body: body.as_bytes() };
        let trip = model.draw_round_trip(&request);
        match model.handle(now, &request) {
            ModelResponse::Ready(response) => {
                format!("{trip:?} {} {}", response.status, String::from_utf8_lossy(&response.body))
            }
            ModelResponse::Wait(poll) => format!("{trip:?} {poll:?}"),
        }
    }

    fn queue(number: u32) -> String {
        let names = [UPDATES_QUEUE, EVENTS_QUEUE, NOTIFICATIONS_QUEUE, EVENTS_DLQ];
        let name = names[number as usize % names.len()];
        format!("https://sqs.{REGION}.amazonaws.com/{MANAGEMENT_ACCOUNT}/{name}")
    }

    fn update(model: &mut Model, now: Timestamp, which: u32, token: &str) -> String {
        let keys = [
            "AccountEmail",
            "AccountName",
            "ManagedOrganizationalUnit",
            "SSOUserEmail",
            "SSOUserFirstName",
            "SSOUserLastName",
        ];
        let parameters = keys.map(|key| json!({ "Key": key, "UsePreviousValue": true }));
        let body = json!({
            "ProvisionedProductId": crate::ids::write("pp-", which), "UpdateToken": token,
            "ProductId": model.product_id(), "ProvisioningParameters": parameters,
            "ProvisioningArtifactId": model.announce_artifact(now),
        });
        ask(model, now, "AWS242ServiceCatalogService.UpdateProvisionedProduct", &body)
    }

    /// Takes a step, and returns everything that it shows.
    fn take(model: &mut Model, now: Timestamp, step: &Step) -> String {
        let &Step { kind, which, .. } = step;
        let account = format!("{:012}", 200_000_000_000_u64 + u64::from(which)).parse().unwrap();
        let item = json!({
            "pk": { "S": format!("p{which}") }, "sk": { "S": format!("s{kind}") },
            "n": { "N": "15" },
        });
        let key = json!({ "pk": item["pk"], "sk": { "S": "s14" } });
        let mut call = |target: &str, body: Value| ask(model, now, target, &body);
        match kind {
            0..=2 => update(model, now, which, &format!("token-{which}")),
            3 => update(model, now, which, &format!("{now}").replace([':', '.'], "-")),
            4..=6 => call(
                "AmazonSQS.SendMessage",
                match which % 4 {
                    0 | 2 => json!({ "QueueUrl": queue(which), "MessageBody": "b",
                        "MessageGroupId": which.to_string(), "MessageDeduplicationId": "d" }),
                    _ => json!({ "QueueUrl": queue(which), "MessageBody": "b", "DelaySeconds": 5,
                        "MessageAttributes": { "a": { "DataType": "String", "StringValue": "v" } } }),
                },
            ),
            7..=9 => call(
                "AmazonSQS.ReceiveMessage",
                json!({ "QueueUrl": queue(which), "MaxNumberOfMessages": 3,
                    "MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"] }),
            ),
            10 => call(
                "AmazonSQS.GetQueueAttributes",
                json!({ "QueueUrl": queue(which), "AttributeNames": ["All"] }),
            ),
            11 => call("AmazonSQS.PurgeQueue", json!({ "QueueUrl": queue(which) })),
            12 => call(
                "AmazonSQS.CreateQueue",
                json!({ "QueueName": format!("q{which}"),
                "Attributes": { "DelaySeconds": "3" }, "tags": { "a": "b" } }),
            ),
            13 => call(
                "AmazonSQS.DeleteQueue",
                json!({
                "QueueUrl": queue(0).replace(UPDATES_QUEUE, &format!("q{which}")) }),
            ),
            14 | 15 => {
                call("DynamoDB_20120810.PutItem", json!({ "TableName": TABLE, "Item": item }))
            }
            16 => call(
                "DynamoDB_20120810.Query",
                json!({ "TableName": TABLE, "KeyConditionExpression": "pk = :pk",
                    "ExpressionAttributeValues": { ":pk": item["pk"] } }),
            ),
            17 => call(
                "DynamoDB_20120810.TransactWriteItems",
                json!({ "ClientRequestToken": format!("t{which}"),
                    "TransactItems": [{ "Put": { "TableName": TABLE, "Item": item } }] }),
            ),
            18 => call("DynamoDB_20120810.GetItem", json!({ "TableName": TABLE, "Key": key })),
            19 => call(
                "DynamoDB_20120810.TransactWriteItems",
                json!({ "TransactItems": [{ "Delete": { "TableName": TABLE, "Key": key,
                    "ConditionExpression": "n = :n",
                    "ExpressionAttributeValues": { ":n": item["n"] } } }] }),
            ),
            20 => call(
                "AWSSupport_20130415.CreateCase",
                json!({ "subject": "a", "communicationBody": "b", "severityCode": "low" }),
            ),
            21 => call("AWSSupport_20130415.DescribeCases", json!({})),
            22 => call(
                "AWSOrganizationsV20161128.TagResource",
                json!({ "ResourceId": account, "Tags": [{ "Key": "k", "Value": "v" }] }),
            ),
            23 => call(
                "AWSOrganizationsV20161128.ListTagsForResource",
                json!({ "ResourceId": account }),
            ),
            24 => {
                call("AWS242ServiceCatalogService.SearchProvisionedProducts", json!({}))
                    + &call("AWS242ServiceCatalogService.ListRecordHistory", json!({}))
            }
            25 => model.release_artifact(now),
            26 => format!("{}", model.close_account(&account)),
            27 => {
                let path = [["Workloads", "Prod"], ["Workloads", "Test"]][which as usize % 2];
                format!("{}", model.auto_enroll(now, &account, &path))
            }
            28 => {
                model.remove_output(&account, "AccountEmail");
                model.remove_record(&account);
                model.remove_user(&format!("owner+{account}@example.com"));
                let long = Duration::from_secs(600);
                format!("{}", model.foreign_operation(now, &account, long))
            }
            29 => {
                let faults = [
                    Fault::Rejected(Rejection::Throttled),
                    Fault::Hung { takes_effect: false },
                    Fault::ResponseLost,
                ];
                model.inject_fault("Query", faults[which as usize % 3]);
                model.deny("PurgeQueue");
                model.set_unregistered_ous(["ou-sim1-00000001".to_owned()]);
                String::new()
            }
            30 => {
                let body = format!(
                    "Action=Subscribe&Version=2010-03-31&Protocol=sqs&TopicArn={}&Endpoint=arn:aws:sqs:{REGION}:{MANAGEMENT_ACCOUNT}:{EVENTS_QUEUE}",
                    model.topic_arn()
                );
                let publish = format!(
                    "Action=Publish&Version=2010-03-31&Message=m{which}&TopicArn={}",
                    model.topic_arn()
                );
                let asked = [body, publish].map(|body| {
                    let request = Request { path: "/", target: None, body: body.as_bytes() };
                    format!("{:?}", model.handle(now, &request))
                });
                asked.concat()
            }
            _ => {
                let request = WebRequest {
                    method: "POST".to_owned(),
                    url: "https://cmdb.example.com/records".to_owned(),
                    idempotency_key: Some(which.to_string()),
                    body: b"{\"a\": 1}".to_vec(),
                };
                format!("{:?} {:?}", model.draw_web_round_trip(), model.web().handle(&request))
            }
        }
    }

    fn new(faults: FaultLevel) -> Model {
        let mut snapshot = random_fleet(ACCOUNTS as usize, 50, 1);
        snapshot.accounts[1].outdated = false;
        snapshot.accounts[2].enrolled = false;
        snapshot.accounts[3].update_failures = vec!["a stack set failed".to_owned(); 2];
        snapshot.accounts[4].status = groundcrew_core::catalog::ProductStatus::UnderChange;
        snapshot.accounts[5].status = groundcrew_core::catalog::ProductStatus::PlanInProgress;
        Model::new(1, BEGIN, snapshot, faults, 5)
    }

    fn again(model: &Model) -> Model {
        State::parse(&write(model).unwrap()).unwrap().into_model()
    }

    /// Everything that tests can read of a model.
    fn seen(model: &mut Model, now: Timestamp) -> String {
        let bodies = [UPDATES_QUEUE, UPDATES_DLQ, EVENTS_QUEUE, NOTIFICATIONS_DLQ];
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?}",
            model.operations(now),
            model.current_accounts(now),
            bodies.map(|name| model.queue_bodies(now, name)),
            model.cases(),
            model.alerts(),
            model.calls()
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

        /// A model that was read from its state responds as the original does, now and after any
        /// further steps.
        #[test]
        fn a_kept_model_answers_as_the_one_that_was_kept(
            before in prop::collection::vec(step(), 0..60),
            after in prop::collection::vec(step(), 1..40),
            heavy in any::<bool>(),
        ) {
            let level = if heavy { FaultLevel::Heavy } else { FaultLevel::None };
            let (mut model, mut now) = (new(level), BEGIN);
            for step in &before {
                now = saturating_later(now, Duration::from_secs(step.seconds));
                take(&mut model, now, step);
            }
            let mut kept = again(&model);
            prop_assert_eq!(write(&kept).unwrap(), write(&model).unwrap());
            for step in &after {
                now = saturating_later(now, Duration::from_secs(step.seconds));
                prop_assert_eq!(take(&mut kept, now, step), take(&mut model, now, step));
            }
            prop_assert_eq!(seen(&mut kept, now), seen(&mut model, now));
            prop_assert_eq!(write(&kept).unwrap(), write(&model).unwrap());
        }

        /// A text that was cut off or changed anywhere is never accepted as a state.
        #[test]
        fn a_damaged_state_is_refused(place in any::<prop::sample::Index>(), cut in any::<bool>()) {
            let whole = write(&new(FaultLevel::None)).unwrap();
            let place = place.index(whole.len() - 1);
            let damaged = if cut {
                whole[..place].to_owned()
            } else {
                let mut bytes = whole.into_bytes();
                bytes[place] = if bytes[place] == b'7' { b'8' } else { b'7' };
                String::from_utf8(bytes).unwrap()
            };
            prop_assert!(State::parse(&damaged).is_err());
        }
    }

    /// A saved state stays readable as long as its version is supported. After a change of the
    /// model that breaks this, increase [`VERSION`], and write the new state with `UPDATE_STATE=1`.
    #[test]
    fn a_state_of_this_version_is_read() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/states/VERSION.txt");
        let path = path.replace("VERSION", &VERSION.to_string());
        if std::env::var_os("UPDATE_STATE").is_some() {
            let (mut model, mut now) = (new(FaultLevel::Light), BEGIN);
            for kind in 0..32 {
                now = saturating_later(now, Duration::from_secs(30));
                take(&mut model, now, &Step { kind, which: 0, seconds: 0 });
            }
            std::fs::write(&path, write(&model).unwrap()).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut model = State::parse(&text).unwrap().into_model();
        let seen = seen(&mut model, saturating_later(BEGIN, Duration::from_secs(24 * 3600)));
        assert!(seen.contains("LoggedOperation") && seen.contains("case-"), "{seen}");
    }

    /// Each of the steps has an effect, so that the property above covers all of them.
    #[test]
    fn the_steps_are_answered() {
        for kind in 0..32 {
            let mut model = new(FaultLevel::None);
            let answer = take(&mut model, BEGIN, &Step { kind, which: 0, seconds: 0 });
            let refused = [" 400 ", " 404 "].iter().any(|status| answer.contains(status));
            // The queue or the item does not exist yet.
            assert_eq!(refused, [13, 19].contains(&kind), "{kind}: {answer}");
        }
    }

    #[rstest]
    #[case("", "this is no state")]
    #[case("{}", "this is no state")]
    #[case("{\"accounts\":[]}\n", "this is no state")]
    #[case(
        "{\"groundcrew_sim_aws\":3,\"sha256\":\"\"}\n{}",
        "of version 3, and this groundcrew reads version 2"
    )]
    #[case("{\"groundcrew_sim_aws\":2,\"sha256\":\"\"}\n{}", "damaged: its second line")]
    #[case(
        "{\"groundcrew_sim_aws\":2,\"sha256\":\"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\"}\n{}",
        "damaged: missing field"
    )]
    fn what_is_no_state_is_refused(#[case] text: &str, #[case] expected: &str) {
        let error = State::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
