//! `latchkey rescue`: what still verifies of a damaged vault, exported for a person.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use latchkey_vault::{
    AccountId, Rescue, RescuedAccount, Secret,
    cookies::CookieEntry,
    crypto::{AgeWriter, SealTo},
    model::Field,
};
use latchkey_worker::secret_file;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    printer::{Page, Show, safe},
};

/// Arguments of `rescue`.
#[derive(Args, Debug)]
#[command(after_help = "\
Exports the accounts whose row, seal and indexes are right, one JSON object a line, and names those that are left out. It
needs the key slots only: neither anchor nor header, digest or audit. So nothing vouches for the export being complete or
the newest; where there is a backup, `latchkey backup restore` is the better way. The vault is not changed. Ends with 5
where something was left out.

Examples:
  latchkey rescue out.age --to age1…          then: age -d -i identity.txt out.age
  latchkey rescue out.age --to-passphrase-fd 3 3<passphrase.txt")]
pub struct RescueArgs {
    /// Where it is written; nothing may be there yet
    out: PathBuf,
    /// Seal it to this age recipient
    #[arg(long, value_name = "RECIPIENT", group = "seal")]
    to: Option<String>,
    /// Seal it with the passphrase on this open file descriptor
    #[arg(long, value_name = "N", group = "seal")]
    to_passphrase_fd: Option<u32>,
    /// Write every secret in plain text
    #[arg(long, group = "seal")]
    plain: bool,
}

#[derive(Serialize)]
struct Exported {
    out: PathBuf,
    vault: String,
    accounts: usize,
    sessions: usize,
    left_out: Vec<LeftOut>,
    doubts: Vec<String>,
}

#[derive(Clone, Serialize)]
struct LeftOut {
    what: &'static str,
    id: String,
    why: String,
}

/// A line of the export.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Rescue { format: u32, vault: &'a str, at_ms: i64, vouched_for: bool, note: &'static str, doubts: &'a [String] },
    Account(AccountLine<'a>),
    LeftOut(&'a LeftOut),
    End { accounts: usize, left_out: usize },
}

#[derive(Serialize)]
struct AccountLine<'a> {
    id: String,
    site: &'a str,
    manager_id: Option<&'a str>,
    #[serde(flatten)]
    fields: Fields<'a>,
    app_password: Option<&'a str>,
    tags: &'a [String],
    notes: &'a str,
    state: &'static str,
    evidence: &'a str,
    session: Option<SessionLine<'a>>,
}

/// The fields that have a value, by their names.
struct Fields<'a>(Vec<(&'static str, &'a str)>);

#[derive(Serialize)]
struct SessionLine<'a> {
    login_epoch: u64,
    since_ms: i64,
    cookies: Vec<CookieLine<'a>>,
}

#[derive(Serialize)]
struct CookieLine<'a> {
    name: &'a str,
    value: &'a str,
    domain: &'a str,
    path: &'a str,
    host_only: bool,
    secure: bool,
    http_only: bool,
    expires_ms: Option<i64>,
}

/// Where the lines go: sealed, or plain.
enum Out {
    Sealed(Box<AgeWriter<BufWriter<File>>>),
    Plain(BufWriter<File>),
}

/// Exports what verifies.
///
/// # Errors
/// Where nothing opens, the export cannot be written, or something was left out.
pub async fn run(cx: &Context, args: RescueArgs) -> Result<(), Failure> {
    let seal = seal_to(&args)?;
    let with = cx.unlock_with()?;
    let file = &cx.settings.vault.file;
    let rescue = Rescue::open(&cx.settings.vault, with).await;
    let rescue = rescue.map_err(|error| Failure::from(error).about_vault(file))?;
    if args.plain {
        cx.printer.warn("every secret is being written in plain text: seal or destroy that file soon");
    }
    let exported = export(cx, &rescue, &args.out, seal.as_ref())?;
    let left_out = exported.left_out.len();
    cx.printer.print(&exported)?;
    if left_out == 0 {
        return Ok(());
    }
    let message = format!("{left_out} record(s) were left out: they were altered or damaged");
    let hint = "keep the vault as evidence; what was left out may be in a backup (`latchkey backup restore`)";
    Err(Failure::new(Exit::Tampering, "rescued_in_part", message, hint))
}

fn seal_to(args: &RescueArgs) -> Result<Option<SealTo>, Failure> {
    match (&args.to, args.to_passphrase_fd, args.plain) {
        (Some(to), _, _) => to.parse().map(|to| Some(SealTo::Recipient(to))).map_err(|_| {
            Failure::usage("--to is no age recipient", "give the public key of an identity: age1… and 58 more letters")
        }),
        (None, Some(fd), _) => Ok(Some(SealTo::Passphrase(secret_file::read_fd(fd)?))),
        (None, None, true) => Ok(None),
        (None, None, false) => Err(Failure::usage(
            "nothing says to whom the export is sealed",
            "add --to age1…, or --plain where every secret may lie there in plain text; nothing was written",
        )),
    }
}

