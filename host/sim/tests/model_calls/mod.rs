//! Calls the model without an SDK.
#![allow(dead_code)] // Each test crate uses a part of it.

use std::time::Duration;

use groundcrew_sim::model::{Model, ModelResponse};
use groundcrew_sim::protocol::Request;
use groundcrew_sim::{FaultLevel, random_fleet};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// A model and its time.
pub struct ModelCalls {
    pub model: Model,
    pub now: Timestamp,
    /// The prefix of `X-Amz-Target`.
    prefix: &'static str,
}

/// The code of an error, and the whole response.
#[derive(Debug)]
pub struct ErrorResponse {
    pub code: String,
    pub body: Value,
}

impl ModelCalls {
    pub fn to(prefix: &'static str) -> Self {
        let now = "2026-09-01T06:00:00Z".parse().unwrap();
        let model = Model::new(1, now, random_fleet(1, 0, 1), FaultLevel::None, 5);
        Self { model, now, prefix }
    }

    pub fn call(&mut self, operation: &str, members: &Value) -> Result<Value, ErrorResponse> {
        let target = format!("{}.{operation}", self.prefix);
        let body = members.to_string();
        let request = Request { path: "/", target: Some(&target), body: body.as_bytes() };
        let ModelResponse::Ready(response) = self.model.handle(self.now, &request) else {
            panic!("{operation} waits")
        };
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        if response.status == 200 {
            return Ok(body);
        }
        let code = body["__type"].as_str().unwrap().rsplit('#').next().unwrap().to_owned();
        Err(ErrorResponse { code, body })
    }

    /// The response of a call that must succeed.
    pub fn ok(&mut self, operation: &str, members: &Value) -> Value {
        self.call(operation, members).unwrap_or_else(|refused| panic!("{operation}: {refused:?}"))
    }

    /// The error code of a call that must fail.
    pub fn code(&mut self, operation: &str, members: &Value) -> String {
        match self.call(operation, members) {
            Ok(answer) => panic!("{operation}: {answer}"),
            Err(refused) => refused.code,
        }
    }

    pub fn wait(&mut self, time: Duration) {
        self.now += SignedDuration::try_from(time).unwrap();
    }
}
