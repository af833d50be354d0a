//! The only place that writes to standard output: one result a command, as text or as one line of JSON, or JSON lines where
//! there may be many.
//!
//! Progress, questions and errors go to standard error. What comes from records passes [`safe`] or `Json`, so that no
//! stored text moves a terminal's cursor. Colours reach terminals only. Knows no command.

use std::{
    fmt::Display,
    fs::File,
    io::{self, IsTerminal, Write},
};

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, LineStyle, Table, presets::NOTHING};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use latchkey_vault::text::{escape_bounded, steers};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{exit::Exit, failure::Failure};

/// The result of a command: JSON by its fields, text by [`Show::show`].
pub trait Show: Serialize {
    /// Writes the text for people.
    fn show(&self, page: &mut Page);
}

/// A result as text, wiped when it has been written: it may hold what `--reveal` asked for.
#[derive(Debug, Default)]
pub struct Page(Zeroizing<String>);

/// Prints results, notes and failures.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    json: bool,
}

impl Page {
    /// One line, made of texts that are ours or have passed [`safe`].
    pub fn line(&mut self, text: impl Display) {
        use std::fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{text}");
    }

    /// A name and its value, in two columns.
    pub fn pair(&mut self, name: &str, value: impl Display) {
        let (bold, width) = (Style::new().bold(), PAIR_WIDTH);
        self.line(format_args!("{bold}{name:<width$}{bold:#} {value}"));
    }

    /// A table as wide as the terminal, or as its content where there is none.
    pub fn table(&mut self, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        let mut table = Table::new();
        table.load_style(NOTHING.header_separator(LineStyle::none().fill('─').junction('─')));
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(header.to_vec()).add_rows(rows);
        // A terminal that says it has no width would get one letter a line.
        if table.width().is_some_and(|width| width < TABLE_WIDTH_MIN) {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        for line in table.lines() {
            self.line(line.trim_end());
        }
    }
}

impl Printer {
    /// Prints JSON where `json`.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether results are JSON.
    #[must_use]
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints a command's result.
    ///
    /// # Errors
    /// Where standard output cannot be written; a reader that has gone away is none.
    pub fn print(self, result: &impl Show) -> Result<(), Failure> {
        if self.json {
            let mut bytes = Zeroizing::new(Vec::with_capacity(RESULT_BYTES));
            let mut serializer = serde_json::Serializer::with_formatter(&mut *bytes, Json);
            result.serialize(&mut serializer).map_err(|error| Failure::io("printing the result", &error.into()))?;
            bytes.push(b'\n');
            return write_out(&bytes);
        }
        let mut page = Page(Zeroizing::new(String::with_capacity(RESULT_BYTES)));
        result.show(&mut page);
        write_out(page.0.as_bytes())
    }

    /// Tells a person something beside the result; programs are not told.
    pub fn note(self, text: impl Display) {
        if !self.json {
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// Warns a person; programs are not told.
    pub fn warn(self, text: impl Display) {
        let style = AnsiColor::Yellow.on_default().bold();
        self.note(format_args!("{style}warning:{style:#} {text}"));
    }

    /// Says why the command failed, in the words of the result's form.
    pub fn failure(self, failure: &Failure) {
        let Failure { code, message, hint, .. } = failure;
        let written = if self.json {
            let mut bytes = Vec::new();
            let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Json);
            let error = serde_json::json!({ "error": { "code": code, "message": message, "hint": hint } });
            let _ = error.serialize(&mut serializer);
            bytes.push(b'\n');
            io::stderr().write_all(&bytes)
        } else {
            let (red, bold) = (AnsiColor::Red.on_default().bold(), Style::new().bold());
            let (message, hint) = (safe(message), safe(hint));
            writeln!(anstream::stderr(), "{red}error:{red:#} {message}\n{bold}next:{bold:#}  {hint}")
        };
        // Where even this cannot be written, the exit code is all that is left.
        let _ = written;
    }

    /// A bar on standard error, drawn only on a terminal and not beside JSON.
    #[must_use]
    pub fn progress(self, what: &'static str) -> ProgressBar {
        let shown = !self.json && io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target).with_message(what);
        match ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {elapsed}") {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }
}

/// A text of others, fit to stand on a line of a terminal.
#[must_use]
pub fn safe(text: &str) -> String {
    escape_bounded(text, LINE_MAX_CHARS)
}

/// Prints text that is ours: help and version.
pub(crate) fn print_help(text: impl Display) -> Exit {
    let mut out = anstream::stdout().lock();
    // A reader that has gone away wants no more.
    let _ = write!(out, "{text}").and_then(|()| out.flush());
    Exit::Ok
}

fn write_out(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::io("writing the result", &error)),
        _ => Ok(()),
    }
}