fn export(cx: &Context, rescue: &Rescue, path: &Path, seal: Option<&SealTo>) -> Result<Exported, Failure> {
    let writing = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::usage(
            format!("{} exists already and is left as it is", safe(&path.display().to_string())),
            "name a file that does not exist yet; nothing was written",
        ),
        _ => Failure::io("writing the export", &error),
    };
    let file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(writing)?;
    let written = write_all(cx, rescue, path, file, seal);
    if written.is_err() {
        // Half an export is none, and may hold secrets.
        let _ = fs::remove_file(path);
    }
    written.map_err(writing)
}

fn write_all(cx: &Context, rescue: &Rescue, path: &Path, file: File, seal: Option<&SealTo>) -> io::Result<Exported> {
    let mut out = Out::new(file, seal)?;
    let vault = rescue.vault().to_string();
    let doubts = rescue.doubts();
    out.line(&Line::Rescue { format: 1, vault: &vault, at_ms: cx.now_ms(), vouched_for: false, note: NOTE, doubts })?;
    let (mut accounts, mut sessions, mut left_out) = (0, 0, Vec::new());
    let leave_out = |what, id: AccountId, why: String| LeftOut { what, id: id.to_string(), why };
    for id in rescue.accounts() {
        match rescue.account(*id) {
            Ok(rescued) => {
                out.line(&Line::Account(AccountLine::of(&rescued)))?;
                accounts += 1;
                sessions += usize::from(rescued.session.is_some());
                left_out.extend(rescued.session_left_out.map(|why| leave_out("session", *id, why)));
            }
            Err(why) => left_out.push(leave_out("account", *id, why)),
        }
    }
    // Behind the damage of a page there may be more, whose names nobody knows.
    let unread = rescue.unread().iter();
    left_out.extend(unread.map(|why| LeftOut { what: "unread", id: String::new(), why: why.clone() }));
    for left in &left_out {
        out.line(&Line::LeftOut(left))?;
    }
    out.line(&Line::End { accounts, left_out: left_out.len() })?;
    out.finish()?.sync_all()?;
    Ok(Exported { out: path.to_owned(), vault, accounts, sessions, left_out, doubts: doubts.to_vec() })
}

impl Out {
    fn new(file: File, seal: Option<&SealTo>) -> io::Result<Self> {
        let file = BufWriter::new(file);
        match seal {
            Some(to) => AgeWriter::new(to, file).map(|sealed| Self::Sealed(Box::new(sealed))),
            None => Ok(Self::Plain(file)),
        }
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LINE_BYTES));
        serde_json::to_writer(&mut *bytes, line)?;
        bytes.push(b'\n');
        match self {
            Self::Sealed(out) => out.write_all(&bytes),
            Self::Plain(out) => out.write_all(&bytes),
        }
    }

    fn finish(self) -> io::Result<File> {
        let file = match self {
            Self::Sealed(out) => out.finish()?,
            Self::Plain(file) => file,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl<'a> AccountLine<'a> {
    fn of(rescued: &'a RescuedAccount) -> Self {
        let record = &rescued.account.record;
        // EXPOSE: a person has asked for the export of every secret.
        let value = |field: Field| record.fields.value(field).map(|value| (field.name(), value.expose()));
        Self {
            id: rescued.account.id.to_string(),
            site: &record.site,
            manager_id: record.manager_id.as_deref(),
            fields: Fields(Field::ALL.into_iter().filter_map(value).collect()),
            // EXPOSE: as above.
            app_password: record.app_password.as_ref().map(Secret::expose),
            tags: &record.tags,
            notes: &record.notes,
            state: record.standing.state.word(),
            evidence: &record.standing.evidence,
            session: rescued.session.as_ref().map(|session| SessionLine {
                login_epoch: session.login_epoch,
                since_ms: session.since_ms,
                cookies: session.jar.reveal().map(CookieLine::of).collect(),
            }),
        }
    }
}

impl<'a> CookieLine<'a> {
    fn of((entry, value): (CookieEntry<'a>, &'a Secret)) -> Self {
        let CookieEntry { name, domain, path, host_only, secure, http_only, expires_ms, .. } = entry;
        // EXPOSE: a person has asked for the export of every secret.
        Self { name, value: value.expose(), domain, path, host_only, secure, http_only, expires_ms }
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl Show for Exported {
    fn show(&self, page: &mut Page) {
        page.line("What verifies is exported. Nothing vouches for it being complete, or the newest.");
        page.pair("out", self.out.display());
        page.pair("accounts", self.accounts);
        page.pair("sessions", self.sessions);
        for doubt in &self.doubts {
            page.pair("doubt", safe(doubt));
        }
        if !self.left_out.is_empty() {
            let rows = self.left_out.iter().map(|left| vec![left.what.to_owned(), left.id.clone(), safe(&left.why)]);
            page.table(&["left out", "id", "why"], rows);
        }
    }
}

const NOTE: &str = "each record verified for itself; nothing vouches for the export being complete or the newest";
/// An account with a session has some kilobytes; larger ones move the buffer once or twice.
const LINE_BYTES: usize = 64 * 1024;
