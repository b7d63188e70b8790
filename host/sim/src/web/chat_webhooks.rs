//! Endpoints that take messages and return little: Slack, Microsoft Teams and GitHub, by their
//! reference manuals and by reports of users. None of them supports an `Idempotency-Key`: each
//! request is another message, or another build.

use serde_json::{Value, json};

use super::types::{WebResponse, answer};

/// Largest message of Teams, in bytes.
const TEAMS_MESSAGE: usize = 28 * 1024;

/// The response to a message, and whether the message was accepted. `None` if the URL is of another
/// system.
pub(super) fn handle(method: &str, url: &str, body: &Value) -> Option<(WebResponse, bool)> {
    let (_, rest) = url.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let has = |names: &[&str]| names.iter().any(|name| body.get(name).is_some());
    Some(match host {
        "hooks.slack.com" => match () {
            () if method != "POST" => (text(400, "invalid_payload"), false),
            // A dry run reads no secret: `$(name)` stands for a secret of any form.
            () if !path.contains("$(")
                && path.split('/').filter(|part| !part.is_empty()).count() != 4 =>
            {
                (text(404, "no_service"), false)
            }
            () if !body.is_object() => (text(400, "invalid_payload"), false),
            () if !has(&["text", "blocks", "attachments"]) => (text(400, "no_text"), false),
            () => (text(200, "ok"), true),
        },
        "slack.com" => match () {
            () if !has(&["channel"]) => {
                (answer(200, json!({ "ok": false, "error": "channel_not_found" })), false)
            }
            () if !has(&["text", "blocks", "attachments"]) => {
                (answer(200, json!({ "ok": false, "error": "no_text" })), false)
            }
            () => (answer(200, json!({ "ok": true, "ts": "1767323045.000100" })), true),
        },
        host if host.ends_with(".webhook.office.com") => match body.to_string().len() {
            length if length > TEAMS_MESSAGE => {
                let failed = "Webhook message delivery failed with error: Microsoft Teams endpoint \
                              returned HTTP error 413 with ContextId tcid=0.";
                (text(200, failed), false)
            }
            _ if !has(&["text", "summary", "attachments"]) => {
                (text(400, "Summary or Text is required."), false)
            }
            _ => (text(200, "1"), true),
        },
        // Teams as well: a workflow with a webhook as its trigger.
        host if host.ends_with(".logic.azure.com") => (text(202, ""), true),
        "api.github.com" if path.ends_with("/dispatches") => match has(&["event_type", "ref"]) {
            true => (text(204, ""), true),
            false => {
                let message = "Invalid request.\n\n\"event_type\" wasn't supplied.";
                (answer(422, json!({ "message": message, "status": "422" })), false)
            }
        },
        _ => return None,
    })
}

fn text(status: u16, body: &str) -> WebResponse {
    let headers = match body {
        "" => vec![],
        // The content type that Slack sends.
        _ => vec![("content-type", "text/html".to_owned())],
    };
    WebResponse { status, headers, body: body.to_owned() }
}
