//! Hygiene of a process that holds secrets: no core dumps, no debugger of the same user, memory that is not swapped, private
//! files, quiet panics, orderly stops. Knows nothing of vaults.

mod status;

use std::{
    fs::File,
    io::{self, Read},
};

use latchkey_vault::model::Actor;
use rustix::{
    mm::{MlockAllFlags, mlockall},
    process::{
        DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, getuid, set_dumpable_behavior, setrlimit,
        umask,
    },
};
use status::Status;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How far a process is closed against looks from outside, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hygiene {
    /// No core file is written: its size is limited to 0.
    pub no_core_file: bool,
    /// The process is not dumpable: no core goes to a collector, no other process of the user reads its memory.
    pub not_dumpable: bool,
    /// What it makes is closed to group and others; none where the kernel does not tell.
    pub private_umask: Option<bool>,
    /// Its memory is locked: none of it reaches the swap.
    pub locked: bool,
    /// Bytes that it may lock; none: no limit.
    pub lockable_bytes: Option<u64>,
}

/// Makes this process as closed as it can be made; the first thing that `main` does. What failed shows in [`hygiene`].
pub fn harden() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // Any of these may be refused by a sandbox; the others still help, and `doctor` names what is missing.
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    // Under a limit nothing is locked: once it is reached every allocation fails, and scrypt alone takes up to 1 GiB.
    if lockable_bytes(Status::read().as_ref()).is_none() {
        // On fault: what is never touched (stacks of idle threads, code that does not run) is not brought in.
        let _ = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT);
    }
}

/// How closed this process is now, as the kernel says.
#[must_use]
pub fn hygiene() -> Hygiene {
    let status = Status::read();
    Hygiene {
        no_core_file: getrlimit(Resource::Core).current == Some(0),
        not_dumpable: dumpable_behavior().is_ok_and(|now| now == DumpableBehavior::NotDumpable),
        private_umask: status.as_ref().and_then(Status::umask).map(|mask| mask & 0o077 == 0o077),
        locked: status.as_ref().and_then(Status::locked_kib).is_some_and(|kib| kib > 0),
        lockable_bytes: lockable_bytes(status.as_ref()),
    }
}

/// This process as it stands in a vault's audit; `name` is what it is: `cli`, or a worker's name.
#[must_use]
pub fn actor(name: &str) -> Actor {
    let uid = getuid().as_raw();
    // A user whom only a directory service knows stands there by the number alone.
    let users = File::open(USERS).and_then(|file| io::read_to_string(file.take(USERS_MAX_BYTES))).unwrap_or_default();
    Actor { uid, user: user_name(&users, uid).to_owned(), pid: std::process::id(), name: name.to_owned() }
}

/// The name of a user in the lines of passwd(5); empty where it has none.
fn user_name(users: &str, uid: u32) -> &str {
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then_some(name)
    });
    named.unwrap_or_default()
}

/// Bytes that may be locked: no limit for whoever has CAP_IPC_LOCK (mlock(2)).
fn lockable_bytes(status: Option<&Status>) -> Option<u64> {
    let limit = getrlimit(Resource::Memlock).current?;
    if status.is_some_and(Status::may_lock_memory) { None } else { Some(limit) }
}

/// Replaces the message of a panic, which may hold what was being worked on, by its place.
pub fn quiet_panics(program: &'static str) {
    std::panic::set_hook(Box::new(move |panic| {
        use io::Write as _;
        let place = panic.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        // Where even this cannot be written, nothing can be told.
        let _ = writeln!(
            io::stderr(),
            "{program}: internal error{place}. This is a bug; the vault is as of its last commit. Please report the place."
        );
    }));
}

/// Cancels on SIGTERM or SIGINT; a second SIGINT ends the process at once with `at_once`.
///
/// # Errors
/// Where the signals cannot be waited for. Needs a Tokio runtime.
pub fn stop_on_signals(at_once: u8) -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stopping = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {
                    if stopping.is_cancelled() {
                        // What was committed is durable; what runs is parked by its attempt.
                        std::process::exit(at_once.into());
                    }
                }
            }
            stopping.cancel();
        }
    });
    Ok(stop)
}

/// The users of this machine (passwd(5)).
const USERS: &str = "/etc/passwd";
/// Ten thousand users; a longer file would only cost memory.
const USERS_MAX_BYTES: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::{actor, harden, hygiene, user_name};

    #[test]
    fn a_hardened_process_leaves_no_core_and_makes_private_files() {
        harden();
        let now = hygiene();
        assert!(now.no_core_file && now.not_dumpable && now.private_umask == Some(true), "{now:?}");
    }

    #[test]
    fn memory_is_locked_exactly_where_there_is_no_limit() {
        assert!(!hygiene().locked);
        harden();
        let now = hygiene();
        assert_eq!(now.locked, now.lockable_bytes.is_none(), "{now:?}");
    }

    #[test]
    fn a_user_is_named_by_its_line_and_by_nothing_else() {
        let users = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:100::/home/ann:\nbroken\n:x:7:7:\n";
        for (uid, name) in [(0, "root"), (1000, "ann"), (100, ""), (7, ""), (u32::MAX, "")] {
            assert_eq!(user_name(users, uid), name, "{uid}");
        }
        assert_eq!((actor("cli").name.as_str(), actor("cli").pid), ("cli", std::process::id()));
    }
}
