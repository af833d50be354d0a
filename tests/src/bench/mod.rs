//! The bench: each row of figures runs its yardstick beside ours, in turns, and says the ratio and the demand.
//!
//! A yardstick is what the same work costs without Latchkey: plain rusqlite on the same file, with the same pragmas, and
//! ring where something is opened or sealed. Absolute times are for orientation, since machines and their neighbours
//! differ; the ratio of two sides that ran in turns is what counts. Nothing here decides what is good enough: the
//! demands are given with the rows.

mod bare;
mod data;
mod measure;
mod report;
mod rows;

use std::path::PathBuf;

use thiserror::Error;

pub use report::{Demand, Figure, Report};
pub use rows::{ROWS, RowName, stream_in_this_process};

use data::Data;

/// What is to be measured, on how much.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Which rows, in order.
    pub rows: Vec<RowName>,
    /// Accounts in the large data set.
    pub large: u64,
    /// Where data sets are kept between runs.
    pub folder: PathBuf,
    /// How much patience: 1.0 is a whole run, less takes fewer samples.
    pub effort: f64,
}

/// Why there are no figures.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BenchError {
    /// A data set could not be made or opened.
    #[error("the data set of {accounts} accounts: {source}")]
    Data {
        /// Its size.
        accounts: u64,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A side failed while it was measured.
    #[error("row {row}: {source}")]
    Row {
        /// Which row.
        row: &'static str,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Any failure of a side, until the row's name is put to it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures the rows one after the other; `done` hears of each as soon as it is there.
///
/// # Errors
/// [`BenchError`]; the rows before it have been told.
pub async fn run(ask: &Ask, mut done: impl FnMut(&Figure)) -> Result<Report, BenchError> {
    let mut data = Data::new(ask.folder.clone(), ask.large);
    let mut figures = Vec::new();
    for row in &ask.rows {
        for figure in rows::measure(*row, &mut data, ask.effort).await? {
            done(&figure);
            figures.push(figure);
        }
    }
    Ok(Report { large: ask.large, figures })
}
