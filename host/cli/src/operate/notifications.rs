//! The undelivered notifications, for `groundcrew status`: from the ledger those that were tried,
//! from SQS the number of those that wait.

use std::fmt;
use std::time::Duration;

use groundcrew_core::config::Config;
use groundcrew_core::notification::{NotificationEntry, NotificationKey, NotificationState};
use groundcrew_core::ports::{LedgerError, QueueDepth};
use groundcrew_core::suggestions::{CommandFormatter, shell_quote};
use serde::Serialize;

use crate::formatting::{count, format_minute, paragraph, thousands};
use crate::ports::RealAws;

/// Most notifications that are listed; the others are counted.
const MAX_LISTED: usize = 10;

/// A command that only reads the ledger should not wait long for a queue that can't be reached.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// The undelivered notifications.
#[derive(Debug, Serialize)]
pub struct NotificationsReport {
    /// Notifications whose last try failed and that are retried.
    pub failing: usize,
    /// Dead-lettered notifications that the other system may have received: they need a redrive by
    /// an operator.
    pub failed_for_good: usize,
    /// Notifications that a gate holds.
    pub held: usize,
    /// `None` without a notifications queue.
    pub queue: Option<QueueDepthReport>,
    /// Each notification that failed or is held, by its key.
    #[serde(rename = "untold")]
    pub undelivered: Vec<Undelivered>,
    /// Writes the command that redrives the notifications of a notifier.
    #[serde(skip)]
    pub suggestions: CommandFormatter,
}

/// The number of messages in the notifications queue.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum QueueDepthReport {
    /// The number.
    Known(QueueDepth),
    /// It could not be read.
    Unavailable {
        /// Why.
        error: String,
    },
}

/// A notification that was tried and not delivered.
#[derive(Debug, Serialize)]
pub struct Undelivered {
    pub key: NotificationKey,
    #[serde(flatten)]
    pub entry: NotificationEntry,
}

impl NotificationsReport {
    /// The undelivered notifications; `None` if no notifier is configured.
    pub async fn load(config: &Config, aws: &RealAws) -> Result<Option<Self>, LedgerError> {
        if config.notifiers.is_empty() {
            return Ok(None);
        }
        let undelivered = aws.ledger().notifications.undelivered().await?;
        let undelivered =
            undelivered.into_iter().map(|(key, entry)| Undelivered { key, entry }).collect();
        let queue = match tokio::time::timeout(QUEUE_TIMEOUT, aws.notifications_depth(config)).await
        {
            Ok(None) => None,
            Ok(Some(Ok(depth))) => Some(QueueDepthReport::Known(depth)),
            Ok(Some(Err(error))) => {
                Some(QueueDepthReport::Unavailable { error: error.to_string() })
            }
            Err(_) => {
                let error = format!("no answer within {} seconds", QUEUE_TIMEOUT.as_secs());
                Some(QueueDepthReport::Unavailable { error })
            }
        };
        Ok(Some(Self::assemble(queue, undelivered, config.suggestions.clone())))
    }

    fn assemble(
        queue: Option<QueueDepthReport>,
        undelivered: Vec<Undelivered>,
        suggestions: CommandFormatter,
    ) -> Self {
        let number = |is: fn(&NotificationState) -> bool| {
            undelivered.iter().filter(|one| is(&one.entry.state)).count()
        };
        use NotificationState::{Failed, Held};
        Self {
            failing: number(|state| matches!(state, Failed { for_good: None, .. })),
            failed_for_good: number(|state| matches!(state, Failed { for_good: Some(_), .. })),
            held: number(|state| matches!(state, Held { .. })),
            queue,
            undelivered,
            suggestions,
        }
    }

    /// Writes the numbers, and the notifications that changed last.
    pub fn write(&self, out: &mut String) -> fmt::Result {
        let number = |number: usize| thousands(number as u64);
        let mut parts = vec![
            format!("{} failing", number(self.failing)),
            format!("{} failed for good", number(self.failed_for_good)),
            format!("{} held", number(self.held)),
        ];
        match &self.queue {
            None => {}
            Some(QueueDepthReport::Known(depth)) => parts.push(format!(
                "in the queue {} waiting and {} in delivery or waiting for a retry, {}",
                number(depth.waiting),
                number(depth.hidden),
                count(depth.dead_letters, "dead letter")
            )),
            Some(QueueDepthReport::Unavailable { error }) => {
                parts.push(format!("the queue can't be read: {error}"));
            }
        }
        paragraph(out, &format!("notifiers   {}", parts.join(", ")))?;
        let mut last: Vec<&Undelivered> = self.undelivered.iter().collect();
        last.sort_by_key(|one| std::cmp::Reverse(one.entry.changed_at));
        for one in last.iter().take(MAX_LISTED) {
            paragraph(out, &self.describe(one))?;
        }
        match last.len().saturating_sub(MAX_LISTED) {
            0 => Ok(()),
            more => {
                let more = thousands(more as u64);
                let line = format!(
                    "            and {more} more undelivered; --format json has \
                                    them"
                );
                paragraph(out, &line)
            }
        }
    }

