//! The rows: one function each, which runs both sides in turns.
//!
//! To add one: a name here, a function in the file of its kind, and its demand with it.

mod open;
mod read;
mod reseal;
mod stream;
mod verify;

use super::{BenchError, Failure, data::Data, report::Figure};

pub use stream::stream_in_this_process;

/// Names a row of the table of demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowName {
    /// Reading a secret under a lease.
    Read,
    /// How reading grows with the vault where it is small or hot.
    Growth,
    /// How reading grows with the vault where every account is as likely.
    Uniform,
    /// Opening a vault.
    Open,
    /// A change of keys.
    Reseal,
    /// Memory of a pass over all accounts.
    Stream,
    /// The full check.
    Verify,
}

/// All rows, in the order of the table of demands.
pub const ROWS: [RowName; 7] = [
    RowName::Read,
    RowName::Growth,
    RowName::Uniform,
    RowName::Open,
    RowName::Reseal,
    RowName::Stream,
    RowName::Verify,
];

impl RowName {
    /// The name that the command line and the table have for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "1",
            Self::Growth => "2",
            Self::Uniform => "3",
            Self::Open => "9",
            Self::Reseal => "11",
            Self::Stream => "12",
            Self::Verify => "verify",
        }
    }

    /// The row of this name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        ROWS.into_iter().find(|row| row.word() == word)
    }
}

/// Measures one row: one figure or more.
pub(super) async fn measure(row: RowName, data: &mut Data, effort: f64) -> Result<Vec<Figure>, BenchError> {
    let named = |source: Failure| BenchError::Row { row: row.word(), source };
    match row {
        RowName::Read => read::under_a_lease(&data.small().await?, effort).await.map_err(named),
        RowName::Growth => {
            let sets = [data.small().await?, data.medium().await?, data.large().await?];
            read::small_or_hot(&sets, effort).await.map_err(named)
        }
        RowName::Uniform => {
            let sets = [data.small().await?, data.large().await?];
            read::uniform(&sets, effort).await.map_err(named)
        }
        RowName::Open => {
            let sets = [data.small().await?, data.large().await?];
            open::a_vault(&sets, effort).await.map_err(named)
        }
        RowName::Reseal => reseal::everything(&data.medium().await?, effort).await.map_err(named),
        RowName::Stream => stream::all_accounts(&data.large().await?).await.map_err(named),
        RowName::Verify => verify::everything(&data.medium().await?, &data.large().await?, effort).await.map_err(named),
    }
}
