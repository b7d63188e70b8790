//! JSON whose texts are templates: always well-formed, for any account name.

use groundcrew_sdk::{Failure, Notification, Problem};
use serde_json::Value;

use crate::{ExtraVariables, Templates, accept_any};

impl Templates {
    /// Adds every text in a JSON value as a template. Keys, numbers and other values are not
    /// changed. Returns the problems.
    pub fn add_json(&mut self, at: &str, value: &Value, extra: ExtraVariables<'_>) -> Vec<Problem> {
        match value {
            Value::String(source) => self.add_text(at, source, extra, accept_any),
            Value::Array(items) => {
                let items = items.iter().enumerate();
                items
                    .flat_map(|(index, item)| self.add_json(&element(at, index), item, extra))
                    .collect()
            }
            Value::Object(fields) => {
                let fields = fields.iter();
                fields
                    .flat_map(|(key, field)| self.add_json(&member(at, key), field, extra))
                    .collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => vec![],
        }
    }

    /// Renders the templates in a JSON value for a notification.
    ///
    /// # Errors
    /// When one can't be rendered.
    pub fn render_json(
        &self,
        at: &str,
        value: &Value,
        notification: &Notification,
        extra: ExtraVariables<'_>,
    ) -> Result<Value, Failure> {
        match value {
            Value::String(_) => self.render(at, notification, extra).map(Value::String),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    self.render_json(&element(at, index), item, notification, extra)
                })
                .collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(key, field)| {
                    let rendered =
                        self.render_json(&member(at, key), field, notification, extra)?;
                    Ok((key.clone(), rendered))
                })
                .collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
        }
    }
}

fn element(at: &str, index: usize) -> String {
    format!("{at}/{index}")
}

fn member(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}
