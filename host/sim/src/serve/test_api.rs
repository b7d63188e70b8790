//! The requests of tests to the server, besides AWS's own calls.

use groundcrew_core::account::AccountId;
use groundcrew_core::ports::Clock;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::faults::{Fault, Rejection};
use crate::model::{self, Model};
use crate::protocol::Response;
use crate::services::control_tower::LandingZone;
use crate::shared_model::SharedModel;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InjectedFault {
    operation: String,
    #[serde(rename = "fares")]
    fault: String,
}

/// The faults that a test can inject, by their names in its request.
const FAULTS: [(&str, Fault); 7] = [
    ("reply-lost", Fault::ResponseLost),
    ("not-connected", Fault::ConnectionFailed),
    ("throttled", Fault::Rejected(Rejection::Throttled)),
    ("denied", Fault::Rejected(Rejection::Denied)),
    ("hung", Fault::Hung { takes_effect: false }),
    ("garbled", Fault::MalformedResponse { status: 200, takes_effect: false }),
    ("proxy-refuses", Fault::MalformedResponse { status: 407, takes_effect: false }),
];

impl InjectedFault {
    fn parse(body: &[u8]) -> Result<(String, Fault), String> {
        let Self { operation, fault } =
            serde_json::from_slice(body).map_err(|error| error.to_string())?;
        match FAULTS.iter().find(|(name, _)| *name == fault) {
            Some((_, fault)) => Ok((operation, *fault)),
            None => {
                let names = FAULTS.map(|(name, _)| name).join(", ");
                Err(format!("`{fault}` is not one of the faults: {names}"))
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DenyRequest {
    operation: String,
}

/// An account, and the path of the OU that it is moved into.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MoveRequest {
    account: AccountId,
    ou: Vec<String>,
}

/// The settings to change. The others keep their values.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateChange {
    landing_zone: Option<LandingZone>,
    unregistered_ous: Option<Vec<String>>,
    /// Ids, and the names of their portfolios.
    launch_paths: Option<Vec<(String, String)>>,
    support_plan: Option<bool>,
    identity_center: Option<bool>,
}

impl StateChange {
    fn set(self, model: &mut Model) {
        if let Some(zone) = self.landing_zone {
            model.set_landing_zone(Some(zone));
        }
        if let Some(units) = self.unregistered_ous {
            model.set_unregistered_ous(units);
        }
        if let Some(paths) = self.launch_paths {
            let paths: Vec<_> =
                paths.iter().map(|(id, name)| (id.as_str(), name.as_str())).collect();
            model.set_launch_paths(&paths);
        }
        if let Some(plan) = self.support_plan {
            model.set_support_plan(plan);
        }
        if let Some(enabled) = self.identity_center {
            model.set_identity_center(enabled);
        }
    }
}

/// Returns the response to a test's request, by its name.
pub(crate) fn answer(shared: &SharedModel, method: &Method, name: &str, body: &[u8]) -> Response {
    let now = shared.clock.now();
    let result = match (method.as_str(), name) {
        ("GET", "offered") => Ok(json!(model::supported_operations())),
        ("GET", "calls") => Ok(shared.with(|model| json!(model.calls()))),
        ("GET", "queues-asked") => Ok(shared.with(|model| json!(model.queues_asked()))),
        ("GET", "operations") => Ok(shared.with(|model| json!(model.operations(now)))),
        ("GET", "alerts") => Ok(shared.with(|model| json!(model.alerts()))),
        ("GET", "cases") => Ok(shared.with(|model| json!(model.cases()))),
        ("POST", "release-artifact") => {
            let artifact = shared.with(|model| model.release_artifact(now));
            Ok(json!({ "artifact": artifact }))
        }
        ("POST", "event") => match std::str::from_utf8(body) {
            Ok(event) => {
                shared.with(|model| model.inject_event(now, event.to_owned()));
                Ok(json!({}))
            }
            Err(error) => Err((400, format!("the event must be UTF-8: {error}"))),
        },
        ("POST", "next-call") => match InjectedFault::parse(body) {
            Ok((operation, fault)) => {
                shared.with(|model| model.inject_fault(&operation, fault));
                Ok(json!({}))
            }
            Err(error) => Err((400, error)),
        },
        ("POST", "deny") => match serde_json::from_slice::<DenyRequest>(body) {
            Ok(denied) => {
                shared.with(|model| model.deny(&denied.operation));
                Ok(json!({}))
            }
            Err(error) => Err((400, error.to_string())),
        },
        ("POST", "auto-enroll") => match serde_json::from_slice::<MoveRequest>(body) {
            Ok(MoveRequest { account, ou }) => {
                let path: Vec<_> = ou.iter().map(String::as_str).collect();
                let done = shared.with(|model| model.auto_enroll(now, &account, &path));
                Ok(json!({ "enrolled": done }))
            }
            Err(error) => Err((400, error.to_string())),
        },
        ("POST", "state") => match serde_json::from_slice::<StateChange>(body) {
            Ok(state) => {
                shared.with(|model| state.set(model));
                Ok(json!({}))
            }
            Err(error) => Err((400, error.to_string())),
        },
        _ => Err((404, format!("the simulated AWS has no {method} /_groundcrew/{name}"))),
    };
    let (status, body): (u16, Value) = match result {
        Ok(answer) => (200, answer),
        Err((status, message)) => (status, json!({ "error": message })),
    };
    Response {
        status,
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.to_string().into_bytes(),
    }
}
