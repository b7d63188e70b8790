//! The candidate as a script sees it:
//!
//! ```json
//! {
//!   "action": "update",
//!   "cause": "artifact",
//!   "now": "2026-01-02T03:04:05Z",
//!   "now_ns": 1767323045000000000,
//!   "account": {
//!     "id": "111122223333",
//!     "name": "payments-prod",
//!     "email": "aws+payments-prod@example.com",
//!     "ou": ["Workloads", "Prod"],
//!     "organizational_units": [
//!       {"id": "ou-abcd-11111111", "name": "Workloads"},
//!       {"id": "ou-abcd-22222222", "name": "Prod"}
//!     ],
//!     "state": "ACTIVE",
//!     "tags": {"environment": "prod"},
//!     "joined": "2025-01-02T03:04:05Z",
//!     "joined_ns": 1735787045000000000
//!   },
//!   "product": {
//!     "id": "pp-abcdefghijklm",
//!     "name": "payments-prod",
//!     "status": "AVAILABLE",
//!     "artifact": "pa-1111111111111",
//!     "target_artifact": "pa-2222222222222"
//!   },
//!   "event": {
//!     "id": "999cccaa-eaaa-0000-1111-123456789012",
//!     "name": "UpdateManagedAccount",
//!     "source": "aws.controltower",
//!     "detail": {}
//!   }
//! }
//! ```
//!
//! Unknown values are absent: `email`, `state`, `tags`, `joined`, `product`, `event`. If the tags
//! can't be read, `tags_unreadable` has the AWS error instead.

use std::collections::BTreeMap;

use groundcrew_sdk::{
    Account, Action, Candidate, Cause, Event, ProductStatus, ProvisionedProduct, Tags, Timestamp,
};
use regorus::Value;

/// The candidate as a document.
///
/// # Errors
/// Why it can't be expressed: a time out of range, or an event that is not JSON.
pub fn from_candidate(candidate: &Candidate) -> Result<Value, String> {
    let mut input = Fields::new([
        ("action", action(candidate.action)),
        ("cause", cause(candidate.cause)),
        ("account", account(&candidate.account)?),
    ]);
    input.time("now", "now_ns", candidate.now)?;
    if let Some(its) = &candidate.product {
        input.add("product", product(its));
    }
    if let Some(its) = &candidate.event {
        input.add("event", event(its)?);
    }
    Ok(input.into())
}

fn account(account: &Account) -> Result<Value, String> {
    let units = &account.organizational_units;
    let names: Vec<_> = units.iter().map(|unit| Value::from(unit.name.as_str())).collect();
    let units: Vec<_> = units
        .iter()
        .zip(&names)
        .map(|(unit, name)| Fields::new([("id", text(&unit.id)), ("name", name.clone())]).into())
        .collect();
    let mut fields = Fields::new([
        ("id", text(&account.id)),
        ("name", text(&account.name)),
        ("ou", Value::from(names)),
        ("organizational_units", Value::from(units)),
    ]);
    match &account.tags {
        Tags::Known(tags) => {
            let tags = tags.iter().map(|tag| (text(&tag.key), text(&tag.value)));
            fields.add("tags", Value::from(tags.collect::<BTreeMap<_, _>>()));
        }
        Tags::Unreadable(why) => fields.add("tags_unreadable", text(why)),
    }
    if !account.email.is_empty() {
        fields.add("email", text(&account.email));
    }
    if let Some(state) = account.state.name() {
        fields.add("state", text(state));
    }
    if let Some(joined) = account.joined {
        fields.time("joined", "joined_ns", joined)?;
    }
    Ok(fields.into())
}

fn product(product: &ProvisionedProduct) -> Value {
    Fields::new([
        ("id", text(&product.id)),
        ("name", text(&product.name)),
        ("status", status(product.status)),
        ("artifact", text(&product.artifact)),
        ("target_artifact", text(&product.target_artifact)),
    ])
    .into()
}

fn event(event: &Event) -> Result<Value, String> {
    let json = Value::from_json_str(&event.json)
        .map_err(|error| format!("the event {:?} is no JSON: {error}", event.id))?;
    let mut fields = Fields::new([
        ("id", text(&event.id)),
        ("name", text(&event.name)),
        ("source", text(&event.source)),
    ]);
    let detail = json.as_object().ok().and_then(|json| json.get(&"detail".into()));
    if let Some(detail) = detail {
        fields.add("detail", detail.clone());
    }
    Ok(fields.into())
}

fn action(action: Action) -> Value {
    Value::from(match action {
        Action::Onboard => "onboard",
        Action::Update => "update",
        Action::Vend => "vend",
    })
}

fn cause(cause: Cause) -> Value {
    Value::from(match cause {
        Cause::Artifact => "artifact",
        Cause::LandingZone => "landing-zone",
        Cause::OrganizationalUnitMoved => "organizational-unit-moved",
        Cause::Tainted => "tainted",
        Cause::Error => "error",
        Cause::Lifecycle => "lifecycle",
    })
}

/// The status as Service Catalog writes it.
fn status(status: ProductStatus) -> Value {
    Value::from(match status {
        ProductStatus::Available => "AVAILABLE",
        ProductStatus::UnderChange => "UNDER_CHANGE",
        ProductStatus::Tainted => "TAINTED",
        ProductStatus::Error => "ERROR",
        ProductStatus::PlanInProgress => "PLAN_IN_PROGRESS",
    })
}

fn text(text: &str) -> Value {
    Value::from(text)
}

/// An object under construction.
struct Fields(BTreeMap<Value, Value>);

impl Fields {
    fn new<const N: usize>(fields: [(&str, Value); N]) -> Self {
        Self(fields.into_iter().map(|(name, value)| (text(name), value)).collect())
    }

    fn add(&mut self, name: &str, value: Value) {
        self.0.insert(text(name), value);
    }

    /// A time, as text and in the nanoseconds that Rego's `time` functions take.
    fn time(&mut self, name: &str, name_ns: &str, seconds: Timestamp) -> Result<(), String> {
        let written = jiff::Timestamp::from_second(seconds)
            .map_err(|error| format!("`{name}` is {seconds}: {error}"))?;
        self.add(name, Value::from(written.to_string()));
        self.add(name_ns, Value::from(written.as_nanosecond()));
        Ok(())
    }
}

impl From<Fields> for Value {
    fn from(fields: Fields) -> Self {
        Self::from(fields.0)
    }
}
