//! Any inventory that speaks REST: look, create, update, by requests that the user describes.

use groundcrew_sdk::http::{Request, Response};
use groundcrew_sdk::{Failure, Notification, Problem};
use groundcrew_templates::{Extra, Templates};
use serde_json::{Map, Value};

use crate::settings::{Method, Rest};

const LOOK_URL: &str = "/rest/look/url";
const CREATE_URL: &str = "/rest/create/url";
const CREATE_BODY: &str = "/rest/create/body";
const UPDATE_URL: &str = "/rest/update/url";
const UPDATE_BODY: &str = "/rest/update/body";

/// What a found record is called in the templates of `update`.
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
            ("/rest/create/reference", settings.create.reference.as_ref()),
        ];
        for (at, pointer) in pointers {
            if pointer.is_some_and(|pointer| !pointer.starts_with('/')) {
                let message = "expected a JSON pointer, such as `/items/0/id`";
                problems.push(Problem::new(at, message));
            }
        }
        if let Some(look) = &settings.look {
            problems.extend(templates.url(LOOK_URL, &look.url, &[]));
        }
        let create_body = Value::Object(std::mem::take(&mut settings.create.body));
        problems.extend(templates.url(CREATE_URL, &settings.create.url, &[]));
        problems.extend(templates.json(CREATE_BODY, &create_body, &[]));
        let mut update_body = Value::Object(Map::new());
        if let Some(update) = &mut settings.update {
            update_body = Value::Object(std::mem::take(&mut update.body));
            let sample: Extra<'_> = &[(REFERENCE, "42")];
            problems.extend(templates.url(UPDATE_URL, &update.url, sample));
            problems.extend(templates.json(UPDATE_BODY, &update_body, sample));
        }
        match problems.is_empty() {
            true => Ok(Self { templates, settings, create_body, update_body }),
            false => Err(problems),
        }
    }

    /// Creates the account's record, or updates the one that is there. Answers what the
    /// inventory calls it.
    pub(crate) fn write(&self, notification: &Notification) -> Result<String, Failure> {
        match self.look(notification)? {
            Some(reference) => {
                self.update(notification, &reference)?;
                Ok(reference)
            }
            None => self.create(notification),
        }
    }

    fn look(&self, notification: &Notification) -> Result<Option<String>, Failure> {
        let Some(look) = &self.settings.look else {
            return Ok(None);
        };
        let url = self.templates.render_url(LOOK_URL, notification, &[])?;
        let answer = Request::get(url).header("Accept", "application/json").send()?;
        match answer.status() {
            404 => Ok(None),
            _ => answer.success()?.at(&look.reference),
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
            None => answer.header("Location").map(str::to_owned),
            Some(pointer) => match answer.at(pointer)? {
                Some(reference) => Some(reference),
                None => return Err(answer.unexpected(&format!("without `{pointer}`"))),
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
        let extra: Extra<'_> = &[(REFERENCE, reference)];
        let url = self.templates.render_url(UPDATE_URL, notification, extra)?;
        let body =
            self.templates.render_json(UPDATE_BODY, &self.update_body, notification, extra)?;
        send(Request::new(update.method.name(), url), &body)?;
        Ok(())
    }
}

fn send(request: Request, body: &Value) -> Result<Response, Failure> {
    request.header("Accept", "application/json").json(body)?.send()?.success()
}
