//! The lanes of a config: their names, and their ids. Only the ledger and the queues use the names.

use std::sync::Arc;

/// A lane, by its place in the order of the config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(usize);

impl LaneId {
    /// The first lane: that of accounts for which no policy names a lane.
    pub const FIRST: Self = Self(0);

    /// The lane at a place, counted from 0.
    pub const fn from_index(index: usize) -> Self {
        Self(index)
    }

    /// Its place, counted from 0: the number of lanes before it.
    pub const fn index(self) -> usize {
        self.0
    }
}

/// The names of the lanes, in their order. The only place that maps names to ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneNames(Arc<[String]>);

impl LaneNames {
    /// The id of the lane of this name; `None` if there is no such lane.
    pub fn id(&self, name: &str) -> Option<LaneId> {
        self.0.iter().position(|lane| lane == name).map(LaneId)
    }

    /// The name of a lane; empty if it is not among these.
    pub fn name(&self, lane: LaneId) -> &str {
        self.0.get(lane.0).map_or("", String::as_str)
    }

    /// Their names, in their order.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Their ids, in their order.
    pub fn ids(&self) -> impl Iterator<Item = LaneId> + use<> {
        (0..self.0.len()).map(LaneId)
    }

    /// Whether there is exactly one.
    pub fn has_one(&self) -> bool {
        self.0.len() == 1
    }
}

impl FromIterator<String> for LaneNames {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_id_belong_together() {
        let lanes: LaneNames = ["canary", "production"].map(str::to_owned).into_iter().collect();
        for (id, name) in lanes.ids().zip(lanes.names()) {
            assert_eq!((lanes.id(name), lanes.name(id)), (Some(id), name.as_str()));
        }
        assert_eq!(lanes.id("canary"), Some(LaneId::FIRST));
        assert_eq!(lanes.id("prod"), None);
        assert_eq!(lanes.name(LaneId::from_index(2)), "");
    }
}
