//! The attributes of SQS messages: their validity, the selection for a receiver, and their digest.

use std::collections::{BTreeMap, BTreeSet};

use aws_smithy_types::base64;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use crate::protocol::ApiError;

/// Most attributes of a message.
const MOST: usize = 10;

/// An attribute of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MessageAttribute {
    data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    /// In base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
}

/// Attributes by name.
pub(crate) type MessageAttributes = BTreeMap<String, MessageAttribute>;

/// Checks attributes, and returns their size in bytes.
pub(crate) fn check(attributes: &MessageAttributes) -> Result<usize, ApiError> {
    if attributes.len() > MOST {
        return Err(invalid(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{MOST}].",
            attributes.len()
        )));
    }
    attributes.iter().try_fold(0, |bytes, (name, attribute)| {
        let good = (1..=256).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
            && !name.starts_with('.')
            && !name.ends_with('.')
            && !name.contains("..");
        if !good {
            return Err(invalid(format!("The message attribute name '{name}' is invalid.")));
        }
        let kind = attribute.data_type.split('.').next().unwrap_or_default();
        let value = match (kind, &attribute.string_value, &attribute.binary_value) {
            ("String" | "Number", Some(text), None) if !text.is_empty() => text.len(),
            ("Binary", None, Some(text)) if base64::decode(text).is_ok_and(|b| !b.is_empty()) => {
                text.len() / 4 * 3
            }
            ("String" | "Number" | "Binary", ..) => {
                return Err(invalid(format!("The message attribute '{name}' must contain a non-empty value of its type {kind}.")));
            }
            _ => {
                return Err(invalid(format!("The message attribute '{name}' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.")));
            }
        };
        Ok(bytes + name.len() + attribute.data_type.len() + value)
    })
}

/// The attributes that a receiver requests: by name, by `prefix.*`, or all.
pub(crate) fn select(
    attributes: &MessageAttributes,
    wanted: &BTreeSet<String>,
) -> MessageAttributes {
    let asked = |name: &str| {
        wanted.iter().any(|wanted| match wanted.strip_suffix(".*") {
            Some(prefix) => name.starts_with(prefix),
            None => wanted == name || wanted == "All",
        })
    };
    attributes
        .iter()
        .filter(|(name, _)| asked(name))
        .map(|(name, attribute)| (name.clone(), attribute.clone()))
        .collect()
}

/// The digest with which a client checks the attributes:
/// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
pub(crate) fn md5(attributes: &MessageAttributes) -> String {
    let mut digest = Md5::new();
    for (name, attribute) in attributes {
        let (transport, value) = match &attribute.binary_value {
            Some(text) => (2, base64::decode(text).unwrap_or_default()),
            None => (1, attribute.string_value.clone().unwrap_or_default().into_bytes()),
        };
        add(&mut digest, name.as_bytes());
        add(&mut digest, attribute.data_type.as_bytes());
        digest.update([transport]);
        add(&mut digest, &value);
    }
    format!("{:x}", digest.finalize())
}

/// Adds bytes, preceded by their length.
fn add(digest: &mut Md5, bytes: &[u8]) {
    digest.update((bytes.len() as u32).to_be_bytes());
    digest.update(bytes);
}

fn invalid(message: String) -> ApiError {
    ApiError::new("InvalidParameterValue", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn read(attributes: Value) -> MessageAttributes {
        serde_json::from_value(attributes).unwrap()
    }

    #[rstest]
    #[case(json!({ "a": { "DataType": "String", "StringValue": "b" } }), true)]
    #[case(json!({ "a.b": { "DataType": "Number.int", "StringValue": "1" } }), true)]
    #[case(json!({ "a": { "DataType": "Binary", "BinaryValue": "AQI=" } }), true)]
    #[case(json!({ "a": { "DataType": "String", "StringValue": "" } }), false)]
    #[case(json!({ "a": { "DataType": "String", "BinaryValue": "AQI=" } }), false)]
    #[case(json!({ "a": { "DataType": "Text", "StringValue": "b" } }), false)]
    #[case(json!({ ".a": { "DataType": "String", "StringValue": "b" } }), false)]
    #[case(json!({ "a b": { "DataType": "String", "StringValue": "b" } }), false)]
    fn attributes_are_checked(#[case] attributes: Value, #[case] good: bool) {
        assert_eq!(check(&read(attributes)).is_ok(), good);
    }

    #[rstest]
    #[case(&["All"], &["a", "b.c", "b.d"])]
    #[case(&[".*"], &["a", "b.c", "b.d"])]
    #[case(&["b.*"], &["b.c", "b.d"])]
    #[case(&["a"], &["a"])]
    #[case(&[], &[])]
    fn a_receiver_sees_what_it_asks_for(#[case] wanted: &[&str], #[case] seen: &[&str]) {
        let text = json!({ "DataType": "String", "StringValue": "x" });
        let attributes = read(json!({ "a": text, "b.c": text, "b.d": text }));
        let wanted = wanted.iter().map(|name| (*name).to_owned()).collect();
        let selected = select(&attributes, &wanted);
        assert_eq!(selected.keys().collect::<Vec<_>>(), seen);
    }

    #[test]
    fn the_digest_is_the_one_that_clients_compute() {
        let attributes = read(json!({
            "text": { "DataType": "String", "StringValue": "ä" },
            "number": { "DataType": "Number", "StringValue": "1" },
            "bytes": { "DataType": "Binary", "BinaryValue": "AAE=" },
        }));
        // Computed by moto 5.2.5.
        assert_eq!(md5(&attributes), "845602e8818bc084fd6af6bed2fbd180");
    }
}
