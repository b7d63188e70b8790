//! Sends an HTTP request with a body made of templates to any endpoint.
//!
//! What authenticates the request is the host's: header fields with secrets, and a signature
//! over the body, are part of the grant (`[[notifiers.grants.http]]`) and never seen here.

#![deny(missing_docs)]

mod settings;
#[cfg(test)]
mod tests;

use groundcrew_sdk::http::{Request, Response};
use groundcrew_sdk::{Failure, Notification, Notifier, Problem, Receipt, Surroundings};
use groundcrew_templates::{Templates, any};
use serde_json::Value;

pub use settings::{Method, Settings};

const URL: &str = "/url";
const BODY: &str = "/body";

/// The notifier.
pub struct Webhook {
    templates: Templates,
    settings: Settings,
}

impl Notifier for Webhook {
    type Settings = Settings;

    fn configure(settings: Settings, _: &Surroundings) -> Result<Self, Vec<Problem>> {
        let mut templates = Templates::new();
        let mut problems = settings.check();
        problems.extend(templates.url(URL, &settings.url, &[]));
        for (name, value) in &settings.headers {
            problems.extend(templates.text(&header_at(name), value, &[], any));
        }
        problems.extend(templates.json(BODY, &settings.body, &[]));
        if problems.is_empty() { Ok(Self { templates, settings }) } else { Err(problems) }
    }

    fn notify(&self, notification: &Notification) -> Result<Receipt, Failure> {
        let answer = self.request(notification)?.send()?.success()?;
        self.receipt(&answer, notification)
    }
}

impl Webhook {
    fn request(&self, notification: &Notification) -> Result<Request, Failure> {
        let Self { templates, settings } = self;
        let url = templates.render_url(URL, notification, &[])?;
        let mut request = Request::new(settings.method.name(), url)
            .header("Content-Type", settings.content_type())
            .header("Idempotency-Key", &notification.key);
        for name in settings.headers.keys() {
            let value = templates.render(&header_at(name), notification, &[])?;
            request = request.header(name, groundcrew_templates::one_line(&value));
        }
        let body = templates.render_json(BODY, &settings.body, notification, &[])?;
        Ok(request.body(match body {
            Value::String(text) => text,
            json => json.to_string(),
        }))
    }

    fn receipt(&self, answer: &Response, notification: &Notification) -> Result<Receipt, Failure> {
        if let Some(pointer) = &self.settings.success {
            let body: Value = answer.json()?;
            if body.pointer(pointer) != Some(&Value::Bool(true)) {
                let text: String = answer.text().chars().take(200).collect();
                let what = format!("and `{pointer}` is not true: {text}");
                return Err(Failure { effect_possible: false, ..answer.unexpected(&what) });
            }
        }
        let reference = match &self.settings.reference {
            Some(pointer) => answer.at(pointer)?,
            None => answer.header("Location").map(str::to_owned),
        };
        Ok(Receipt::new(reference.unwrap_or_else(|| notification.key.clone())))
    }
}

/// The pointer of a header field's setting.
fn header_at(name: &str) -> String {
    format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"))
}

groundcrew_sdk::notifier!(Webhook);
