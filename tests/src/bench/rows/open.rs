//! Row 9: opening a vault, large beside small, without what unlocking costs.

use latchkey_vault::{
    UnlockWith, Vault,
    crypto::{SlotRecord, Unlock},
    store::sqlite::SqliteFile,
};

use crate::bench::{
    Demand, Failure, Figure,
    bare::connect,
    data::{DataSet, opener},
    measure::{median, micros, scaled, timed},
};

/// Opens both in turns; the median of one by that of the other.
pub(in crate::bench) async fn a_vault(sets: &[DataSet; 2], effort: f64) -> Result<Vec<Figure>, Failure> {
    let mut sides = [Vec::new(), Vec::new()];
    let mut bare = [Vec::new(), Vec::new()];
    for _ in 0..scaled(ROUNDS, effort, 3) {
        for (n, set) in sets.iter().enumerate() {
            sides[n].push(open(set).await?);
            let (time, read) = timed(|| plain(set));
            read?;
            bare[n].push(micros(time));
        }
    }
    let [small, large] = sides.map(|times| median(times.into_iter()));
    let [bare_small, bare_large] = bare.map(|times| median(times.into_iter()));
    let figure = |what: String, yardstick: f64, ours: f64, demand| Figure {
        row: "9",
        what,
        yardstick: format!("{yardstick:.0} µs"),
        ours: format!("{ours:.0} µs"),
        ratio: ours / yardstick,
        demand,
    };
    let [few, many] = sets.each_ref().map(|set| set.accounts);
    Ok(vec![
        figure(format!("open a vault, {many} ÷ {few} accounts"), small, large, Some(Demand::AtMost(1.2))),
        figure(format!("a plain open and SELECT, {many} ÷ {few}"), bare_small, bare_large, None),
    ])
}

/// The microseconds that opening takes beyond unlocking.
async fn open(set: &DataSet) -> Result<f64, Failure> {
    let (paths, opener, identity) = (set.paths(), opener()?, set.identity()?);
    let with = UnlockWith::Identity(identity.duplicate());
    let started = std::time::Instant::now();
    let vault = Vault::open(&paths, opener, with).await?;
    let opened = started.elapsed();
    vault.close().await?;
    let file = SqliteFile::open(&paths.file)?;
    let slot = file.key_material().slots.first().ok_or("there is no slot")?;
    let (unlocked, root) = timed(|| SlotRecord::from_bytes(slot)?.unlock(file.vault(), &Unlock::Identity(&identity)));
    root?;
    Ok(micros(opened.saturating_sub(unlocked)))
}

fn plain(set: &DataSet) -> Result<(), Failure> {
    connect(&set.file())?.query_row("SELECT sealed FROM account LIMIT 1", [], |_| Ok(()))?;
    Ok(())
}

/// Openings of each side: a millisecond each.
const ROUNDS: u32 = 200;
