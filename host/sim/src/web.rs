//! The other systems that notifiers tell over HTTP: ServiceNow's Table API, and any REST service
//! that keeps records by their URLs.
//!
//! A path with `/api/now/table/` is a table: records are looked for by `sysparm_query`, created
//! by POST and changed by PATCH, as in ServiceNow's "Table API" reference. Elsewhere PUT writes
//! the record of its URL, GET reads it or answers 404, PATCH changes it, and POST makes a new one
//! unless it repeats an `Idempotency-Key`. No header field with a secret is looked at.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Where a table begins in a URL.
const TABLE: &str = "/api/now/table/";

/// A request as such a system sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebRequest {
    /// For example `POST`.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// The field of that name.
    pub idempotency_key: Option<String>,
    /// Its body.
    pub body: Vec<u8>,
}

/// What such a system answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebResponse {
    /// The HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: String,
}

/// A record that such a system keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct WebRecord {
    /// Where it is.
    pub url: String,
    /// What was written last.
    pub body: Value,
    /// How often it was written.
    pub writes: usize,
}

/// All these systems.
#[derive(Debug, Default)]
pub(crate) struct Web {
    records: Vec<WebRecord>,
    /// Records by the idempotency key that made them.
    keys: BTreeMap<String, usize>,
}

impl Web {
    pub(crate) fn records(&self) -> Vec<WebRecord> {
        self.records.clone()
    }

    /// Answers a request.
    pub(crate) fn handle(&mut self, request: &WebRequest) -> WebResponse {
        let (url, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        let text = || Value::from(String::from_utf8_lossy(&request.body).into_owned());
        let body = serde_json::from_slice(&request.body).unwrap_or_else(|_| text());
        match (request.method.as_str(), url.split_once(TABLE)) {
            ("GET", Some((_, path))) if !path.contains('/') => self.search(url, query),
            ("POST", Some((_, path))) if !path.contains('/') => self.insert(url, body),
            (method, table) => self.rest(method, url, body, request, table.is_some()),
        }
    }

    fn search(&self, table: &str, query: &str) -> WebResponse {
        let wanted = form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "sysparm_query")
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default();
        let conditions: Vec<_> = wanted.split('^').filter_map(|one| one.split_once('=')).collect();
        let is_one = |record: &&WebRecord| {
            let within = record.url.strip_prefix(table).is_some_and(|rest| rest.starts_with('/'));
            within && conditions.iter().all(|(field, value)| record.body[*field] == *value)
        };
        let found: Vec<&Value> =
            self.records.iter().filter(is_one).map(|record| &record.body).collect();
        answer(200, json!({ "result": found }))
    }

    fn insert(&mut self, table: &str, body: Value) -> WebResponse {
        let sys_id = format!("{:032x}", self.records.len() + 1);
        let mut fields = fields(body);
        fields.insert("sys_id".to_owned(), sys_id.as_str().into());
        let body = Value::Object(fields);
        let url = format!("{table}/{sys_id}");
        self.records.push(WebRecord { url, body: body.clone(), writes: 1 });
        answer(201, json!({ "result": body }))
    }

    fn rest(
        &mut self,
        method: &str,
        url: &str,
        body: Value,
        request: &WebRequest,
        in_table: bool,
    ) -> WebResponse {
        let known = self.records.iter().position(|record| record.url == url);
        let shown = |record: &WebRecord| match in_table {
            true => json!({ "result": record.body }),
            false => record.body.clone(),
        };
        match (method, known) {
            ("GET" | "HEAD", Some(index)) => answer(200, shown(&self.records[index])),
            ("PUT", Some(index)) => {
                let record = &mut self.records[index];
                record.body = body;
                record.writes += 1;
                answer(200, shown(record))
            }
            ("PUT", None) => {
                let record = WebRecord { url: url.to_owned(), body, writes: 1 };
                let created = answer(201, shown(&record));
                self.records.push(record);
                created
            }
            ("PATCH", Some(index)) => {
                let record = &mut self.records[index];
                let mut merged = fields(record.body.take());
                merged.extend(fields(body));
                record.body = Value::Object(merged);
                record.writes += 1;
                answer(200, shown(record))
            }
            ("POST", _) => self.post(url, body, request),
            ("DELETE", Some(index)) => {
                self.records[index].body = Value::Null;
                answer(200, Value::Null)
            }
            _ => answer(404, json!({ "error": { "message": "No Record found" } })),
        }
    }

    /// Makes a new record, and finds the one that the same key has made.
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

fn answer(status: u16, body: Value) -> WebResponse {
    WebResponse {
        status,
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.to_string(),
    }
}

fn fields(body: Value) -> Map<String, Value> {
    match body {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_table_has_records_by_their_fields() {
        let mut web = Web::default();
        let table = "https://acme.service-now.com/api/now/table/cmdb_ci";
        let look = format!("{table}?sysparm_query=account_id%3D1&sysparm_limit=2");
        assert_eq!(ask(&mut web, "GET", &look, Value::Null), (200, json!({ "result": [] })));
        let (status, made) = ask(&mut web, "POST", table, json!({ "account_id": "1" }));
        let sys_id = made["result"]["sys_id"].as_str().unwrap().to_owned();
        assert_eq!((status, sys_id.len()), (201, 32));
        let (_, found) = ask(&mut web, "GET", &look, Value::Null);
        assert_eq!(found["result"][0]["sys_id"], sys_id.as_str());
        let place = format!("{table}/{sys_id}");
        let (status, changed) = ask(&mut web, "PATCH", &place, json!({ "name": "n" }));
        assert_eq!((status, &changed["result"]["account_id"]), (200, &json!("1")));
        assert_eq!(web.records().len(), 1);
        assert_eq!(web.records()[0].writes, 2);
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
