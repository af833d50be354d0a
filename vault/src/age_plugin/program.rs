//! One run of a plugin's program: started clean, spoken to in stanzas, ended in time. Knows no meaning of a stanza but
//! those of the questions to a person.

use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::Duration,
};

use age_core::format::FileKey;
use data_encoding::BASE64_NOPAD;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use zeroize::{Zeroize, Zeroizing};

use super::Asks;
use crate::text::escape_bounded;

/// A running program. It and what it started are killed when this is dropped, or when its time is over.
pub(super) struct Program {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    watch: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
    stanzas: usize,
}

/// A stanza that the program sent.
pub(super) struct Said {
    pub(super) tag: String,
    pub(super) args: Vec<String>,
    pub(super) body: Vec<u8>,
}

impl Program {
    /// Starts it in a process group of its own, in the root folder, with nothing but this environment.
    pub(super) fn start(
        program: &Path,
        protocol: &str,
        env: &[(OsString, OsString)],
        within: Duration,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.arg(format!("--age-plugin={protocol}")).env_clear().envs(env.iter().cloned()).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn()?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("it has no pipes"));
        };
        let group = Pid::from_child(&child);
        let (over, alarm) = mpsc::channel();
        // It is not reaped before this thread has ended, so that the number is that of no other process.
        let watch = thread::Builder::new().name("age-plugin".to_owned()).spawn(move || {
            if alarm.recv_timeout(within) == Err(RecvTimeoutError::Timeout) {
                let _ = kill_process_group(group, Signal::KILL);
            }
        })?;
        Ok(Self { child, to: Some(to), from: BufReader::new(from), watch: Some((over, watch)), stanzas: 0 })
    }

    /// Sends one stanza.
    pub(super) fn send(&mut self, tag: &str, args: &[&str], body: &[u8]) -> io::Result<()> {
        let mut text = Zeroizing::new(String::with_capacity(STANZA_BYTES + 2 * body.len()));
        text.push_str("-> ");
        text.push_str(tag);
        for arg in args {
            text.push(' ');
            text.push_str(arg);
        }
        text.push('\n');
        let encoded = Zeroizing::new(BASE64_NOPAD.encode(body));
        // The last line is shorter than the others, if need be empty.
        for line in encoded.as_bytes().chunks(COLUMNS) {
            text.extend(line.iter().map(|byte| char::from(*byte)));
            text.push('\n');
        }
        if encoded.len().is_multiple_of(COLUMNS) {
            text.push('\n');
        }
        let to = self.to.as_mut().ok_or_else(|| io::Error::other(ENDED))?;
        to.write_all(text.as_bytes()).and_then(|()| to.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => io::Error::other(ENDED),
            _ => error,
        })
    }

    /// Answers what the program says until it is done: questions by a person, the rest by `take`, which says whether it
    /// knew it.
    pub(super) fn answer(&mut self, asks: &dyn Asks, mut take: impl FnMut(&mut Said) -> bool) -> io::Result<()> {
        loop {
            let mut said = self.receive()?;
            match said.tag.as_str() {
                "done" => return Ok(()),
                "msg" => {
                    asks.tell(&said.shown());
                    self.send("ok", &[], &[])?;
                }
                "confirm" => {
                    let mut choices = said.args.iter().map(|arg| decoded(arg));
                    let (yes, no) = (choices.next().unwrap_or_default(), choices.next());
                    match asks.confirm(&said.shown(), &yes, no.as_deref()) {
                        Some(true) => self.send("ok", &["yes"], &[])?,
                        Some(false) => self.send("ok", &["no"], &[])?,
                        None => self.send("fail", &[], &[])?,
                    }
                }
                "request-public" => match asks.public(&said.shown()) {
                    Some(text) => self.send("ok", &[], text.as_bytes())?,
                    None => self.send("fail", &[], &[])?,
                },
                "request-secret" => match asks.secret(&said.shown()) {
                    // EXPOSE: the plugin asked the person for it.
                    Some(secret) => self.send("ok", &[], secret.expose().as_bytes())?,
                    None => self.send("fail", &[], &[])?,
                },
                _ => {
                    let answer = if take(&mut said) { "ok" } else { "unsupported" };
                    self.send(answer, &[], &[])?;
                }
            }
        }
    }

    /// Lets it end by itself, within its time.
    pub(super) fn end(&mut self) -> io::Result<()> {
        drop(self.to.take());
        // Not reaped yet: until the watching thread has ended, the number has to stay the program's.
        waitid(WaitId::Pid(Pid::from_child(&self.child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
        Ok(())
    }

    fn receive(&mut self) -> io::Result<Said> {
        self.stanzas += 1;
        if self.stanzas > STANZAS_MAX {
            return Err(io::Error::other("it says too much"));
        }
        let head = self.line()?;
        let mut words = head.strip_prefix("-> ").ok_or_else(malformed)?.split(' ').map(str::to_owned);
        let tag = words.next().ok_or_else(malformed)?;
        let args = words.collect();
        let mut body = Vec::with_capacity(STANZA_BYTES);
        loop {
            let line = self.line()?;
            if line.len() > COLUMNS || body.len() > BODY_MAX_BYTES {
                return Err(malformed());
            }
            let mut decoded = BASE64_NOPAD.decode(line.as_bytes()).map_err(|_| malformed())?;
            body.extend_from_slice(&decoded);
            decoded.zeroize();
            if line.len() < COLUMNS {
                return Ok(Said { tag, args, body });
            }
        }
    }

    fn line(&mut self) -> io::Result<Zeroizing<String>> {
        let mut line = Zeroizing::new(String::with_capacity(STANZA_BYTES));
        let read = (&mut self.from).take(LINE_MAX_BYTES).read_line(&mut line)?;
        if line.pop() != Some('\n') {
            let ended = if read == 0 { ENDED } else { "a line is too long" };
            return Err(io::Error::other(ended));
        }
        Ok(line)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended in the good case; what it left behind, or a program in the middle of something, ends now.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        if let Some((over, watch)) = self.watch.take() {
            drop(over);
            let _ = watch.join();
        }
        let _ = self.child.wait();
    }
}

impl Said {
    /// The key of the file, where the body is one.
    pub(super) fn file_key(&self) -> Option<FileKey> {
        FileKey::try_init_with_mut(|key| {
            if self.body.len() != key.len() {
                return Err(());
            }
            key.copy_from_slice(&self.body);
            Ok(())
        })
        .ok()
    }

    /// Takes the first refusal.
    pub(super) fn is_refusal(&self, refused: &mut Option<String>) -> bool {
        refused.get_or_insert_with(|| self.shown());
        true
    }

    fn shown(&self) -> String {
        escape_bounded(&String::from_utf8_lossy(&self.body), SHOWN_MAX_CHARS)
    }
}

impl Drop for Said {
    fn drop(&mut self) {
        // It may be the key of a file.
        self.body.zeroize();
    }
}

fn decoded(text: &str) -> String {
    let bytes = BASE64_NOPAD.decode(text.as_bytes()).unwrap_or_default();
    escape_bounded(&String::from_utf8_lossy(&bytes), SHOWN_MAX_CHARS)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it does not speak the protocol of plugins")
}

const ENDED: &str = "it ended early, or was ended since it took too long";
/// Columns of a stanza's body (age specification, "ABNF definition of file header").
const COLUMNS: usize = 64;
/// Stanzas that are read in one run: a plugin asks a handful of questions.
const STANZAS_MAX: usize = 256;
/// Longest line that is read: the arguments of post-quantum stanzas stay below 4 KiB.
const LINE_MAX_BYTES: u64 = 16 * 1024;
/// Longest body: a slot holds files of half of it.
const BODY_MAX_BYTES: usize = 16 * 1024;
/// What is written at once; room for it leaves no copies behind by growing.
const STANZA_BYTES: usize = 1024;
/// A question of a plugin: two lines of a terminal.
const SHOWN_MAX_CHARS: usize = 200;
