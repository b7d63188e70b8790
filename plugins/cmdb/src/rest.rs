//! Any inventory with a REST API: search, create, update, by requests that the user describes.

use groundcrew_sdk::http::{Request, Response};
use groundcrew_sdk::{Failure, FailureKind, Notification, Problem};
use groundcrew_templates::{ExtraVariables, Templates};
use serde_json::{Map, Value};

use crate::compare::is_account_id;
use crate::settings::{Lookup, Method, Rest};

const LOOKUP_URL: &str = "/rest/look/url";
const CREATE_URL: &str = "/rest/create/url";
const CREATE_BODY: &str = "/rest/create/body";
const UPDATE_URL: &str = "/rest/update/url";
const UPDATE_BODY: &str = "/rest/update/body";

/// The name of the setting in messages.
const CREATE_REFERENCE: &str = "rest.create.reference";

/// The name of a found record's reference in the templates of `update`.
const REFERENCE: &str = "reference";

/// One inventory.
pub struct RestInventory {
    templates: Templates,
    settings: Rest,
    create_body: Value,
    update_body: Value,
}

impl RestInventory {
    pub(crate) fn new(mut settings: Rest) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut templates = Templates::new();
        if settings.look.is_none() && settings.create.method != Method::Put {
            let message = "a repeat would create a second record: write `rest.look`, by which one \
                           that is there is found, or create by `PUT`";
            problems.push(Problem::new("/rest/create/method", message));
        }
        if settings.look.is_none() && settings.update.is_some() {
            let message = "only a record that was found is updated: write `rest.look`";
            problems.push(Problem::new("/rest/update", message));
        }
        let pointers = [
            ("/rest/look/reference", settings.look.as_ref().map(|look| &look.reference)),
            ("/rest/look/account", settings.look.as_ref().and_then(|look| look.account.as_ref())),
            ("/rest/create/reference", settings.create.reference.as_ref()),
        ];
        for (at, pointer) in pointers {
            if pointer.is_some_and(|pointer| !pointer.starts_with('/')) {
                let message = "expected a JSON pointer, such as `/items/0/id`";
                problems.push(Problem::new(at, message));
            }
        }
        if let Some(look) = &settings.look {
            let wrong = templates.add_url(LOOKUP_URL, &look.url, &[]);
            if wrong.is_empty()
                && look.account.is_none()
                && !templates.path_names_account(LOOKUP_URL)
            {
                let message = "an inventory that ignores the query would answer another account's \
                               record, which would be overwritten: write `account`, a JSON pointer \
                               to the account id in the answer, such as `/items/0/account_id`, or \
                               put `{{ account.id }}` into the path of the URL";
                problems.push(Problem::new("/rest/look", message));
            }
            problems.extend(wrong);
        }
        let create_body = Value::Object(std::mem::take(&mut settings.create.body));
        let wrong = templates.add_url(CREATE_URL, &settings.create.url, &[]);
        if wrong.is_empty()
            && settings.create.method == Method::Put
            && !templates.url_names_account(CREATE_URL, &[])
        {
            let message = "all accounts would be put into one record: put `{{ account.id }}` into \
                           the URL";
            problems.push(Problem::new(CREATE_URL, message));
        }
        problems.extend(wrong);
        problems.extend(templates.add_json(CREATE_BODY, &create_body, &[]));
        let mut update_body = Value::Object(Map::new());
        if let Some(update) = &mut settings.update {
            update_body = Value::Object(std::mem::take(&mut update.body));
            let sample: ExtraVariables<'_> = &[(REFERENCE, "what-was-found")];
            let wrong = templates.add_url(UPDATE_URL, &update.url, sample);
            if wrong.is_empty() && !templates.url_names_account(UPDATE_URL, sample) {
                let message = "all accounts would change one record: put `{{ reference }}`, which is \
                               what was found, or `{{ account.id }}` into the URL";
                problems.push(Problem::new(UPDATE_URL, message));
            }
            problems.extend(wrong);
            problems.extend(templates.add_json(UPDATE_BODY, &update_body, sample));
        }
        match problems.is_empty() {
            true => Ok(Self { templates, settings, create_body, update_body }),
            false => Err(problems),
        }
    }

    /// Creates the account's record, or updates the existing one. Returns the reference of the
    /// inventory.
    pub(crate) fn write(&self, notification: &Notification) -> Result<String, Failure> {
        match self.find_record(notification)? {
            Some(reference) => {
                self.update(notification, &reference)?;
                Ok(reference)
            }
            None => self.create(notification),
        }
    }

    fn find_record(&self, notification: &Notification) -> Result<Option<String>, Failure> {
        let Some(look) = &self.settings.look else {
            return Ok(None);
        };
        let url = self.templates.render_url(LOOKUP_URL, notification, &[])?;
        let answer = Request::get(url).header("Accept", "application/json").send()?;
        match answer.status() {
            // The page of a proxy doesn't mean that there is no record.
            404 => match answer.reject_html() {
                Ok(_) => Ok(None),
                Err(failure) => Err(Failure { kind: FailureKind::Transient, ..failure }),
            },
            _ => found_reference(look, &answer.success()?, &notification.account.id),
        }
    }

    fn create(&self, notification: &Notification) -> Result<String, Failure> {
        let create = &self.settings.create;
        let url = self.templates.render_url(CREATE_URL, notification, &[])?;
        let body = self.templates.render_json(CREATE_BODY, &self.create_body, notification, &[])?;
        let request =
            Request::new(create.method.name(), url).header("Idempotency-Key", &notification.key);
        let answer = send(request, &body)?;
        let reference = match &create.reference {
            None => answer.header("Location").filter(|at| !at.trim().is_empty()).map(str::to_owned),
            Some(pointer) => match answer.value_at(pointer) {
                Ok(Some(reference)) => Some(reference),
                Ok(None) => {
                    let what = format!("without `{pointer}`: {}", answer.excerpt());
                    return Err(answer.unexpected(&what).for_setting(CREATE_REFERENCE));
                }
                Err(failure) => return Err(failure.for_setting(CREATE_REFERENCE)),
            },
        };
        match reference {
            Some(reference) => Ok(reference),
            None => self.templates.render_url(CREATE_URL, notification, &[]),
        }
    }

    fn update(&self, notification: &Notification, reference: &str) -> Result<(), Failure> {
        let Some(update) = &self.settings.update else {
            return Ok(());
        };
        let extra: ExtraVariables<'_> = &[(REFERENCE, reference)];
        let url = self.templates.render_url(UPDATE_URL, notification, extra)?;
        let body =
            self.templates.render_json(UPDATE_BODY, &self.update_body, notification, extra)?;
        send(Request::new(update.method.name(), url), &body)?;
        Ok(())
    }
}

