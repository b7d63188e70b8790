//! Orders of operators: this host logs those that it takes in.

use groundcrew_core::ports::{LedgerError, Orders};

use super::Updates;

impl Updates {
    /// Logs the orders that no host has taken in yet: who gave them, when, and what they are. Two
    /// hosts that read them at the same time both do, and one that dies in between leaves it to the
    /// next. Without it they are carried out all the same.
    pub(super) async fn log_orders(&self, orders: &Orders) {
        if orders.given > orders.taken_in
            && let Err(error) = self.log_orders_after(orders.taken_in).await
        {
            tracing::warn!(%error, "the trail of orders can't be read or written");
        }
    }

    async fn log_orders_after(&self, taken_in: u64) -> Result<(), LedgerError> {
        let ledger = &self.ports.ledger;
        let trail = ledger.trail().await?;
        for given in trail.iter().filter(|given| given.number > taken_in) {
            tracing::info!(
                number = given.number,
                by = %given.by,
                at = %given.at,
                what = %given.order,
                "order"
            );
        }
        match trail.last() {
            Some(last) => ledger.note_taken_in(last.number).await,
            None => Ok(()),
        }
    }
}
