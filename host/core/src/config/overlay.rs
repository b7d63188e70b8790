//! Laying one TOML text over another.

use toml::de::{DeTable, DeValue, Error};

/// A config and its overlay.
pub(super) struct Texts {
    /// One after the other, for finding lines.
    pub(super) both: String,
    /// The overlay, where it stands in both: before it there is only space.
    over: String,
    /// Where it begins.
    at: usize,
}

impl Texts {
    pub(super) fn new(text: &str, over: &str) -> Self {
        Self {
            both: format!("{text}\n{over}"),
            over: format!("{}\n{over}", " ".repeat(text.len())),
            at: text.len(),
        }
    }

    /// What they say together, and what is no TOML.
    pub(super) fn parse(&self) -> (DeTable<'_>, Vec<Error>) {
        let (root, mut errors) = DeTable::parse_recoverable(&self.both[..self.at]);
        let (over, of_over) = DeTable::parse_recoverable(&self.over);
        errors.extend(of_over);
        let mut root = root.into_inner();
        lay(&mut root, over.into_inner());
        (root, errors)
    }
}

fn lay<'i>(base: &mut DeTable<'i>, over: DeTable<'i>) {
    for (key, value) in over {
        let below = base.remove(key.get_ref().as_ref());
        let value = match below {
            Some(mut below) if below.get_ref().is_table() && value.get_ref().is_table() => {
                if let (DeValue::Table(below), DeValue::Table(over)) =
                    (below.get_mut(), value.into_inner())
                {
                    lay(below, over);
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
    use crate::config::{Config, LedgerPlace, Problems};

    const FILE: &str = "[updates]\nwait_seconds = 60\nreserve = 1\n[[lanes]]\nname = \"a\"\n";

    #[test]
    fn values_come_in_place_of_the_files() {
        let over = "updates.wait_seconds = 20\nledger.table = \"crew\"\n[[lanes]]\nname = \"b\"\n";
        let (config, problems) = Config::read_over(FILE, over);
        assert_eq!(problems, []);
        let config = config.unwrap();
        assert_eq!((config.updates.wait.as_secs(), config.updates.reserve), (20, 1));
        assert_eq!(config.ledger.place, LedgerPlace::Table("crew".into()));
        assert_eq!(config.lane_names(), ["b"]);
    }

    #[test]
    fn each_text_has_lines_of_its_own() {
        let file = format!("{FILE}\n[queues]\nevents_url = 1");
        let over = "\nupdates.wait_seconds = 0\nupdates.wiat = 1\n[aws]\nregion = ";
        let problems = Config::read_over(&file, over).1;
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
