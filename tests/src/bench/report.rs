//! Figures, as a table for people and as JSON. Knows no measurement.

use std::fmt;

use serde::Serialize;

/// One measured line.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The row's name in the table of demands.
    pub row: &'static str,
    /// What was measured.
    pub what: String,
    /// The other side, and its figure.
    pub yardstick: String,
    /// Our figure.
    pub ours: String,
    /// Ours by the yardstick, in the unit of the demand.
    pub ratio: f64,
    /// What the ratio has to be; none where the figure is for orientation.
    pub demand: Option<Demand>,
}

/// What a ratio has to be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

/// All figures of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Accounts in the large data set.
    pub large: u64,
    /// The figures, in the order of their measurement.
    pub figures: Vec<Figure>,
}

impl Demand {
    /// Whether a ratio satisfies it.
    #[must_use]
    pub fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(bound) => ratio <= bound,
            Self::AtLeast(bound) => ratio >= bound,
        }
    }
}

impl Figure {
    /// Whether it is what is demanded; true where nothing is.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.demand.is_none_or(|demand| demand.is_met(self.ratio))
    }
}

impl Report {
    /// Whether every demand is met.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.figures.iter().all(Figure::is_met)
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "<= {bound}"),
            Self::AtLeast(bound) => write!(f, ">= {bound}"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["row", "what", "yardstick", "ours", "ratio", "demand", ""].map(str::to_owned);
        let lines: Vec<[String; 7]> = std::iter::once(head).chain(self.figures.iter().map(cells)).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 7] = std::array::from_fn(width);
        for line in &lines {
            let padded = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(f, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        let missed = self.figures.iter().filter(|figure| !figure.is_met()).count();
        let demanded = self.figures.iter().filter(|figure| figure.demand.is_some()).count();
        write!(f, "{} of {demanded} demands met, large data set: {} accounts", demanded - missed, self.large)
    }
}

fn cells(figure: &Figure) -> [String; 7] {
    let met = match (figure.demand, figure.is_met()) {
        (None, _) => "",
        (Some(_), true) => "ok",
        (Some(_), false) => "MISSED",
    };
    [
        figure.row.to_owned(),
        figure.what.clone(),
        figure.yardstick.clone(),
        figure.ours.clone(),
        format!("{:.2}", figure.ratio),
        figure.demand.map(|demand| demand.to_string()).unwrap_or_default(),
        met.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Demand, Figure, Report};

    #[test]
    fn a_ratio_on_the_wrong_side_of_its_demand_is_missed() {
        for (demand, ratio, met) in [
            (Some(Demand::AtMost(2.0)), 2.0, true),
            (Some(Demand::AtMost(2.0)), 2.01, false),
            (Some(Demand::AtLeast(0.8)), 0.8, true),
            (Some(Demand::AtLeast(0.8)), 0.79, false),
            (None, 9.0, true),
        ] {
            let (yardstick, ours) = ("1 µs".to_owned(), "2 µs".to_owned());
            let figure = Figure { row: "1", what: "read".into(), yardstick, ours, ratio, demand };
            assert_eq!(figure.is_met(), met, "{figure:?}");
            let report = Report { large: 1, figures: vec![figure] };
            assert_eq!(report.is_met(), met);
            assert_eq!(report.to_string().contains("MISSED"), !met, "{report}");
        }
    }
}
