//! Row 11: bringing everything under a new data key, beside a plain update of the same rows.

use std::{path::Path, time::Instant};

use rusqlite::{Statement, params};

use crate::bench::{
    Demand, Failure, Figure,
    bare::connect,
    data::DataSet,
    measure::{median, scaled, timed},
};

/// Both sides in turns, each on a copy of its own; how much of the plain rate ours has.
pub(in crate::bench) async fn everything(set: &DataSet, effort: f64) -> Result<Vec<Figure>, Failure> {
    let (mut ours, mut plain, mut rows) = (Vec::new(), Vec::new(), 0);
    for _ in 0..scaled(ROUNDS, effort, 1) {
        let folder = tempfile::tempdir_in(set.folder().parent().ok_or("a data set lies in a folder")?)?;
        let vault = set.copy_to(folder.path())?.open().await?;
        let started = Instant::now();
        vault.rotate_keys().await?;
        vault.reseal(Box::new(|_, _| ())).await?;
        ours.push(started.elapsed().as_secs_f64());
        vault.close().await?;
        drop(folder);

        let folder = tempfile::tempdir_in(set.folder().parent().ok_or("a data set lies in a folder")?)?;
        let file = set.copy_to(folder.path())?.file();
        let (time, updated) = timed(|| update(&file));
        rows = updated?;
        plain.push(time.as_secs_f64());
    }
    let (ours, plain) = (median(ours.into_iter()), median(plain.into_iter()));
    let rate = |seconds: f64| rows as f64 / seconds / 1000.0;
    Ok(vec![Figure {
        row: "11",
        what: format!("re-seal {rows} rows, the file written anew at the end"),
        yardstick: format!("UPDATE, VACUUM {:.1}k rows/s", rate(plain)),
        ours: format!("{:.1}k rows/s", rate(ours)),
        ratio: plain / ours,
        demand: Some(Demand::AtLeast(0.8)),
    }])
}

/// What a row is updated with.
struct New {
    id: [u8; 16],
    /// The number of an audit entry: from 1, without gaps.
    seq: i64,
    sealed: Vec<u8>,
}

/// A table, the ids and lengths of its rows, the update of one, and what is bound to it.
struct Table {
    rows: &'static str,
    update: &'static str,
    bind: fn(&mut Statement<'_>, &New) -> rusqlite::Result<usize>,
}

/// Writes as many bytes to the same columns of the same rows, in batches, and then the file anew; returns the rows.
fn update(file: &Path) -> Result<u64, Failure> {
    let conn = connect(file)?;
    let checkpoints = connect(file)?;
    let mut rows = 0;
    for table in &TABLES {
        let found: Vec<([u8; 16], u32)> =
            conn.prepare(table.rows)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        for (batch, first) in found.chunks(BATCH).zip((1..).step_by(BATCH)) {
            conn.execute_batch("BEGIN IMMEDIATE")?;
            let mut update = conn.prepare_cached(table.update)?;
            for ((id, length), seq) in batch.iter().zip(first..) {
                (table.bind)(&mut update, &New { id: *id, seq, sealed: vec![id[0]; *length as usize] })?;
            }
            conn.execute_batch("COMMIT")?;
            checkpoints.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
            rows += batch.len() as u64;
        }
    }
    conn.execute_batch("VACUUM")?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(rows)
}

fn account(update: &mut Statement<'_>, new: &New) -> rusqlite::Result<usize> {
    // As scattered as new indexes are, and as unlike each other.
    let [site, login, manager] = [1, 5, 9].map(|by| turned(&new.id, by));
    update.execute(params![new.id, site, login, manager, new.sealed, [new.id[1]; 32]])
}

fn session(update: &mut Statement<'_>, new: &New) -> rusqlite::Result<usize> {
    update.execute(params![new.id, new.sealed, [new.id[1]; 32]])
}

fn audit(update: &mut Statement<'_>, new: &New) -> rusqlite::Result<usize> {
    update.execute(params![new.seq, new.sealed])
}

fn turned(id: &[u8; 16], by: usize) -> [u8; 16] {
    let mut turned = *id;
    turned.rotate_left(by);
    turned
}

const TABLES: [Table; 3] = [
    Table {
        rows: "SELECT id, length(sealed) FROM account ORDER BY id",
        update: "UPDATE account SET epoch = 2, ix_site = ?2, ix_login = ?3, ix_manager = ?4, sealed = ?5, mac = ?6
            WHERE id = ?1",
        bind: account,
    },
    Table {
        rows: "SELECT account, length(sealed) FROM session ORDER BY account",
        update: "UPDATE session SET epoch = 2, sealed = ?2, mac = ?3 WHERE account = ?1",
        bind: session,
    },
    Table {
        rows: "SELECT id, length(sealed) FROM audit ORDER BY writer, seq",
        update: "UPDATE audit SET sealed = ?2 WHERE writer = 1 AND seq = ?1",
        bind: audit,
    },
];
/// As many rows as a batch of the re-seal has.
const BATCH: usize = 2000;
/// Rounds of a whole run; each copies the data set twice.
const ROUNDS: u32 = 3;
