//! Webhooks whose URL is their secret: anyone who knows it can post.

use super::Url;

/// The system that this URL posts to, if its path or query contains a secret in plain text.
/// Sources: Slack's, Microsoft's and Discord's own documentation of incoming webhooks.
pub fn webhook_with_plain_secret(url: &str) -> Option<&'static str> {
    if super::placeholders(url).next().is_some() {
        return None;
    }
    // A query is not part of a grant's URL, but in a webhook's URL it is the secret.
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let url: Url = Url::parse(url).ok()?;
    let (host, path) = (url.host().to_ascii_lowercase(), url.path());
    let parts = path.split('/').filter(|part| !part.is_empty()).count();
    let secret = query.split('&').any(|parameter| parameter.starts_with("sig="));
    match host.as_str() {
        "hooks.slack.com" if parts > 1 => Some("Slack"),
        "discord.com" | "discordapp.com" if path.starts_with("/api/webhooks/") => Some("Discord"),
        host if host.ends_with(".webhook.office.com") && parts > 1 => Some("Teams"),
        host if host.ends_with(".logic.azure.com") && secret => Some("Teams"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::slack("https://hooks.slack.com/services/T000/B000/XXXX", Some("Slack"))]
    #[case::slack_in_capitals("https://Hooks.Slack.com/services/T000/B000/XXXX", Some("Slack"))]
    #[case::slack_by_a_secret("https://hooks.slack.com/services/$(slack)", None)]
    #[case::slack_api("https://slack.com/api/chat.postMessage", None)]
    #[case::discord("https://discord.com/api/webhooks/1/abc", Some("Discord"))]
    #[case::discord_api("https://discord.com/api/v10/channels/1", None)]
    #[case::teams(
        "https://acme.webhook.office.com/webhookb2/1@2/IncomingWebhook/3/4",
        Some("Teams")
    )]
    #[case::teams_workflow(
        "https://prod-1.westeurope.logic.azure.com/workflows/1/triggers/manual/paths/invoke?sig=x",
        Some("Teams")
    )]
    #[case::teams_by_a_secret(
        "https://prod-1.westeurope.logic.azure.com/workflows/1?sig=$(s)",
        None
    )]
    #[case::any("https://hooks.example.com/a/b/c", None)]
    #[case::no_url("not a URL", None)]
    fn a_webhook_with_its_secret(#[case] url: &str, #[case] expected: Option<&str>) {
        assert_eq!(webhook_with_plain_secret(url), expected);
    }
}
