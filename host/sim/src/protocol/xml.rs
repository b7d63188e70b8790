//! The responses of query services.

use std::fmt::Write as _;

use serde_json::Value;

/// The response of an operation. A list is written as `<member>` elements. A list named `entry` is
/// written as `entry` elements: so a map is written, with `key` and `value` in each.
pub(crate) fn answer(
    operation: &str,
    namespace: &str,
    members: &Value,
    request_id: &str,
) -> String {
    let mut xml = format!("<{operation}Response xmlns=\"{namespace}\">");
    write(&mut xml, &format!("{operation}Result"), members);
    // Writing to a String does not fail.
    let _ = write!(
        xml,
        "<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    );
    xml
}

/// The response of a service that rejects a call.
pub(crate) fn error(
    namespace: &str,
    fault: &str,
    code: &str,
    message: &str,
    request_id: &str,
) -> String {
    let message = escape(message);
    format!(
        "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{fault}</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
}

fn write(xml: &mut String, name: &str, value: &Value) {
    if let (Value::Array(entries), "entry") = (value, name) {
        for entry in entries {
            write(xml, name, entry);
        }
        return;
    }
    let _ = write!(xml, "<{name}>");
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| write(xml, name, value)),
        Value::Array(elements) => elements.iter().for_each(|element| write(xml, "member", element)),
        Value::String(text) => xml.push_str(&escape(text)),
        other => xml.push_str(&other.to_string()),
    }
    let _ = write!(xml, "</{name}>");
}

/// Control characters, which are invalid in XML, become blanks.
fn escape(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && !matches!(c, '\t' | '\n' | '\r') { ' ' } else { c })
        .collect::<String>()
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_lists_and_maps_have_their_form() {
        let members = json!({
            "Attributes": { "entry": [{ "key": "a", "value": "<&>" }, { "key": "b", "value": "2" }] },
            "Topics": [{ "TopicArn": "x" }],
        });
        let xml = answer("List", "urn:n", &members, "id");
        assert_eq!(
            xml,
            "<ListResponse xmlns=\"urn:n\"><ListResult>\
             <Attributes><entry><key>a</key><value>&lt;&amp;&gt;</value></entry>\
             <entry><key>b</key><value>2</value></entry></Attributes>\
             <Topics><member><TopicArn>x</TopicArn></member></Topics></ListResult>\
             <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></ListResponse>"
        );
    }
}
