//! ServiceNow's Table API: `/api/now/table/{table}`, records by their `sys_id`.

use groundcrew_sdk::http::{Request, Response};
use groundcrew_sdk::{Failure, Notification, Problem};
use groundcrew_templates::Templates;
use serde_json::Value;

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
        problems.extend(templates.json(FIELDS, &fields, &[]));
        if !problems.is_empty() {
            return Err(problems);
        }
        let table = format!("{instance}/api/now/table/{}", settings.table);
        Ok(Self { templates, table, key_field: settings.key_field, fields })
    }

    /// Creates the account's record, or updates the one that is there. Answers its `sys_id`.
    pub(crate) fn write(&self, notification: &Notification) -> Result<String, Failure> {
        let mut record = self.templates.render_json(FIELDS, &self.fields, notification, &[])?;
        if let Some(sys_id) = self.look(&notification.account.id)? {
            ask(Request::patch(format!("{}/{sys_id}", self.table)).json(&record)?)?;
            return Ok(sys_id);
        }
        record[&self.key_field] = notification.account.id.as_str().into();
        let answer = ask(Request::post(&self.table).json(&record)?)?;
        sys_id(&answer, answer.at("/result/sys_id")?)
    }

    /// The `sys_id` of the account's record, if it has one.
    fn look(&self, account: &str) -> Result<Option<String>, Failure> {
        // Two, to see whether there are several. An account id has nothing to be encoded.
        let url = format!(
            "{}?sysparm_query={}={account}&sysparm_fields=sys_id&sysparm_limit=2",
            self.table, self.key_field
        );
        let answer = ask(Request::get(url))?;
        if answer.at("/result/1/sys_id")?.is_some() {
            return Err(Failure::permanent(
                "several-records",
                format!(
                    "{} has several records whose {} is {account}: which is the account's can't \
                     be told; leave one",
                    self.table, self.key_field
                ),
            ));
        }
        match answer.json::<Value>()?.pointer("/result") {
            Some(Value::Array(found)) if found.is_empty() => Ok(None),
            Some(Value::Array(_)) => sys_id(&answer, answer.at("/result/0/sys_id")?).map(Some),
            _ => Err(answer.unexpected("without a list `result`: is this the Table API?")),
        }
    }
}

fn ask(request: Request) -> Result<Response, Failure> {
    request.header("Accept", "application/json").send()?.success()
}

/// A record's id, which will be part of a URL.
fn sys_id(answer: &Response, found: Option<String>) -> Result<String, Failure> {
    let fit = |id: &String| id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    found.filter(fit).ok_or_else(|| answer.unexpected("without the `sys_id` of the record"))
}

/// The name of a table or field, as ServiceNow has them.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