/// JSON lines on standard output or into a file: results of which only one line is in memory at a time.
pub struct JsonLines {
    to: Target,
    /// Whoever read them has gone away and wants no more.
    gone: bool,
}

enum Target {
    Stdout(io::BufWriter<io::Stdout>),
    File(io::BufWriter<File>),
}

impl JsonLines {
    /// Lines on standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self { to: Target::Stdout(io::BufWriter::new(io::stdout())), gone: false }
    }

    /// Lines into a new file.
    #[must_use]
    pub fn file(file: File) -> Self {
        Self { to: Target::File(io::BufWriter::new(file)), gone: false }
    }

    /// Writes a line.
    ///
    /// # Errors
    /// Where it cannot be written; a reader that has gone away is none.
    pub fn write(&mut self, line: &impl Serialize) -> Result<(), Failure> {
        if self.gone {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Json);
        line.serialize(&mut serializer).map_err(|error| Failure::io("writing a line", &error.into()))?;
        bytes.push(b'\n');
        let written = match &mut self.to {
            Target::Stdout(out) => out.write_all(&bytes),
            Target::File(file) => file.write_all(&bytes),
        };
        self.judge(written)
    }

    /// Ends the lines; those of a file are durable then.
    ///
    /// # Errors
    /// As [`JsonLines::write`].
    pub fn finish(mut self) -> Result<(), Failure> {
        let ended = match &mut self.to {
            Target::Stdout(out) => out.flush(),
            Target::File(file) => file.flush().and_then(|()| file.get_ref().sync_all()),
        };
        self.judge(ended)
    }

    fn judge(&mut self, written: io::Result<()>) -> Result<(), Failure> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            other => other.map_err(|error| Failure::io("writing the lines", &error)),
        }
    }
}

/// JSON in which every character that could steer a terminal is an escape; serde_json itself leaves all but the first 32.
struct Json;

impl serde_json::ser::Formatter for Json {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| steers(*c)) {
            // All of them lie in the first plane: one escape each.
            write!(writer, "{}\\u{:04x}", &rest[..at], u32::from(c))?;
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Most results are smaller, so that their buffer does not move.
const RESULT_BYTES: usize = 64 * 1024;
/// Longest text of a record on a line: notes have up to 16 KiB.
const LINE_MAX_CHARS: usize = 20_000;
/// Narrower terminals break lines themselves, and better.
const TABLE_WIDTH_MIN: u16 = 40;
/// The first column of a list of pairs: the longest name and a blank.
const PAIR_WIDTH: usize = 18;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde::Serialize;

    use super::{Json, Page};

    #[test]
    fn what_steers_a_terminal_is_escaped_in_json_and_reads_back_the_same() {
        for text in ["plain", "đ ü 漢", "a\x1b[31mb", "\u{9b}2J", "x\u{202e}y\u{feff}", "\u{7f}", "\"\\\n"] {
            let mut bytes = Vec::new();
            text.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Json)).unwrap();
            let json = String::from_utf8(bytes).unwrap();
            assert!(!json.chars().any(latchkey_vault::text::steers), "{json}");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }

    #[test]
    fn a_table_has_its_header_and_its_rows() {
        let mut page = Page::default();
        page.table(&["a", "b"], [vec!["1".to_owned(), "2".to_owned()]]);
        assert!(page.0.contains('a') && page.0.contains('2'), "{}", page.0.as_str());
    }
}
