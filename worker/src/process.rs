//! Hygiene of a process that holds secrets: no core dumps, no debugger of the same user, private files, quiet panics,
//! orderly stops. Knows nothing of vaults.

use std::io;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior, setrlimit, umask,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How far a process is closed against looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hygiene {
    /// No core file is written: its size is limited to 0.
    pub no_core_file: bool,
    /// The process is not dumpable: no core goes to a collector, no other process of the user reads its memory.
    pub not_dumpable: bool,
    /// Bytes that may be locked into memory; none: no limit.
    pub lockable_bytes: Option<u64>,
}

/// Makes this process as closed as it can be made; the first thing that `main` does. What failed shows in [`hygiene`].
pub fn harden() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // Either may be refused by a sandbox; the other still helps, and `doctor` names what is missing.
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// How closed this process is now, as the kernel says.
#[must_use]
pub fn hygiene() -> Hygiene {
    Hygiene {
        no_core_file: getrlimit(Resource::Core).current == Some(0),
        not_dumpable: dumpable_behavior().is_ok_and(|now| now == DumpableBehavior::NotDumpable),
        lockable_bytes: getrlimit(Resource::Memlock).current,
    }
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

#[cfg(test)]
mod tests {
    use super::{harden, hygiene};

    #[test]
    fn a_hardened_process_leaves_no_core() {
        harden();
        let now = hygiene();
        assert!(now.no_core_file && now.not_dumpable, "{now:?}");
    }
}
