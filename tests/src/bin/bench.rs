//! `bench`: figures beside their yardsticks, and whether they are what is demanded.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use latchkey_tests::bench::{Ask, BenchError, ROWS, Report, RowName, run, stream_in_this_process};
use tracing_subscriber::EnvFilter;

/// Measures Latchkey beside plain SQLite and ring, in turns, and prints ratios and demands.
///
/// Ends with 0 when every demand is met, 1 when one is missed, 2 when there are no figures.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Args {
    /// Which rows: 1, 2, 3, 9, 11, 12, verify [default: all]
    #[arg(value_name = "ROW", value_parser = row)]
    rows: Vec<RowName>,
    /// 100,000 accounts in place of a million, and fewer samples: some three minutes in place of twenty
    #[arg(long)]
    quick: bool,
    /// Accounts in the large data set
    #[arg(long, value_name = "N", default_value_t = 1_000_000, default_value_if("quick", "true", "100000"))]
    large: u64,
    /// Where the data sets are kept: a million accounts take 7 GB [default: latchkey-bench in the user's cache folder]
    #[arg(long, env = "LATCHKEY_BENCH_DIR", value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// The result as one line of JSON
    #[arg(long)]
    json: bool,
    /// How many samples are taken: 1 is a whole run [default: 1, or 0.2 with --quick]
    #[arg(long, value_name = "PART", value_parser = effort)]
    effort: Option<f64>,
    /// One side of row 12, which needs a process of its own
    #[arg(long, hide = true, value_name = "FOLDER")]
    stream: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("bench=info,latchkey_tests=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).without_time().init();
    match tokio::runtime::Runtime::new().map(|runtime| runtime.block_on(act(&args))) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => fail(error.as_ref()),
        Err(error) => fail(&error),
    }
}

async fn act(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error + Send + Sync>> {
    if let Some(folder) = &args.stream {
        writeln!(io::stdout(), "{}", stream_in_this_process(folder).await?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = measure(args).await?;
    let text = if args.json { serde_json::to_string(&report)? } else { report.to_string() };
    writeln!(io::stdout(), "{text}")?;
    Ok(if report.is_met() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn measure(args: &Args) -> Result<Report, BenchError> {
    let ask = Ask {
        rows: if args.rows.is_empty() { ROWS.to_vec() } else { args.rows.clone() },
        large: args.large,
        folder: args.dir.clone().unwrap_or_else(default_folder),
        effort: args.effort.unwrap_or(if args.quick { 0.2 } else { 1.0 }),
    };
    run(&ask, |figure| {
        tracing::info!(
            row = figure.row,
            ratio = format!("{:.2}", figure.ratio),
            met = figure.is_met(),
            "{}",
            figure.what
        );
    })
    .await
}

fn row(word: &str) -> Result<RowName, String> {
    RowName::parse(word).ok_or_else(|| {
        let words: Vec<_> = ROWS.iter().map(|row| row.word()).collect();
        format!("there is no such row yet; there are {}", words.join(", "))
    })
}

fn effort(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|part| (0.0..=1.0).contains(part)).ok_or_else(|| "is a part of one, 0 to 1".to_owned())
}

/// The XDG cache folder, or the temporary one where there is no home.
fn default_folder() -> PathBuf {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = var("XDG_CACHE_HOME").or_else(|| var("HOME").map(|home| home.join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("latchkey-bench")
}

fn fail(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    // Nothing is left to do where standard error is closed.
    let _ = writeln!(io::stderr(), "bench: {error}");
    ExitCode::from(2)
}
