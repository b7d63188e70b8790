//! ServiceNow's Table API: `/api/now/table/{table}`, records by their `sys_id`.
//!
//! ServiceNow ignores a part of a query that names a field which the table doesn't have, or which
//! the user may not read, and returns other records. It ignores such a field of a written record as
//! well. So every record is compared before it is changed, and after it was created. Records that
//! the user may not read are missing in a response, and counted in its `X-Total-Count`.

use groundcrew_sdk::http::{Request, Response};
use groundcrew_sdk::{Failure, Notification, Problem, log};
use groundcrew_templates::Templates;
use serde_json::{Map, Value};

use crate::compare::is_account_id;
use crate::settings::ServiceNow;

const FIELDS: &str = "/servicenow/fields";

/// One table of one instance.
pub struct TableApi {
    templates: Templates,
    /// `https://acme.service-now.com/api/now/table/cmdb_ci`.
    table: String,
    key_field: String,
    fields: Value,
}

impl TableApi {
    pub(crate) fn new(settings: ServiceNow) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut problem = |at: &str, message: String| problems.push(Problem::new(at, message));
        let instance = settings.instance.trim_end_matches('/');
        let host = instance.strip_prefix("https://").or_else(|| instance.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(['/', '?', '#', '@', ' '])) {
            let message = format!(
                "{instance:?} is no instance: expected a URL such as https://acme.service-now.com"
            );
            problem("/servicenow/instance", message);
        }
        for (at, name) in
            [("/servicenow/table", &settings.table), ("/servicenow/key_field", &settings.key_field)]
        {
            if !is_name(name) {
                let message = format!("{name:?} is no name: expected letters, digits and `_`");
                problem(at, message);
            }
        }
        if settings.fields.contains_key(&settings.key_field) {
            let message = format!(
                "`{}` is the key_field, which is always the account id: leave it out",
                settings.key_field
            );
            problem(&format!("{FIELDS}/{}", settings.key_field), message);
        }
        for name in settings.fields.keys().filter(|name| !is_name(name)) {
            problem(FIELDS, format!("{name:?} is no field: expected letters, digits and `_`"));
        }
        let fields = Value::Object(settings.fields);
        let mut templates = Templates::new();
        problems.extend(templates.add_json(FIELDS, &fields, &[]));
        if !problems.is_empty() {
            return Err(problems);
        }
        let table = format!("{instance}/api/now/table/{}", settings.table);
        Ok(Self { templates, table, key_field: settings.key_field, fields })
    }

    /// Creates the account's record, or updates the existing one. Returns its `sys_id`.
    pub(crate) fn write(&self, notification: &Notification) -> Result<String, Failure> {
        let account = notification.account.id.as_str();
        let mut record = self.templates.render_json(FIELDS, &self.fields, notification, &[])?;
        if let Some(sys_id) = self.find_record(account)? {
            let request = Request::patch(format!("{}/{sys_id}", self.table)).json(&record)?;
            let answer = send(request)?;
            if let Some(changed) = written_record(&answer)? {
                if changed.get("sys_id").is_some_and(|id| !values(id).any(|id| id == sys_id)) {
                    let what = format!("with another record than {sys_id}: {}", answer.excerpt());
                    return Err(answer.unexpected(&what));
                }
                self.warn_dropped_fields(&record, &changed);
            }
            return Ok(sys_id);
        }
        record[&self.key_field] = account.into();
        let answer = send(Request::post(&self.table).json(&record)?)?;
        let created = written_record(&answer)?.unwrap_or_default();
        let sys_id = sys_id(&answer, &created)?;
        if let Err(problem) = self.check_record(&created, account) {
            return Err(Failure {
                effect_possible: true,
                ..self.wrong_account(&format!(
                    "the record {sys_id} was created, but {problem}. Remove it before the \
                     notification is retried"
                ))
            });
        }
        self.warn_dropped_fields(&record, &created);
        Ok(sys_id)
    }

    /// The `sys_id` of the account's record, if it has one.
    fn find_record(&self, account: &str) -> Result<Option<String>, Failure> {
        // Two, to find out whether there are several. An account id needs no encoding. With `all`,
        // a reference field contains its display value beside the `sys_id`.
        let Self { table, key_field, .. } = self;
        let url = format!(
            "{table}?sysparm_query={key_field}={account}&sysparm_fields=sys_id,{key_field}\
             &sysparm_display_value=all&sysparm_limit=2"
        );
        let answer = send(Request::get(url))?;
        let Some(Value::Array(found)) = answer.json::<Value>()?.get_mut("result").map(Value::take)
        else {
            let what =
                format!("without a list `result`: is this the Table API? {}", answer.excerpt());
            return Err(answer.unexpected(&what));
        };
        let found: Vec<_> = found.into_iter().map(into_fields).collect();
        for record in &found {
            self.check_record(record, account).map_err(|problem| {
                self.wrong_account(&format!(
                    "what was found by {key_field}={account} was left alone: {problem}"
                ))
            })?;
        }
        match found.as_slice() {
            [] => {
                match answer.header("X-Total-Count").and_then(|count| count.trim().parse().ok()) {
                    // It also counts records that an access rule hides.
                    Some(count @ 1_usize..) => Err(Failure::invalid(
                        "hidden-records",
                        format!(
                            "{table} has {count} records whose {key_field} is {account}, and shows the \
                         user none: let the user read them. No other was created"
                        ),
                    )),
                    _ => Ok(None),
                }
            }
            [record] => sys_id(&answer, record).map(Some),
            _ => Err(Failure::permanent(
                "several-records",
                format!(
                    "{table} has several records whose {key_field} is {account}: it is unclear \
                     which one is the account's; leave one"
                ),
            )),
        }
    }

    /// # Errors
    /// When it can't be verified that the record belongs to the account.
    fn check_record(&self, record: &Map<String, Value>, account: &str) -> Result<(), String> {
        let name = &self.key_field;
        let value = record.get(name).unwrap_or(&Value::Null);
        let mut known = values(value).filter(|value| !value.trim().is_empty()).peekable();
        match known.peek().cloned() {
            None => Err(format!("ServiceNow shows no `{name}` of it")),
            Some(_) if known.any(|value| is_account_id(&value, account)) => Ok(()),
            Some(other) => Err(format!("its `{name}` is {other:?}, not {account}")),
        }
    }

    fn wrong_account(&self, what: &str) -> Failure {
        let Self { table, key_field, .. } = self;
        Failure::invalid(
            "not-the-account",
            format!(
                "{table}: {what}. ServiceNow ignores a field that the table doesn't have, or that the \
                 user may not read: is `{key_field}` the table's field with the account id \
                 (`servicenow.key_field`), and may the user read it?"
            ),
        )
    }

    /// ServiceNow silently ignores fields that it doesn't know.
    fn warn_dropped_fields(&self, written: &Value, record: &Map<String, Value>) {
        let names = written.as_object().into_iter().flat_map(Map::keys);
        let dropped: Vec<_> = names.filter(|name| !record.contains_key(*name)).collect();
        if !dropped.is_empty() && !record.is_empty() {
            log::warn(&format!(
                "{}: ServiceNow's answer lacks {dropped:?}: the table has no such field, or the user \
                 may not read it",
                self.table
            ));
        }
    }
}

