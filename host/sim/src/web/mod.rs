//! The systems other than AWS that notifiers call over HTTP: ServiceNow's Table API, Slack,
//! Microsoft Teams and GitHub, and any REST service that keeps records by their URLs.
//!
//! A path with `/api/now/table/` is a table of ServiceNow (`service_now.rs`), and the hosts of
//! Slack, Teams and GitHub take messages (`chat_webhooks.rs`). At any other URL PUT writes the
//! record of the URL, GET reads it or returns 404, PATCH changes it, and POST creates a record
//! unless it repeats an `Idempotency-Key`. No header field with a secret is read.

mod chat_webhooks;
mod service_now;
mod types;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use service_now::ServiceNow;
pub use types::{WebRecord, WebRequest, WebResponse};
use types::{answer, fields};

/// All these systems.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Web {
    records: Vec<WebRecord>,
    /// Records by the idempotency key with which they were created.
    keys: BTreeMap<String, usize>,
    /// The settings of ServiceNow.
    pub(crate) service_now: ServiceNow,
}

impl Web {
    pub(crate) fn records(&self) -> Vec<WebRecord> {
        self.records.clone()
    }

    /// Returns the response to a request.
    pub(crate) fn handle(&mut self, request: &WebRequest) -> WebResponse {
        let (url, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        let text = || Value::from(String::from_utf8_lossy(&request.body).into_owned());
        let body = serde_json::from_slice(&request.body).unwrap_or_else(|_| text());
        let method = request.method.as_str();
        let place = (url, query);
        match self.service_now.handle(&mut self.records, method, place, &body) {
            Some(answer) => answer,
            None => match chat_webhooks::handle(method, url, &body) {
                Some((answer, taken)) => {
                    if taken {
                        let url = format!("{url}/{}", self.records.len() + 1);
                        self.records.push(WebRecord { url, body, writes: 1 });
                    }
                    answer
                }
                None => self.rest(method, url, body, request),
            },
        }
    }

    fn rest(&mut self, method: &str, url: &str, body: Value, request: &WebRequest) -> WebResponse {
        let known = self.records.iter().position(|record| record.url == url);
        match (method, known) {
            ("GET" | "HEAD", Some(index)) => answer(200, self.records[index].body.clone()),
            ("PUT", Some(index)) => {
                let record = &mut self.records[index];
                record.body = body;
                record.writes += 1;
                answer(200, record.body.clone())
            }
            ("PUT", None) => {
                let created = answer(201, body.clone());
                self.records.push(WebRecord { url: url.to_owned(), body, writes: 1 });
                created
            }
            ("PATCH", Some(index)) => {
                let record = &mut self.records[index];
                let mut merged = fields(record.body.take());
                merged.extend(fields(body));
                record.body = Value::Object(merged);
                record.writes += 1;
                answer(200, record.body.clone())
            }
            ("POST", _) => self.post(url, body, request),
            ("DELETE", Some(index)) => {
                self.records[index].body = Value::Null;
                answer(200, Value::Null)
            }
            _ => answer(404, json!({ "error": { "message": "No Record found" } })),
        }
    }

    /// Creates a record, or finds the one with the same idempotency key.
    fn post(&mut self, url: &str, body: Value, request: &WebRequest) -> WebResponse {
        let key = request.idempotency_key.as_ref().map(|key| format!("{url} {key}"));
        let known = key.as_ref().and_then(|key| self.keys.get(key)).copied();
        let status = if known.is_some() { 200 } else { 201 };
        let index = known.unwrap_or_else(|| {
            let place = format!("{url}/{}", self.records.len() + 1);
            self.records.push(WebRecord { url: place, body, writes: 0 });
            self.records.len() - 1
        });
        if let Some(key) = key {
            self.keys.insert(key, index);
        }
        let record = &mut self.records[index];
        record.writes += 1;
        let id = (index + 1).to_string();
        WebResponse {
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("location", record.url.clone()),
            ],
            ..answer(status, json!({ "ok": true, "id": id, "ts": id }))
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn ask(web: &mut Web, method: &str, url: &str, body: Value) -> (u16, Value) {
        let request = WebRequest {
            method: method.to_owned(),
            url: url.to_owned(),
            idempotency_key: Some("k".to_owned()),
            body: body.to_string().into_bytes(),
        };
        let answer = web.handle(&request);
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    const TABLE: &str = "https://acme.service-now.com/api/now/table/cmdb_ci_cloud_service_account";

    #[test]
    fn a_table_has_records_by_their_fields() {
        let mut web = Web::default();
        let look = format!("{TABLE}?sysparm_query=account_id%3D1&sysparm_limit=2");
        assert_eq!(ask(&mut web, "GET", &look, Value::Null), (200, json!({ "result": [] })));
        let (status, made) = ask(&mut web, "POST", TABLE, json!({ "account_id": "1" }));
        let sys_id = made["result"]["sys_id"].as_str().unwrap().to_owned();
        assert_eq!((status, sys_id.len()), (201, 32));
        let (_, found) = ask(&mut web, "GET", &look, Value::Null);
        assert_eq!(found["result"][0]["sys_id"], sys_id.as_str());
        let place = format!("{TABLE}/{sys_id}");
        let (status, changed) = ask(&mut web, "PATCH", &place, json!({ "name": "n" }));
        assert_eq!((status, &changed["result"]["account_id"]), (200, &json!("1")));
        assert_eq!(web.records().len(), 1);
        assert_eq!(web.records()[0].writes, 2);
    }

    fn found(web: &mut Web, query: &str) -> Vec<Value> {
        let (status, found) = ask(web, "GET", &format!("{TABLE}?{query}"), Value::Null);
        assert_eq!(status, 200);
        found["result"].as_array().unwrap().clone()
    }

    /// A table with the accounts 1 and 2, written with a field that the table doesn't have.
    fn two_accounts() -> Web {
        let mut web = Web::default();
        for id in ["1", "2"] {
            let record = json!({ "account_id": id, "accountid": id, "u_owner": "payments" });
            let (_, made) = ask(&mut web, "POST", TABLE, record);
            assert!(made["result"].get("accountid").is_none(), "{made}");
            assert_eq!(made["result"]["u_owner"], "payments");
        }
        web
    }

    /// A part of a query with an unknown field is dropped. If ServiceNow is set so, the query finds
    /// nothing.
    #[test]
    fn a_field_that_the_table_does_not_have() {
        let mut web = two_accounts();
        assert_eq!(found(&mut web, "sysparm_query=account_id=2").len(), 1);
        assert_eq!(found(&mut web, "sysparm_query=accountid=2").len(), 2);
        assert_eq!(found(&mut web, "sysparm_query=accountid=2&sysparm_limit=1").len(), 1);
        assert_eq!(found(&mut web, "sysparm_query=accountid=9^account_id=2").len(), 1);
        let shown = found(&mut web, "sysparm_query=account_id=2&sysparm_fields=sys_id,accountid");
        assert_eq!(shown[0].as_object().unwrap().len(), 1, "{shown:?}");
        web.service_now.invalid_query_returns_no_rows = true;
        assert_eq!(found(&mut web, "sysparm_query=accountid=2").len(), 0);
        assert_eq!(found(&mut web, "sysparm_query=account_id=2").len(), 1);
        let place = format!("{TABLE}/{:032x}", 1);
        let (status, changed) = ask(&mut web, "PATCH", &place, json!({ "accountid": "9" }));
        assert_eq!((status, changed["result"].get("accountid")), (200, None));
    }

    #[test]
    fn what_is_hidden_is_empty() {
        let mut web = two_accounts();
        web.service_now.hidden.insert("account_id".to_owned());
        let shown = found(&mut web, "sysparm_query=account_id=2&sysparm_display_value=all");
        assert_eq!(shown[0]["account_id"], json!({ "display_value": "", "value": "" }));
        assert_eq!(shown[0]["u_owner"]["value"], "payments");
    }

    #[test]
    fn an_instance_that_hibernates_answers_with_a_page() {
        let mut web = two_accounts();
        web.service_now.hibernating = true;
        for method in ["GET", "POST"] {
            let answer = web.handle(&WebRequest {
                method: method.to_owned(),
                url: TABLE.to_owned(),
                idempotency_key: None,
                body: b"{}".to_vec(),
            });
            assert_eq!(answer.status, 200);
            assert!(answer.body.contains("<title>Hibernating Instance</title>"));
        }
        assert_eq!(web.records().len(), 2);
    }

    const SLACK: &str = "https://hooks.slack.com/services/T0/B0/xyz";
    const TEAMS: &str = "https://acme.webhook.office.com/webhookb2/1";
    const GITHUB: &str = "https://api.github.com/repos/acme/baseline/dispatches";

    /// The responses of the endpoints for messages, and how many messages two requests create.
    #[rstest]
    #[case::slack(SLACK, json!({ "text": "a" }), 200, "ok", 2)]
    #[case::slack_by_a_secret(
        "https://hooks.slack.com/services/$(slack)", json!({ "text": "a" }), 200, "ok", 2
    )]
    #[case::slack_gone("https://hooks.slack.com/services/T0", json!({}), 404, "no_service", 0)]
    #[case::slack_text(SLACK, json!("a"), 400, "invalid_payload", 0)]
    #[case::slack_empty(SLACK, json!({}), 400, "no_text", 0)]
    #[case::slack_api(
        "https://slack.com/api/chat.postMessage", json!({ "text": "a" }), 200,
        r#"{"error":"channel_not_found","ok":false}"#, 0
    )]
    #[case::teams(TEAMS, json!({ "text": "a" }), 200, "1", 2)]
    #[case::teams_too_long(
        TEAMS, json!({ "text": "a".repeat(30_000) }), 200,
        "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error \
         413 with ContextId tcid=0.", 0
    )]
    #[case::github(GITHUB, json!({ "event_type": "a" }), 204, "", 2)]
    fn endpoints_for_messages(
        #[case] url: &str,
        #[case] body: Value,
        #[case] status: u16,
        #[case] text: &str,
        #[case] messages: usize,
    ) {
        let mut web = Web::default();
        for _ in 0..2 {
            let answer = web.handle(&WebRequest {
                method: "POST".to_owned(),
                url: url.to_owned(),
                idempotency_key: Some("k".to_owned()),
                body: body.to_string().into_bytes(),
            });
            assert_eq!((answer.status, answer.body.as_str()), (status, text));
        }
        assert_eq!(web.records().len(), messages);
    }

    #[test]
    fn records_are_written_by_their_url() {
        let mut web = Web::default();
        let url = "https://billing.example.com/v1/accounts/1";
        assert_eq!(ask(&mut web, "GET", url, Value::Null).0, 404);
        assert_eq!(ask(&mut web, "PUT", url, json!({ "a": 1 })).0, 201);
        assert_eq!(ask(&mut web, "PUT", url, json!({ "a": 2 })), (200, json!({ "a": 2 })));
        assert_eq!(ask(&mut web, "GET", url, Value::Null), (200, json!({ "a": 2 })));
        assert_eq!(web.records().len(), 1);
    }

    #[test]
    fn a_repeated_key_makes_nothing_new() {
        let mut web = Web::default();
        let url = "https://hooks.example.com/1";
        assert_eq!(ask(&mut web, "POST", url, json!({})).0, 201);
        assert_eq!(ask(&mut web, "POST", url, json!({})).0, 200);
        assert_eq!((web.records().len(), web.records()[0].writes), (1, 2));
    }
}
