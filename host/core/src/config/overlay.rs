//! Merges two TOML texts.

use toml::de::{DeTable, DeValue, Error};

use super::keys::TABLES;

/// A config and its overlay.
pub(super) struct LayeredToml {
    /// Both texts in sequence, to find lines.
    pub(super) both: String,
    /// The overlay at its position in `both`: before it there are only spaces.
    over: String,
    /// The position of the overlay.
    at: usize,
}

impl LayeredToml {
    pub(super) fn new(text: &str, over: &str) -> Self {
        Self {
            both: format!("{text}\n{over}"),
            over: format!("{}\n{over}", " ".repeat(text.len())),
            at: text.len(),
        }
    }

    /// The merged table, and the syntax errors.
    pub(super) fn parse(&self) -> (DeTable<'_>, Vec<Error>) {
        let (root, mut errors) = DeTable::parse_recoverable(&self.both[..self.at]);
        let (over, of_over) = DeTable::parse_recoverable(&self.over);
        errors.extend(of_over);
        let (mut root, over) = (root.into_inner(), over.into_inner());
        drop_other_names(&mut root, &over);
        merge(&mut root, over);
        (root, errors)
    }
}

/// Removes keys from the config that the overlay has under another of their names. Otherwise the
/// result would have both the older and the newer name.
fn drop_other_names(base: &mut DeTable<'_>, over: &DeTable<'_>) {
    for table in TABLES.iter().filter(|table| !table.many) {
        let Some(over) = over.get(table.name).and_then(|value| value.get_ref().as_table()) else {
            continue;
        };
        let below = base.get_mut(table.name).map(|value| value.get_mut());
        let Some(DeValue::Table(below)) = below else { continue };
        for key in table.keys {
            let names: Vec<&str> = key.names().collect();
            if names.iter().any(|name| over.contains_key(*name)) {
                names.iter().for_each(|name| drop(below.remove(*name)));
            }
        }
    }
}

fn merge<'i>(base: &mut DeTable<'i>, over: DeTable<'i>) {
    for (key, value) in over {
        let below = base.remove(key.get_ref().as_ref());
        let value = match below {
            Some(mut below) if below.get_ref().is_table() && value.get_ref().is_table() => {
                if let (DeValue::Table(below), DeValue::Table(over)) =
                    (below.get_mut(), value.into_inner())
                {
                    merge(below, over);
                }
                below
            }
            _ => value,
        };
        base.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, LedgerLocation, Problems};
    use rstest::rstest;

    const FILE: &str = "[updates]\npoll_interval = 60\nreserve = 1\n[[lanes]]\nname = \"a\"\n";

    #[test]
    fn values_come_in_place_of_the_files() {
        let over = "updates.poll_interval = 20\nledger.table = \"crew\"\n[[lanes]]\nname = \"b\"\n";
        let (config, problems) = Config::read_with_overlay(FILE, over);
        assert_eq!(problems, []);
        let config = config.unwrap();
        assert_eq!((config.updates.poll_interval.as_secs(), config.updates.reserve), (20, 1));
        assert_eq!(config.ledger.location, LedgerLocation::Table("crew".into()));
        assert_eq!(config.lane_names(), ["b"]);
    }

    #[rstest]
    #[case::a_newer_name("[updates]\nwait_seconds = 60", "updates.poll_interval = \"20s\"", 0)]
    #[case::an_older_name("[updates]\npoll_interval = \"1m\"", "updates.wait_seconds = 20", 1)]
    #[case::the_same("[updates]\nwait_seconds = 60", "updates.wait_seconds = 20", 1)]
    fn an_older_name_of_a_key_counts_as_the_key(
        #[case] file: &str,
        #[case] over: &str,
        #[case] warnings: usize,
    ) {
        let (config, problems) = Config::read_with_overlay(file, over);
        assert_eq!(problems, []);
        let config = config.unwrap();
        assert_eq!(config.updates.poll_interval.as_secs(), 20);
        assert_eq!(config.warnings.len(), warnings, "{:?}", config.warnings);
    }

    #[test]
    fn each_text_has_lines_of_its_own() {
        let file = format!("{FILE}\n[queues]\nevents_url = 1");
        let over = "\nupdates.poll_interval = 0\nupdates.wiat = 1\n[aws]\nregion = ";
        let problems = Config::read_with_overlay(&file, over).1;
        let told = Problems::new("crew.toml", problems).within(&file).to_string();
        let lines: Vec<_> =
            told.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>()).collect();
        let places: Vec<_> =
            lines.iter().map(|parts| format!("{}:{}", parts[0], parts[1])).collect();
        assert_eq!(
            places,
            [
                "crew.toml:8",
                "GROUNDCREW_OVERLAY:2",
                "GROUNDCREW_OVERLAY:3",
                "GROUNDCREW_OVERLAY:5",
                "GROUNDCREW_OVERLAY:5",
            ],
            "{told}"
        );
    }
}
