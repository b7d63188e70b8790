//! Sends an HTTP request with a body made of templates to any endpoint.
//!
//! The host authenticates the request: header fields with secrets, and a signature over the body,
//! are part of the grant (`[[notifiers.grants.http]]`). The plugin never sees them.

#![deny(missing_docs)]

mod settings;
mod success;
#[cfg(test)]
mod tests;

use groundcrew_sdk::http::{Request, Response};
use groundcrew_sdk::{Context, Failure, Notification, Notifier, Problem, Receipt, log};
use groundcrew_templates::{Templates, accept_any};
use serde_json::Value;

pub use settings::{Method, Settings};
use success::SuccessTest;
pub use success::{Success, TextTest};

const URL_POINTER: &str = "/url";
const BODY_POINTER: &str = "/body";

/// The notifier.
pub struct Webhook {
    templates: Templates,
    settings: Settings,
    /// The condition for a successful response, if the status is not sufficient.
    success: Option<SuccessTest>,
}

impl Notifier for Webhook {
    type Settings = Settings;

    fn configure(settings: Settings, _: &Context) -> Result<Self, Vec<Problem>> {
        let mut templates = Templates::new();
        let mut problems = settings.check();
        problems.extend(templates.add_url(URL_POINTER, &settings.url, &[]));
        for (name, value) in &settings.headers {
            problems.extend(templates.add_text(&header_pointer(name), value, &[], accept_any));
        }
        problems.extend(templates.add_json(BODY_POINTER, &settings.body, &[]));
        let success = match settings.success.as_ref().map(SuccessTest::new).transpose() {
            Ok(success) => success,
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        if problems.is_empty() { Ok(Self { templates, settings, success }) } else { Err(problems) }
    }

    fn notify(&self, notification: &Notification) -> Result<Receipt, Failure> {
        let answer = self.request(notification)?.send()?.success()?;
        self.receipt(&answer, notification)
    }
}

impl Webhook {
    fn request(&self, notification: &Notification) -> Result<Request, Failure> {
        let Self { templates, settings, .. } = self;
        let url = templates.render_url(URL_POINTER, notification, &[])?;
        let mut request = Request::new(settings.method.name(), url)
            .header("Content-Type", settings.content_type())
            .header("Idempotency-Key", &notification.key);
        for name in settings.headers.keys() {
            let value = templates.render(&header_pointer(name), notification, &[])?;
            request = request.header(name, groundcrew_templates::one_line(&value));
        }
        let body = templates.render_json(BODY_POINTER, &settings.body, notification, &[])?;
        Ok(request.body(match body {
            Value::String(text) => text,
            json => json.to_string(),
        }))
    }

    /// The receipt for a response whose status is a success. Any problem with it is permanent: the
    /// endpoint has accepted the request.
    fn receipt(&self, answer: &Response, notification: &Notification) -> Result<Receipt, Failure> {
        if let Some(success) = &self.success {
            success.check(answer)?;
        }
        let reference = match &self.settings.reference {
            Some(pointer) => self.reference(pointer, answer)?,
            None => answer.header("Location").filter(|at| !at.trim().is_empty()).map(str::to_owned),
        };
        Ok(Receipt::new(reference.unwrap_or_else(|| notification.key.clone())))
    }

    fn reference(&self, pointer: &str, answer: &Response) -> Result<Option<String>, Failure> {
        match (answer.value_at(pointer), &self.success) {
            // It was delivered; only its reference is unknown.
            (Err(failure), Some(_)) => {
                log::warn(&failure.for_setting("reference").message);
                Ok(None)
            }
            (read, _) => read.map_err(|failure| failure.for_setting("reference")),
        }
    }
}

/// The pointer of a header field's setting.
fn header_pointer(name: &str) -> String {
    format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"))
}

groundcrew_sdk::notifier!(Webhook);
