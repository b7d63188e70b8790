//! Writes the chargeback record of a new account: who pays for it, who owns it, and its purpose.
//! The data comes from the account's tags. It is sent to a REST endpoint, by `PUT` to a URL of the
//! account's own, so that a repeat changes nothing.

#![deny(missing_docs)]

mod settings;
#[cfg(test)]
mod tests;

use groundcrew_sdk::http::Request;
use groundcrew_sdk::{Context, Failure, Notification, Notifier, Problem, Receipt, Tags};
use groundcrew_templates::{Templates, accept_any, one_line};
use serde_json::{Map, Value};

pub use settings::{Settings, TagField};

const URL_POINTER: &str = "/url";
const RECORD_POINTER: &str = "/record";

/// The notifier.
pub struct Billing {
    templates: Templates,
    settings: Settings,
}

impl Notifier for Billing {
    type Settings = Settings;

    fn configure(settings: Settings, _: &Context) -> Result<Self, Vec<Problem>> {
        let mut templates = Templates::new();
        let mut problems = settings.check();
        let wrong = templates.add_url(URL_POINTER, &settings.url, &[]);
        if wrong.is_empty() && !templates.url_names_account(URL_POINTER, &[]) {
            let message = "all accounts would have the same record: put `{{ account.id }}` into \
                           the URL";
            problems.push(Problem::new(URL_POINTER, message));
        }
        problems.extend(wrong);
        problems.extend(templates.add_json(RECORD_POINTER, &settings.record, &[]));
        for (name, field) in &settings.tags {
            if let Some(default) = &field.default {
                problems.extend(templates.add_text(
                    &settings::default_pointer(name),
                    default,
                    &[],
                    accept_any,
                ));
            }
        }
        if problems.is_empty() { Ok(Self { templates, settings }) } else { Err(problems) }
    }

    fn notify(&self, notification: &Notification) -> Result<Receipt, Failure> {
        groundcrew_templates::require_account(notification)?;
        let url = self.templates.render_url(URL_POINTER, notification, &[])?;
        let request = Request::put(url)
            .header("Accept", "application/json")
            .json(&self.record(notification)?)?;
        let answer = request.send()?.success()?.reject_html()?;
        let reference = match &self.settings.reference {
            Some(pointer) => {
                answer.value_at(pointer).map_err(|failure| failure.for_setting("reference"))?
            }
            None => None,
        };
        Ok(Receipt::new(reference.unwrap_or_else(|| request.url_without_query().to_owned())))
    }
}

impl Billing {
    /// The record of an account.
    fn record(&self, notification: &Notification) -> Result<Value, Failure> {
        let Self { templates, settings } = self;
        let record = templates.render_json(RECORD_POINTER, &settings.record, notification, &[])?;
        let mut record = match record {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let mut missing = Vec::new();
        for (name, field) in &settings.tags {
            let value = match (tag(&notification.account.tags, field)?, &field.default) {
                (Some(value), _) => value,
                (None, Some(_)) => {
                    templates.render(&settings::default_pointer(name), notification, &[])?
                }
                (None, None) => {
                    missing.push(format!("`{}` (for `{name}`)", field.tag));
                    continue;
                }
            };
            record.insert(name.clone(), value.into());
        }
        match missing.is_empty() {
            true => Ok(Value::Object(record)),
            false => Err(Failure::permanent(
                "missing-tag",
                format!(
                    "account {} lacks the tag {}, without which it can't be charged: tag it in \
                     AWS Organizations, or give the field a `default`",
                    notification.account.id,
                    missing.join(" and the tag ")
                ),
            )),
        }
    }
}

/// The value of a field's tag; `None` when the account doesn't have it, or it is blank.
fn tag(tags: &Tags, field: &TagField) -> Result<Option<String>, Failure> {
    let value = tags.get(&field.tag).map_err(|why| {
        // Not the same as having none: the default may charge the wrong team.
        Failure::transient("tags-unreadable", format!("the account's tags can't be read: {why}"))
    })?;
    Ok(value.map(one_line).filter(|value| !value.is_empty()))
}

groundcrew_sdk::notifier!(Billing);