fn send(request: Request) -> Result<Response, Failure> {
    request.header("Accept", "application/json").send()?.success()
}

/// The record in the response to a write, unless the response is empty.
fn written_record(answer: &Response) -> Result<Option<Map<String, Value>>, Failure> {
    if answer.bytes().trim_ascii().is_empty() {
        return Ok(None);
    }
    let mut body: Value = answer.json()?;
    Ok(body.get_mut("result").map(Value::take).map(into_fields))
}

fn into_fields(record: Value) -> Map<String, Value> {
    match record {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// The values of a field. It is a text, or has both a value and a display value: for a reference,
/// and for every field if display values are requested.
fn values(field: &Value) -> impl Iterator<Item = String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let parts = ["value", "display_value"].into_iter().filter_map(|part| field.get(part));
    std::iter::once(field).chain(parts).filter_map(text)
}

/// The record's id, which becomes a part of a URL.
fn sys_id(answer: &Response, record: &Map<String, Value>) -> Result<String, Failure> {
    let fit = |id: &String| {
        (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    record.get("sys_id").and_then(|id| values(id).next()).filter(fit).ok_or_else(|| {
        answer.unexpected(&format!("without the `sys_id` of the record: {}", answer.excerpt()))
    })
}

/// Whether the text is a valid name of a table or field in ServiceNow.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
