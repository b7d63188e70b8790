//! What people are told of messages: as much as an alert carries.

use groundcrew_core::ports::{Alert, Unreadable};

/// The alert about a message of a queue. It has to be out before the message is rejected: until
/// somebody knows of it, it has to come again.
pub fn unreadable(queue: &str, message: &Unreadable) -> Alert {
    Alert {
        subject: format!("A message of the {queue} queue can't be read"),
        message: format!(
            "It goes to the dead-letter queue.\nReason: {}\nMessage: {}",
            message.reason,
            shown(&message.body)
        ),
    }
}

/// Most of a message that an alert carries, in bytes: SNS takes 256 KiB.
const SHOWN: usize = 200 << 10;

/// Of a message what fits in an alert: one that can't be published would never be seen.
pub(crate) fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_any_size_fits() {
        assert_eq!(shown("short"), "short");
        let long = "ü".repeat(SHOWN);
        let message = Unreadable { reason: "no JSON".into(), body: long, receipt: String::new() };
        let alert = unreadable("updates", &message);
        assert!(alert.message.len() < 256 << 10, "{}", alert.message.len());
        assert!(alert.message.ends_with('ü'));
    }
}
