//! Who waits for a lease: the row, and until when somebody stands in line. Knows no SQL and takes the time as an argument.

use super::{BoundRow, LeaseMode, RowHasher};
use crate::{
    crypto::{Kind, Place},
    model::{BootStamp, HolderId},
};

/// Somebody who waits for a lease. The row goes with the grant, or once its owner has given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaiterRow {
    /// Which waiter; random, chosen by whoever waits.
    pub id: [u8; 16],
    /// Grows by one with every write; the first is 1.
    pub rev: u64,
    /// Key epoch of the MAC.
    pub epoch: u32,
    /// What is waited for, as a lease names it.
    pub resource: [u8; 16],
    /// The order of waiters: given by the store, grows over all commits.
    pub ticket: u64,
    /// How it is to be leased.
    pub mode: LeaseMode,
    /// Which process waits.
    pub holder: HolderId,
    /// The boot that `until_ms` counts in.
    pub boot_id: [u8; 16],
    /// Until when it stands in line, in milliseconds of that boot: moved on as it asks again, never beyond its deadline.
    pub until_ms: u64,
}

impl WaiterRow {
    /// Whether it still stands in line at `now`; `process_is_dead` where its process is known to have ended.
    #[must_use]
    pub fn stands(&self, now: BootStamp, process_is_dead: impl FnOnce() -> bool) -> bool {
        self.boot_id == now.boot_id && now.ms < self.until_ms && !process_is_dead()
    }
}

impl BoundRow for WaiterRow {
    fn place(&self) -> Place {
        Place { kind: Kind::Waiter, id: self.id, rev: self.rev }
    }

    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn feed(&self, hasher: &mut RowHasher) {
        hasher
            .bytes(&self.id)
            .int(self.rev)
            .int(self.epoch.into())
            .bytes(&self.resource)
            .int(self.ticket)
            .int(self.mode.at_most().into())
            .bytes(self.holder.as_bytes())
            .bytes(&self.boot_id)
            .int(self.until_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::WaiterRow;
    use crate::{
        model::{BootStamp, HolderId},
        store::{BoundRow, LeaseMode},
    };

    fn row() -> WaiterRow {
        WaiterRow {
            id: [1; 16],
            rev: 1,
            epoch: 1,
            resource: [2; 16],
            ticket: 7,
            mode: LeaseMode::Exclusive,
            holder: HolderId::from_bytes([3; 16]),
            boot_id: [4; 16],
            until_ms: 100,
        }
    }

    #[test]
    fn somebody_stands_in_line_until_the_deadline_in_this_boot_while_its_process_lives() {
        let now = BootStamp { boot_id: [4; 16], ms: 99 };
        assert!(row().stands(now, || false));
        assert!(!row().stands(BootStamp { ms: 100, ..now }, || false), "the deadline has passed");
        assert!(!row().stands(BootStamp { boot_id: [5; 16], ms: 1 }, || false), "another boot");
        assert!(!row().stands(now, || true), "the process is dead");
    }

    #[test]
    fn every_column_is_in_the_hash_of_the_row() {
        type Change = fn(&mut WaiterRow);
        let changes: [(&str, Change); 9] = [
            ("id", |row| row.id[0] ^= 1),
            ("rev", |row| row.rev += 1),
            ("epoch", |row| row.epoch += 1),
            ("resource", |row| row.resource[0] ^= 1),
            ("ticket", |row| row.ticket += 1),
            ("mode", |row| row.mode = LeaseMode::Shared { at_most: 2 }),
            ("holder", |row| row.holder = HolderId::from_bytes([9; 16])),
            ("boot_id", |row| row.boot_id[0] ^= 1),
            ("until_ms", |row| row.until_ms += 1),
        ];
        for (column, change) in changes {
            let mut other = row();
            change(&mut other);
            assert_ne!(row().row_hash(), other.row_hash(), "{column}");
        }
    }
}
