//! Rows 1 to 3: reading, beside a plain SELECT and ring's opening of as many bytes.

use std::{collections::BTreeSet, time::Duration};

use latchkey_vault::{Vault, model::Field};

use crate::bench::{
    Demand, Failure, Figure,
    bare::Bare,
    data::{DataSet, account_id, ask},
    measure::{Times, scaled, timed},
};

/// Row 1: a secret under a live lease, the bucket warm; the first touch of a bucket beside it.
pub(in crate::bench) async fn under_a_lease(set: &DataSet, effort: f64) -> Result<Vec<Figure>, Failure> {
    let (vault, bare) = (set.open().await?, Bare::open(&set.file())?);
    let ids = set.ids()?;
    let mut first = Vec::new();
    let mut lent = Vec::new();
    for id in spread(&ids, LEASES) {
        lent.push((id, vault.check_out(account_id(id), &ask()).await?));
    }
    // The buckets of the lent accounts are warm now; others are not.
    let warm: BTreeSet<u16> = lent.iter().map(|(id, _)| bucket(id)).collect();
    let mut touched = warm;
    for id in ids.iter().filter(|id| touched.insert(bucket(id))) {
        first.push(account_time(&vault, id).await?);
    }
    let (mut ours, mut plain) = (Times::default(), Times::default());
    for slice in 0..scaled(SLICES, effort, 3) {
        let mut times = Vec::with_capacity(READS);
        for n in 0..READS {
            let (_, checkout) = &lent[n % lent.len()];
            let started = std::time::Instant::now();
            let secret = vault.read_secret(checkout, Field::Password).await?;
            times.push(started.elapsed());
            if secret.is_none() {
                return Err("an account has no password".into());
            }
        }
        ours.add(times);
        plain.add(bare_slice(READS, |n| bare.read_account(&lent[n % lent.len()].0))?);
        tracing::debug!(slice, "row 1");
    }
    let mut cold = Times::default();
    cold.add(first);
    let bare_read = plain.p50();
    vault.close().await?;
    let figure = |what: &str, ours: f64, demand| Figure {
        row: "1",
        what: what.to_owned(),
        yardstick: format!("SELECT + open {bare_read:.1} µs"),
        ours: format!("{ours:.1} µs"),
        ratio: ours / bare_read,
        demand,
    };
    Ok(vec![
        figure("a secret under a live lease", ours.p50(), Some(Demand::AtMost(2.0))),
        figure("first touch of a bucket (1 in 4096)", cold.p50(), None),
    ])
}

/// Row 2: reading where the vault is small enough, or what is read is hot, beside the small vault.
pub(in crate::bench) async fn small_or_hot(sets: &[DataSet; 3], effort: f64) -> Result<Vec<Figure>, Failure> {
    let [small, medium, large] = sets;
    let mut sides =
        [Side::new(small, usize::MAX).await?, Side::new(medium, usize::MAX).await?, Side::new(large, HOT).await?];
    run(&mut sides, effort).await?;
    let [base, medium, hot] = sides.each_ref().map(|side| side.ours.p99());
    for side in sides {
        side.vault.close().await?;
    }
    let figure = |what: String, ours: f64| Figure {
        row: "2",
        what,
        yardstick: format!("p99 {base:.1} µs"),
        ours: format!("p99 {ours:.1} µs"),
        ratio: ours / base,
        demand: Some(Demand::AtMost(1.5)),
    };
    Ok(vec![
        figure(format!("read, {} accounts ÷ {}", sets[1].accounts, small.accounts), medium),
        figure(format!("read, {HOT} hot ones of {} ÷ {}", large.accounts, small.accounts), hot),
    ])
}

