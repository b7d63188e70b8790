//! The JSON Schema of the configuration, with which editors complete and check it.

use serde_json::{Map, Value, json};

use super::keys::{Form, Key, KeyDefault, TABLES, Table};

/// The JSON Schema (2020-12) of a configuration, made from [`TABLES`]. It describes the form of
/// each value; `groundcrew check` checks more.
pub fn schema() -> Value {
    let top = TABLES.iter().filter(|table| !table.name.contains('.'));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "groundcrew configuration",
        "type": "object",
        "additionalProperties": false,
        "properties": top.map(|table| (table.name.to_owned(), of_table(table))).collect::<Map<_, _>>(),
    })
}

fn of_table(table: &Table) -> Value {
    let keys = table.keys.iter().map(|key| (key.name.to_owned(), of_key(key)));
    let within = table.tables().map(|inner| (inner.own_name().to_owned(), of_table(inner)));
    let aliases = table.keys.iter().flat_map(|key| {
        key.aliases.iter().map(|alias| ((*alias).to_owned(), deprecated(of_key(key))))
    });
    let mut properties: Map<String, Value> = keys.collect();
    properties.extend(within);
    properties.extend(aliases);
    let required: Vec<&str> = table
        .keys
        .iter()
        .filter(|key| key.default == KeyDefault::Required)
        .map(|key| key.name)
        .collect();
    // A table without declared keys belongs to a plugin.
    let of_plugin = table.keys.is_empty();
    let object = json!({
        "type": "object",
        "description": table.meaning,
        "properties": properties,
        "required": required,
        "additionalProperties": of_plugin,
    });
    match table.many {
        true => json!({ "type": "array", "items": object }),
        false => object,
    }
}

fn of_key(key: &Key) -> Value {
    let mut schema = of_form(key.form);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), key.meaning.into());
        if let KeyDefault::Is(text) = key.default {
            // Numbers and lists are unchanged, texts are without quotes.
            let default = match key.form {
                Form::Integer { .. } | Form::Choices(_) | Form::Texts | Form::Flag => {
                    serde_json::from_str(text).unwrap_or_else(|_| text.into())
                }
                _ => text.into(),
            };
            schema.insert("default".to_owned(), default);
        }
    }
    schema
}

/// The schema of the same key under an older name.
fn deprecated(mut schema: Value) -> Value {
    schema["deprecated"] = true.into();
    schema
}

fn of_form(form: Form) -> Value {
    match form {
        Form::Integer { min, max } => {
            json!({ "type": "integer", "minimum": min, "maximum": max })
        }
        Form::Text => json!({ "type": "string", "minLength": 1 }),
        Form::Texts => json!({ "type": "array", "items": { "type": "string", "minLength": 1 } }),
        Form::Name => json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,40}$" }),
        Form::Duration => json!({ "type": "string", "pattern": "^[0-9]" }),
        Form::Seconds { min, max } => json!({ "anyOf": [
            { "type": "string", "pattern": "^[0-9]" },
            { "type": "integer", "minimum": min, "maximum": max },
        ] }),
        Form::Bytes => json!({ "type": "string", "pattern": "^[0-9]+ *(B|KiB|MiB|GiB)$" }),
        Form::Choice(choices) => json!({ "enum": choices }),
        Form::Choices(choices) => json!({ "type": "array", "items": { "enum": choices } }),
        Form::Sha256 => json!({ "type": "string", "pattern": "^[0-9A-Fa-f]{64}$" }),
        Form::QueueUrl => json!({ "type": "string", "pattern": "^https://" }),
        Form::TopicArn => json!({ "type": "string", "pattern": "^arn:" }),
        Form::Flag => json!({ "type": "boolean" }),
        Form::Url | Form::GrantUrl => json!({ "type": "string", "pattern": "^https?://" }),
        Form::Secret => of_secret(&["prefix"]),
        Form::Secrets => {
            json!({ "type": "object", "additionalProperties": of_secret(&["prefix"]) })
        }
        Form::UrlSecrets => json!({
            "type": "object",
            "additionalProperties": of_secret(&[]),
            "propertyNames": of_form(Form::Name),
        }),
    }
}

/// The schema of a secret, with these additional keys.
fn of_secret(more: &[&str]) -> Value {
    let text = || json!({ "type": "string", "minLength": 1 });
    let of = |location: &str, own: &[&str]| {
        let names = [location];
        let names = names.iter().chain(more).chain(own);
        let properties: Map<_, _> = names.map(|&name| (name.to_owned(), text())).collect();
        json!({
            "type": "object",
            "properties": properties,
            "required": [location],
            "additionalProperties": false,
        })
    };
    json!({ "anyOf": [of("env", &[]), of("file", &[]), of("secret", &["field"])] })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAKERY: Table = Table {
        name: "bakery",
        many: false,
        meaning: "A bakery.",
        keys: &[Key {
            name: "open",
            aliases: &["is_open"],
            form: Form::Flag,
            default: KeyDefault::Is("true"),
            meaning: "Whether it is open.",
        }],
    };

    #[test]
    fn an_older_name_of_a_key_is_deprecated() {
        let schema = of_table(&BAKERY);
        let of = |name: &str| schema["properties"][name].clone();
        let mut older = of("open");
        older["deprecated"] = true.into();
        assert_eq!((of("open")["type"].as_str(), of("is_open")), (Some("boolean"), older));
    }

    #[test]
    fn tables_are_within_each_other_as_in_the_config() {
        let schema = schema();
        let policies = &schema["properties"]["policies"]["items"];
        assert_eq!(policies["required"], json!(["plugin"]));
        assert_eq!(policies["properties"]["mode"]["enum"], json!(["enforce", "monitor"]));
        assert_eq!(policies["properties"]["mode"]["default"], "enforce");
        assert_eq!(policies["properties"]["limits"]["properties"]["timeout"]["default"], "2s");
        assert_eq!(policies["properties"]["settings"]["additionalProperties"], true);
        assert_eq!(
            schema["properties"]["updates"]["properties"]["poll_interval"]["default"],
            "30s"
        );
    }
}