    fn describe(&self, Undelivered { key, entry }: &Undelivered) -> String {
        let notifier = &entry.notifier;
        let about = match &entry.account {
            Some(account) => account.as_str(),
            None => key.as_str(),
        };
        match &entry.state {
            NotificationState::Held { until, reason } => {
                format!(
                    "undelivered {notifier} for {about}, held until {}: {reason}",
                    format_minute(*until)
                )
            }
            NotificationState::Failed { error, for_good, .. } => {
                let again = match for_good {
                    Some(_) => {
                        let command = format!("redrive --notifier {}", shell_quote(notifier));
                        format!("; after a look there: `{}`", self.suggestions.command(&command))
                    }
                    None => String::new(),
                };
                format!(
                    "undelivered {notifier} for {about} after {}, the last at {}: {error}{again}",
                    count(entry.attempts as usize, "attempt"),
                    format_minute(entry.changed_at)
                )
            }
            // These are not listed.
            NotificationState::Claimed { .. }
            | NotificationState::Delivered { .. }
            | NotificationState::Suppressed => format!("undelivered {notifier} for {about}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    const AT: Timestamp = Timestamp::constant(1_790_000_000, 0);

    fn undelivered(number: u64, state: NotificationState) -> Undelivered {
        let account: groundcrew_core::account::AccountId = format!("{number:012}").parse().unwrap();
        Undelivered {
            key: NotificationKey::for_onboarding(&account, "ams"),
            entry: NotificationEntry {
                account: Some(account),
                notifier: "ams".into(),
                state,
                attempts: 3,
                changed_at: AT - Duration::from_secs(number),
            },
        }
    }

    fn failed(for_good: Option<u32>) -> NotificationState {
        let error = "the CMDB answered 503".into();
        NotificationState::Failed { error, effect_possible: true, for_good }
    }

    fn screen(queue: Option<QueueDepthReport>, undelivered: Vec<Undelivered>) -> String {
        let mut out = String::new();
        let suggestions = CommandFormatter::with_config("crew.toml");
        NotificationsReport::assemble(queue, undelivered, suggestions).write(&mut out).unwrap();
        for line in out.lines() {
            assert!(line.chars().count() <= 80, "over 80 columns: {line}");
        }
        out
    }

    #[test]
    fn some_are_not_told() {
        let held = NotificationState::Held { until: AT, reason: "no owner yet".into() };
        let depth = QueueDepth { waiting: 1200, hidden: 2, dead_letters: 1 };
        let undelivered = vec![
            undelivered(1, failed(None)),
            undelivered(2, held),
            undelivered(3, failed(Some(0))),
        ];
        insta::assert_snapshot!(screen(Some(QueueDepthReport::Known(depth)), undelivered), @"
        notifiers   1 failing, 1 failed for good, 1 held, in the queue 1,200 waiting and
                    2 in delivery or waiting for a retry, 1 dead letter
        undelivered ams for 000000000001 after 3 attempts, the last at 2026-09-21 14:13
                    UTC: the CMDB answered 503
        undelivered ams for 000000000002, held until 2026-09-21 14:13 UTC: no owner yet
        undelivered ams for 000000000003 after 3 attempts, the last at 2026-09-21 14:13
                    UTC: the CMDB answered 503; after a look there:
                    `groundcrew redrive --notifier ams --config crew.toml`
        ");
    }

    #[test]
    fn many_are_counted() {
        let many = (1..=14).map(|number| undelivered(number, failed(None))).collect();
        let screen = screen(None, many);
        assert_eq!(screen.matches("undelivered ams for").count(), MAX_LISTED);
        assert!(screen.starts_with("notifiers   14 failing, 0 failed for good, 0 held\n"));
        assert!(screen.ends_with("and 4 more undelivered; --format json has them\n"), "{screen}");
    }

    #[test]
    fn a_queue_that_cannot_be_read() {
        let queue =
            QueueDepthReport::Unavailable { error: "sqs:GetQueueAttributes was refused".into() };
        insta::assert_snapshot!(screen(Some(queue), vec![]), @"
        notifiers   0 failing, 0 failed for good, 0 held, the queue can't be read:
                    sqs:GetQueueAttributes was refused
        ");
    }
}
