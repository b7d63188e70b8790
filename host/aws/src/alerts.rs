//! Core's alerts on an SNS topic.

use std::borrow::Cow;

use async_trait::async_trait;
use aws_sdk_sns::Client;
use groundcrew_core::aws_error::AwsError;
use groundcrew_core::ports::{Alert, Alerts};

use crate::error::UncertainAttempts;

/// SNS takes subjects of fewer than 100 characters.
const MAX_SUBJECT_CHARS: usize = 99;

/// SNS takes messages of at most 256 KiB.
const MAX_MESSAGE_BYTES: usize = 256 << 10;

/// Marks the place where a text was cut.
const ELLIPSIS: &str = "...";

/// A topic with its subscribers.
#[derive(Debug)]
pub struct SnsAlerts {
    client: Client,
    topic_arn: String,
}

impl SnsAlerts {
    /// The topic with this ARN.
    pub fn new(client: Client, topic_arn: impl Into<String>) -> Self {
        Self { client, topic_arn: topic_arn.into() }
    }
}

#[async_trait]
impl Alerts for SnsAlerts {
    async fn publish(&self, alert: &Alert) -> Result<(), AwsError> {
        let uncertain = UncertainAttempts::default();
        // SNS refuses an empty message.
        let message = if alert.message.is_empty() { &alert.subject } else { &alert.message };
        self.client
            .publish()
            .topic_arn(&self.topic_arn)
            .subject(subject(&alert.subject))
            .message(truncate(message))
            .customize()
            .interceptor(uncertain.clone())
            .send()
            .await
            .map_err(|error| uncertain.write_error("Publish", error))?;
        Ok(())
    }
}

/// A subject that SNS accepts: printable ASCII in one line, cut to fit.
fn subject(text: &str) -> String {
    let line: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let line = line.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let ascii: String = line.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect();
    if ascii.is_empty() {
        return "groundcrew".to_owned();
    }
    if ascii.len() <= MAX_SUBJECT_CHARS {
        return ascii;
    }
    // The text is ASCII, so it can be cut at any byte.
    let cut = &ascii[..MAX_SUBJECT_CHARS - ELLIPSIS.len()];
    format!("{}{ELLIPSIS}", cut.trim_end())
}

/// A message that SNS accepts. SNS rejects a longer one, and its beginning is better than no alert.
fn truncate(message: &str) -> Cow<'_, str> {
    if message.len() <= MAX_MESSAGE_BYTES {
        return message.into();
    }
    let cut = &message[..message.floor_char_boundary(MAX_MESSAGE_BYTES - ELLIPSIS.len())];
    format!("{cut}{ELLIPSIS}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_subject_stays() {
        assert_eq!(subject("Update of 111122223333 failed"), "Update of 111122223333 failed");
        assert_eq!(subject(&"x".repeat(99)), "x".repeat(99));
    }

    #[test]
    fn a_long_subject_is_cut_below_a_hundred() {
        let cut = subject(&"x".repeat(100));
        assert_eq!(cut.len(), 99);
        assert!(cut.ends_with("x..."));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let whole = "é".repeat(MAX_MESSAGE_BYTES / 2);
        assert_eq!(truncate(&whole), whole);
        let cut = truncate(&format!("{whole}é")).into_owned();
        assert_eq!(cut.len(), MAX_MESSAGE_BYTES - 1);
        assert!(cut.ends_with("é..."));
    }

    #[test]
    fn line_breaks_and_control_characters_become_spaces() {
        assert_eq!(subject("one\r\n two\tthree\u{7}\u{2028}four\n"), "one two three four");
    }

    #[test]
    fn other_alphabets_and_nothing_are_told_apart() {
        assert_eq!(subject("Zürich"), "Z?rich");
        assert_eq!(subject(" \n"), "groundcrew");
    }
}
