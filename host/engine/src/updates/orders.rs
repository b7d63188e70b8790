//! Operator commands (orders): this host logs those that it reads.

use groundcrew_core::ports::{LedgerError, Orders};

use super::Updates;

impl Updates {
    /// Logs the orders that no host has logged yet: who gave them, when, and what they are. Two
    /// hosts that read them at the same time both log them. If a host dies in between, the next one
    /// logs them. Orders take effect even if they are not logged.
    pub(super) async fn log_orders(&self, orders: &Orders) {
        if orders.last_number > orders.last_logged
            && let Err(error) = self.log_orders_after(orders.last_logged).await
        {
            tracing::warn!(%error, "the trail of orders can't be read or written");
        }
    }

    async fn log_orders_after(&self, last_logged: u64) -> Result<(), LedgerError> {
        let ledger = &self.ports.ledger;
        let trail = ledger.trail().await?;
        for trail_entry in trail.iter().filter(|trail_entry| trail_entry.number > last_logged) {
            tracing::info!(
                number = trail_entry.number,
                by = %trail_entry.by,
                at = %trail_entry.at,
                what = %trail_entry.order,
                "order"
            );
        }
        match trail.last() {
            Some(last) => ledger.record_logged(last.number).await,
            None => Ok(()),
        }
    }
}