fn send(request: Request, body: &Value) -> Result<Response, Failure> {
    request.header("Accept", "application/json").json(body)?.send()?.success()?.reject_html()
}

/// Checks that the response means that there is no record.
fn check_no_record(look: &Lookup, answer: &Response) -> Result<Option<String>, Failure> {
    if has_no_record(&answer.json()?, &look.reference) {
        return Ok(None);
    }
    let what = format!(
        "with neither a record nor an empty list at `{}`: none was created, since there may be one. It \
         answers {}",
        look.reference,
        answer.excerpt()
    );
    Err(answer.unexpected(&what).for_setting("rest.look.reference"))
}

/// Whether a response means that there is no record: the pointer leads beyond the end of a list, to
/// a `null`, or to an empty text.
fn has_no_record(answer: &Value, pointer: &str) -> bool {
    let mut at = answer;
    for part in pointer.split('/').skip(1) {
        let name = part.replace("~1", "/").replace("~0", "~");
        at = match at {
            Value::Array(items) => {
                match name.parse().ok().and_then(|index: usize| items.get(index)) {
                    Some(item) => item,
                    None => return true,
                }
            }
            Value::Object(fields) => match fields.get(&name) {
                Some(Value::Null) => return true,
                Some(field) => field,
                None => return false,
            },
            _ => return false,
        };
    }
    match at {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}

/// The reference of the account's record in the inventory, if the search found the record.
///
/// # Errors
/// When it can't be verified that the found record belongs to the account: it is not changed, and
/// no other is created.
fn found_reference(
    look: &Lookup,
    answer: &Response,
    account: &str,
) -> Result<Option<String>, Failure> {
    let reference = answer.value_at(&look.reference)?;
    let Some(pointer) = &look.account else {
        return match reference {
            None => check_no_record(look, answer),
            found => Ok(found),
        };
    };
    let invalid = |setting: &str, what: String| {
        let Failure { message, .. } = answer.unexpected(&what).for_setting(setting);
        Err(Failure::invalid("not-the-account", message))
    };
    let shown = answer.excerpt();
    match (reference, answer.value_at(pointer)?) {
        (None, None) => check_no_record(look, answer),
        (Some(reference), Some(found)) if is_account_id(&found, account) => Ok(Some(reference)),
        (Some(_), Some(found)) => invalid(
            "rest.look.account",
            format!(
                "with a record of {found} where {account} was looked for: it was not changed. \
                 Does the inventory know what `rest.look.url` asks for? It answers {shown}"
            ),
        ),
        (Some(_), None) => invalid(
            "rest.look.account",
            format!(
                "with a record that has no account id at `{pointer}`, so that it may be another \
                 account's than {account}: it was not changed. It answers {shown}"
            ),
        ),
        (None, Some(_)) => invalid(
            "rest.look.reference",
            format!(
                "with a record that has nothing at `{}`: a second one was not created. It answers \
                 {shown}",
                look.reference
            ),
        ),
    }
}
