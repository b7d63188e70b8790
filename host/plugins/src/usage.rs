//! Memory and tables of one instance, summed.

use groundcrew_core::limits::Limits;
use wasmtime::{ResourceLimiter, Result};

use crate::engine::{MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_TABLES};

/// A limit that growth ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeniedGrowth {
    Memory,
    TableElements,
}

/// What the instance uses, over all its memories and all its tables.
#[derive(Debug)]
pub(crate) struct Usage {
    memory: Counter,
    table_elements: Counter,
    /// The last growth that was denied. A guest whose allocator gets no memory aborts. By itself
    /// that looks like any other trap.
    pub(crate) denied: Option<DeniedGrowth>,
}

impl Usage {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory: Counter { used: 0, limit: limits.memory },
            table_elements: Counter { used: 0, limit: limits.table_elements },
            denied: None,
        }
    }
}

#[derive(Debug)]
struct Counter {
    used: u64,
    limit: u64,
}

impl Counter {
    /// Adds the growth of one part, unless the sum would exceed the limit.
    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let growth = desired.saturating_sub(current) as u64;
        let wanted = self.used.saturating_add(growth);
        let granted = wanted <= self.limit;
        if granted {
            self.used = wanted;
        }
        granted
    }
}

impl ResourceLimiter for Usage {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        // Beyond its own maximum the growth fails anyway and must not be counted.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let granted = self.memory.grow(current, desired);
        if !granted {
            self.denied = Some(DeniedGrowth::Memory);
        }
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let granted = self.table_elements.grow(current, desired);
        if !granted {
            self.denied = Some(DeniedGrowth::TableElements);
        }
        Ok(granted)
    }

    fn instances(&self) -> usize {
        MAX_CORE_INSTANCES as usize
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES as usize
    }

    fn tables(&self) -> usize {
        MAX_TABLES as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_summed() {
        let mut usage = Usage::new(&Limits { memory: 3 << 16, ..Limits::default() });
        assert!(usage.memory_growing(0, 2 << 16, None).unwrap());
        assert!(usage.memory_growing(0, 1 << 16, None).unwrap());
        assert!(!usage.memory_growing(1 << 16, 2 << 16, None).unwrap());
        assert_eq!(usage.denied, Some(DeniedGrowth::Memory));
    }

    #[test]
    fn growth_past_its_own_maximum_is_not_counted() {
        let mut usage = Usage::new(&Limits { table_elements: 10, ..Limits::default() });
        assert!(!usage.table_growing(0, 9, Some(5)).unwrap());
        assert!(usage.table_growing(0, 10, None).unwrap());
        assert_eq!(usage.denied, None);
    }
}
