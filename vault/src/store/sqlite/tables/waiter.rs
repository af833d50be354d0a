//! How a waiter lies in its table. Who comes first is decided elsewhere.

use rusqlite::{Connection, Row, params};

use super::{Stored, Table, int, uint};
use crate::{
    model::HolderId,
    store::{Binder, LeaseMode, NotAuthentic, WaiterRow},
};

impl Table for WaiterRow {
    const NAME: &'static str = "waiter";
    const KEY: &'static str = "id";
    const COLUMNS: &'static str = "id, rev, epoch, resource, ticket, at_most, holder, boot_id, until_ms, mac";
    const LOAD: &'static str =
        "SELECT id, rev, epoch, resource, ticket, at_most, holder, boot_id, until_ms, mac FROM waiter WHERE id = ?1";
    // Those who wait for what has a name are moved together with its lease.
    const REBOUND_WHERE: &'static str = "AND EXISTS (SELECT 1 FROM account WHERE account.id = waiter.resource)";

    fn bytes(&self) -> usize {
        0
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Stored<Self>> {
        let waiter = Self {
            id: row.get(0)?,
            rev: uint(row, 1)?,
            epoch: row.get(2)?,
            resource: row.get(3)?,
            ticket: uint(row, 4)?,
            mode: LeaseMode::of(row.get(5)?),
            holder: HolderId::from_bytes(row.get(6)?),
            boot_id: row.get(7)?,
            until_ms: uint(row, 8)?,
        };
        Ok(Stored { row: waiter, mac: row.get(9)? })
    }

    fn rebound(&self, binder: &dyn Binder) -> Result<Self, NotAuthentic> {
        Ok(Self { epoch: binder.epoch(), ..self.clone() })
    }

    fn write(&self, conn: &Connection, mac: &[u8; 32]) -> rusqlite::Result<()> {
        conn.prepare_cached("INSERT OR REPLACE INTO waiter VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?
            .execute(params![
                self.id.as_slice(),
                int(self.rev),
                self.epoch,
                self.resource.as_slice(),
                int(self.ticket),
                self.mode.at_most(),
                self.holder.as_bytes().as_slice(),
                self.boot_id.as_slice(),
                int(self.until_ms),
                mac.as_slice()
            ])?;
        Ok(())
    }
}
