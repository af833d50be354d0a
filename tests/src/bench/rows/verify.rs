//! Row `verify`: the full check, beside a pass that reads the same rows and does nothing with them.

use crate::bench::{
    Demand, Failure, Figure,
    bare::Bare,
    data::DataSet,
    measure::{median, scaled, timed},
};

/// Both sides in turns, on the medium data set often and on the large one once more.
pub(in crate::bench) async fn everything(
    medium: &DataSet,
    large: &DataSet,
    effort: f64,
) -> Result<Vec<Figure>, Failure> {
    let mut figures = vec![one(medium, scaled(ROUNDS, effort, 1)).await?];
    if large.accounts > medium.accounts {
        figures.push(one(large, 1).await?);
    }
    Ok(figures)
}

async fn one(set: &DataSet, rounds: u32) -> Result<Figure, Failure> {
    let (vault, bare) = (set.open().await?, Bare::open(&set.file())?);
    let (mut ours, mut plain, mut rows) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds {
        let started = std::time::Instant::now();
        let findings = vault.verify(Box::new(|_, _| ())).await?;
        ours.push(started.elapsed().as_secs_f64());
        if !findings.is_empty() {
            return Err("the data set is damaged; remove it, and it is made anew".into());
        }
        let (time, read) = timed(|| bare.read_everything());
        rows = read?;
        plain.push(time.as_secs_f64());
    }
    vault.close().await?;
    let (ours, plain) = (median(ours.into_iter()), median(plain.into_iter()));
    Ok(Figure {
        row: "verify",
        what: format!("verify {} accounts ({rows} rows)", set.accounts),
        yardstick: format!("read them {plain:.2} s"),
        ours: format!("{ours:.2} s"),
        ratio: ours / plain,
        demand: Some(Demand::AtMost(2.0)),
    })
}

/// Rounds of a whole run.
const ROUNDS: u32 = 5;
