//! The list of notifications that were tried and not delivered, for operators: their entries are
//! items of their own, which can't be listed.
//!
//! It is kept in some tens of items, so that concurrent failures seldom write the same one. The
//! size of each item is limited, so that none grows too large for its store: DynamoDB takes 400 KB.

use std::collections::BTreeMap;

use groundcrew_core::notification::{NotificationEntry, NotificationKey, NotificationState};
use serde::{Deserialize, Serialize};

use crate::store::Key;

/// The partition of the list.
pub(crate) const UNDELIVERED: &str = "untold";

/// The number of items of the list.
const ITEM_COUNT: u32 = 64;

/// The most notifications in an item: those that changed last.
const MAX_PER_ITEM: usize = 100;

/// The most characters that the list keeps of an error or a reason; the entry itself has the whole
/// text.
const MAX_ERROR_CHARS: usize = 500;

/// The key of the item that has a notification, if it is on the list.
pub(crate) fn undelivered_key(key: &NotificationKey) -> Key {
    let hash = key
        .as_str()
        .bytes()
        .fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    Key::new(UNDELIVERED, format!("{:02}", hash % ITEM_COUNT))
}

/// Whether a notification in this state belongs on the list.
pub(crate) fn is_undelivered(state: &NotificationState) -> bool {
    match state {
        NotificationState::Failed { .. } | NotificationState::Held { .. } => true,
        NotificationState::Claimed { .. }
        | NotificationState::Delivered { .. }
        | NotificationState::Suppressed => false,
    }
}

/// The value of an item of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Undelivered(pub(crate) BTreeMap<NotificationKey, NotificationEntry>);

impl Undelivered {
    /// Adds a notification to the list, or removes it, according to its state.
    pub(crate) fn update(&mut self, key: &NotificationKey, entry: &NotificationEntry) {
        if !is_undelivered(&entry.state) {
            self.0.remove(key);
            return;
        }
        self.0.insert(key.clone(), shortened(entry.clone()));
        while self.0.len() > MAX_PER_ITEM {
            let oldest = self.0.iter().min_by_key(|(_, entry)| entry.changed_at);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
            self.0.remove(&oldest);
        }
    }
}

fn shortened(mut entry: NotificationEntry) -> NotificationEntry {
    if let NotificationState::Failed { error: text, .. }
    | NotificationState::Held { reason: text, .. } = &mut entry.state
        && let Some((end, _)) = text.char_indices().nth(MAX_ERROR_CHARS)
    {
        text.truncate(end);
        text.push('…');
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn entry(number: usize, error: &str) -> (NotificationKey, NotificationEntry) {
        let account = format!("{number:012}").parse().unwrap();
        let entry = NotificationEntry {
            account: Some(account),
            notifier: "ams".into(),
            state: NotificationState::Failed {
                error: error.into(),
                effect_possible: false,
                for_good: None,
            },
            attempts: 1,
            changed_at: Timestamp::constant(number as i64, 0),
        };
        let account = format!("{number:012}").parse().unwrap();
        (NotificationKey::for_onboarding(&account, "ams"), entry)
    }

    #[test]
    fn an_item_keeps_those_that_changed_last_and_is_small() {
        let mut undelivered = Undelivered::default();
        for number in 0..MAX_PER_ITEM * 2 {
            let (key, entry) = entry(number, &"é".repeat(10_000));
            undelivered.update(&key, &entry);
        }
        assert_eq!(undelivered.0.len(), MAX_PER_ITEM);
        assert!(undelivered.0.contains_key(&entry(MAX_PER_ITEM * 2 - 1, "").0));
        assert!(!undelivered.0.contains_key(&entry(MAX_PER_ITEM - 1, "").0));
        assert!(serde_json::to_string(&undelivered).unwrap().len() < 300_000);
    }

    #[test]
    fn accounts_are_spread_over_the_items() {
        let items = (0..1000).map(|number| undelivered_key(&entry(number, "").0));
        let items: std::collections::BTreeSet<Key> = items.collect();
        assert!(items.len() > ITEM_COUNT as usize / 2, "{}", items.len());
    }
}