/// Row 3: reading any account, large beside small, and how much the bare side grows.
pub(in crate::bench) async fn uniform(sets: &[DataSet; 2], effort: f64) -> Result<Vec<Figure>, Failure> {
    let [small, large] = sets;
    let mut sides = [Side::new(small, usize::MAX).await?, Side::new(large, usize::MAX).await?];
    run(&mut sides, effort).await?;
    let [base, grown] = sides.each_ref().map(|side| (side.ours.p99(), side.plain.p99()));
    for side in sides {
        side.vault.close().await?;
    }
    let (ours, bare) = (grown.0 / base.0, grown.1 / base.1);
    Ok(vec![Figure {
        row: "3",
        what: format!("growth of a read's p99, {} ÷ {} accounts", large.accounts, small.accounts),
        yardstick: format!("p99 {:.1} ÷ {:.1} µs = {bare:.2}", grown.1, base.1),
        ours: format!("p99 {:.1} ÷ {:.1} µs = {ours:.2}", grown.0, base.0),
        ratio: ours / bare,
        demand: Some(Demand::AtMost(1.2)),
    }])
}

/// One data set, read by both.
struct Side {
    vault: Vault,
    bare: Bare,
    ids: Vec<[u8; 16]>,
    at: u64,
    ours: Times,
    plain: Times,
}

impl Side {
    /// Opens a data set and touches each bucket that will be read once; of the ids at most `hot` are read.
    async fn new(set: &DataSet, hot: usize) -> Result<Self, Failure> {
        let ids = set.ids()?;
        let ids = if hot < ids.len() { spread(&ids, hot).collect() } else { ids };
        let vault = set.open().await?;
        let mut touched = BTreeSet::new();
        for id in ids.iter().filter(|id| touched.insert(bucket(id))) {
            vault.account(account_id(*id)).await?;
        }
        let bare = Bare::open(&set.file())?;
        Ok(Self { vault, bare, ids, at: 1, ours: Times::default(), plain: Times::default() })
    }

    async fn slice(&mut self) -> Result<(), Failure> {
        let ids: Vec<[u8; 16]> = (0..READS).map(|_| self.next()).collect();
        let mut times = Vec::with_capacity(READS);
        for id in &ids {
            times.push(account_time(&self.vault, id).await?);
        }
        self.ours.add(times);
        // Other ones, since these lie in the caches now.
        let ids: Vec<[u8; 16]> = (0..READS).map(|_| self.next()).collect();
        let both = |n: usize| self.bare.read_account(&ids[n]).and_then(|()| self.bare.read_session(&ids[n]));
        self.plain.add(bare_slice(READS, both)?);
        Ok(())
    }

    /// The next id by a generator that visits them in no order: Knuth's multiplier for 64 bits, high bits taken.
    fn next(&mut self) -> [u8; 16] {
        self.at = self.at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let high = usize::try_from(self.at >> 33).unwrap_or(0);
        self.ids[high % self.ids.len()]
    }
}

async fn run(sides: &mut [Side], effort: f64) -> Result<(), Failure> {
    for slice in 0..scaled(SLICES, effort, 3) {
        for side in sides.iter_mut() {
            side.slice().await?;
        }
        tracing::debug!(slice, "reading");
    }
    Ok(())
}

async fn account_time(vault: &Vault, id: &[u8; 16]) -> Result<Duration, Failure> {
    let started = std::time::Instant::now();
    vault.account(account_id(*id)).await?;
    Ok(started.elapsed())
}

fn bare_slice(reads: usize, read: impl Fn(usize) -> Result<(), Failure>) -> Result<Vec<Duration>, Failure> {
    let one = |n| {
        let (time, read) = timed(|| read(n));
        read.map(|()| time)
    };
    (0..reads).map(one).collect()
}

/// So many ids, from everywhere.
fn spread(ids: &[[u8; 16]], count: usize) -> impl Iterator<Item = [u8; 16]> {
    let step = (ids.len() / count.max(1)).max(1);
    ids.iter().step_by(step).take(count).copied()
}

/// The bucket of the digest that an id falls into (FORMAT.md, Rows and the digest).
fn bucket(id: &[u8; 16]) -> u16 {
    u16::from_be_bytes([id[0], id[1]]) >> 4
}

/// Slices of a whole run: with those of the other side some seconds.
const SLICES: u32 = 300;
/// Reads in one slice: some milliseconds, and enough for a 99th percentile.
const READS: usize = 1000;
/// Accounts that are lent at once.
const LEASES: usize = 64;
/// Accounts that are hot.
const HOT: usize = 1000;
