//! `latchkey session export|import`: a whole session as a file of another program. Knows no format.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};
use latchkey_vault::{CheckOutAsk, Secret, limits::SESSION_FILE_MAX_BYTES, session_formats::SessionFormat};
use latchkey_worker::secret_file;
use serde::Serialize;

use crate::{
    account_ref::AccountRef,
    context::Context,
    exit::Exit,
    failure::Failure,
    printer::{Page, Show},
};

/// Arguments of `session export`.
#[derive(Args, Debug)]
#[command(after_help = "\
The audit has the export before anything is written. A file is new and readable by you alone (0600).

Examples:
  latchkey session export blog.example/ann --format netscape --out cookies.txt
  latchkey session export blog.example/ann --format storage-state --reveal | jq .origins")]
pub struct ExportArgs {
    /// Id, beginning of an id, or SITE/LOGIN
    account: AccountRef,
    /// The form to write
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
    /// Write to this new file
    #[arg(long, value_name = "FILE", conflicts_with = "reveal", required_unless_present = "reveal")]
    out: Option<PathBuf>,
    /// Write to standard output, secrets and all
    #[arg(long)]
    reveal: bool,
}

/// Arguments of `session import`.
#[derive(Args, Debug)]
#[command(after_help = "\
What the file says becomes the account's session, in place of the one it has, and a newer one for everybody who works with
it. It waits for nobody: while somebody has the account, it is refused.

Examples:
  latchkey session import blog.example/ann --format storage-state state.json
  latchkey session import blog.example/ann --format header - < header.txt")]
pub struct ImportArgs {
    /// Id, beginning of an id, or SITE/LOGIN
    account: AccountRef,
    /// The form to read
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
    /// A file that only you can read, or - for standard input
    #[arg(value_name = "FILE")]
    from: PathBuf,
}

/// The forms, as flags name them.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// Playwright's storageState: cookies and web storage
    StorageState,
    /// cookies.txt, as curl, wget and Python read it
    Netscape,
    /// The value of a Cookie header
    Header,
    /// Latchkey's own JSON, which loses nothing
    Json,
}

#[derive(Serialize)]
struct Exported {
    account: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    session: Option<Secret>,
}

#[derive(Serialize)]
struct Imported {
    account: String,
    epoch: u64,
    cookies: usize,
    left_out: usize,
    web_storage: bool,
}

/// Writes the session to a new file, or to standard output.
///
/// # Errors
/// Where there is none, or the file exists already.
pub(super) async fn export(cx: &Context, args: &ExportArgs) -> Result<(), Failure> {
    let exported = cx
        .with_vault(async |vault| {
            let account = args.account.find(vault).await?;
            let origin = cx.site(&account.site)?.canonical_origin().clone();
            let Some(session) = vault.export_session(account.id).await? else {
                let message = format!("account {} has no session", account.id);
                return Err(Failure::new(Exit::Account, "no_session", message, "refresh or import one"));
            };
            let text = args.format.into_vault().write(&session, &origin, cx.now_ms()).map_err(not_a_session)?;
            if let Some(path) = &args.out {
                let mut file = new_file(path)?;
                // EXPOSE: the file is what was asked for; nobody else can read it.
                let written = file.write_all(text.expose().as_bytes()).and_then(|()| file.sync_all());
                written.map_err(|error| Failure::io(&format!("writing {}", path.display()), &error))?;
            }
            let file = args.out.as_ref().map(|path| path.display().to_string());
            let session = args.reveal.then_some(text);
            Ok(Exported { account: account.id.to_string(), file, session })
        })
        .await?;
    cx.printer.print(&exported)
}

/// Reads a session and puts it in the place of the account's.
///
/// # Errors
/// Where it is no session of the format, or somebody has the account.
pub(super) async fn import(cx: &Context, args: &ImportArgs) -> Result<(), Failure> {
    let text = if args.from == Path::new("-") {
        cx.read_stdin("-", SESSION_FILE_MAX_BYTES)?
    } else {
        secret_file::read_private_up_to(&args.from, SESSION_FILE_MAX_BYTES)?
    };
    let imported = cx
        .with_vault(async |vault| {
            let account = args.account.find(vault).await?;
            let origin = cx.site(&account.site)?.canonical_origin().clone();
            let session = args.format.into_vault().read(&text, &origin, cx.now_ms()).map_err(not_a_session)?;
            let ask = CheckOutAsk {
                ttl: IMPORT_WITHIN,
                quarantine: Duration::ZERO,
                wait: Duration::ZERO,
                purpose: "session import".to_owned(),
            };
            let epoch = vault.import_session_file(account.id, &ask, &origin, &session).await?;
            Ok(Imported {
                account: account.id.to_string(),
                epoch,
                cookies: session.jar.len(),
                left_out: session.left_out(),
                web_storage: session.has_storage(),
            })
        })
        .await?;
    if imported.left_out > 0 {
        cx.printer.warn(format_args!("{} cookies are over or break a rule, and were left out", imported.left_out));
    }
    cx.printer.print(&imported)
}

fn new_file(path: &Path) -> Result<File, Failure> {
    File::options().write(true).create_new(true).mode(0o600).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let message = format!("{} exists already and is left as it is", path.display());
            Failure::usage(message, "name a file that does not exist yet; nothing was exported")
        }
        _ => Failure::io(&format!("writing {}", path.display()), &error),
    })
}

fn not_a_session(error: latchkey_vault::session_formats::SessionFormatError) -> Failure {
    Failure::new(Exit::Usage, "not_a_session", error.to_string(), "check --format; nothing was changed")
}

impl Format {
    const fn into_vault(self) -> SessionFormat {
        match self {
            Self::StorageState => SessionFormat::StorageState,
            Self::Netscape => SessionFormat::Netscape,
            Self::Header => SessionFormat::Header,
            Self::Json => SessionFormat::Json,
        }
    }
}

impl Show for Exported {
    fn show(&self, page: &mut Page) {
        if let Some(file) = &self.file {
            page.line(format_args!("The session of {} is in {file}.", self.account));
        }
        if let Some(session) = &self.session {
            // EXPOSE: --reveal asked for it, and the audit has it.
            page.line(session.expose());
        }
    }
}

impl Show for Imported {
    fn show(&self, page: &mut Page) {
        let more = if self.web_storage { " and web storage" } else { "" };
        page.line(format_args!("Imported {} cookies{more} (epoch {}).", self.cookies, self.epoch));
    }
}

fn exposed<S: serde::Serializer>(session: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    // EXPOSE: --reveal asked for it, and the audit has it.
    serializer.serialize_some(&session.as_ref().map(Secret::expose))
}

/// Two commits; no site is asked.
const IMPORT_WITHIN: Duration = Duration::from_secs(30);
