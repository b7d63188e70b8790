//! Alerts about messages of queues, and how much of a message an alert carries.

use groundcrew_core::ports::{Alert, UnreadableMessage};

/// The alert about a message of a queue that can't be read. It has to be published before the
/// message is rejected: until then the message has to come again.
pub fn unreadable_message_alert(queue: &str, message: &UnreadableMessage) -> Alert {
    Alert {
        subject: format!("A message of the {queue} queue can't be read"),
        message: format!(
            "It goes to the dead-letter queue.\nReason: {}\nMessage: {}",
            message.reason,
            excerpt(&message.body)
        ),
    }
}

/// Most of a message that an alert carries, in bytes: SNS takes 256 KiB.
const MAX_EXCERPT: usize = 200 << 10;

/// The part of a message that fits into an alert: SNS would reject a larger alert, and no operator
/// would see it.
pub(crate) fn excerpt(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_EXCERPT)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_any_size_fits() {
        assert_eq!(excerpt("short"), "short");
        let long = "ü".repeat(MAX_EXCERPT);
        let message = UnreadableMessage {
            reason: "no JSON".into(),
            body: long,
            receipt_handle: String::new(),
        };
        let alert = unreadable_message_alert("updates", &message);
        assert!(alert.message.len() < 256 << 10, "{}", alert.message.len());
        assert!(alert.message.ends_with('ü'));
    }
}
