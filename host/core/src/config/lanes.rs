//! `[[lanes]]`: the order in which accounts are updated.

use toml::de::DeTable;

use super::UpdatesConfig;
use super::keys;
use super::reader::Reader;
use crate::scheduler::LaneRules;

/// The lanes and their lines. Without a configured lane there is one default lane, which has no
/// line.
pub(super) fn read(
    reader: &mut Reader<'_>,
    root: Option<&DeTable<'_>>,
    updates: &UpdatesConfig,
) -> (Vec<LaneRules>, Vec<usize>) {
    let (mut lanes, mut lines): (Vec<LaneRules>, Vec<usize>) = Default::default();
    for section in reader.tables::<keys::Lanes>(root) {
        let lane = section.keys;
        let quota = updates.account_quota;
        let concurrency = lane.concurrency.value.unwrap_or(updates.max_concurrent_operations);
        if let Some(concurrency) = lane.concurrency.value
            && concurrency > quota
        {
            let message = format!(
                "`lanes.concurrency` is {concurrency}, above `updates.account_quota` ({quota}): \
                 expected 1 to {quota}"
            );
            reader.problem(lane.concurrency.line, message);
        }
        let Some(name) = lane.name.value else { continue };
        if lanes.iter().any(|lane| lane.name == name) {
            let message = format!("a second lane is named `{name}`: each needs its own name");
            reader.problem(lane.name.line, message);
        }
        lanes.push(LaneRules {
            name,
            concurrency,
            start_when: lane.start_when.value,
            held: lane.held.value,
            soak: lane.soak.value.unwrap_or_default(),
            failure_threshold: lane.failure_threshold.value,
        });
        lines.push(section.line);
    }
    if lanes.is_empty() {
        lanes.push(LaneRules::new("all", updates.max_concurrent_operations));
    }
    (lanes, lines)
}
