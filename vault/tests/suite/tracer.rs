//! A child that is killed in front of a chosen call that changes files: all that a kill can leave on disk, one by one.
//!
//! The kernel stops the child at each of its system calls (ptrace), so that the vault needs no hooks and SQLite's own calls
//! are among them. What memory that files are mapped to holds is left to other tests. Does not know what a child does.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs,
    os::unix::{ffi::OsStringExt, fs::FileExt},
    path::PathBuf,
};

use nix::{
    errno::Errno,
    libc::{self, c_long},
    sys::{
        ptrace::{self, Options},
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::{child::Child, common::Folder};

struct Tracer {
    child: Pid,
    folder: PathBuf,
    /// Threads that are within a system call: the kernel stops them at its beginning and at its end.
    within: HashSet<Pid>,
    calls: Vec<String>,
    /// Calls that are let through.
    limit: usize,
}

/// Starts a child that does `work`, and kills it in front of its call number `limit`, counted from 0, that changes files.
///
/// The child says that it is ready and waits to be told; calls count from there on. Returns those that it made, in order:
/// what they do, and to which file. One that makes fewer than `limit` comes to its end.
pub(crate) fn run(folder: &Folder, work: &str, args: &[&str], limit: usize) -> Vec<String> {
    let mut child = Child::start(folder, work, args);
    assert_eq!(child.line().as_deref(), Some(READY));
    let pid = Pid::from_raw(child.id().cast_signed());
    let folder = folder.path().canonicalize().unwrap();
    let mut tracer = Tracer { child: pid, folder, within: HashSet::new(), calls: Vec::new(), limit };
    tracer.seize_threads();
    child.tell("go on");
    tracer.follow();
    child.was_waited_for();
    tracer.calls
}

impl Tracer {
    fn seize_threads(&mut self) {
        let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
        let mut seized = HashSet::new();
        loop {
            let tasks = fs::read_dir(format!("/proc/{}/task", self.child)).unwrap();
            let tasks = tasks.map(|task| task.unwrap().file_name().to_str().unwrap().parse().unwrap());
            let new: Vec<Pid> = tasks.map(Pid::from_raw).filter(|task| !seized.contains(task)).collect();
            if new.is_empty() {
                return;
            }
            for task in new {
                seized.insert(task);
                match ptrace::seize(task, options) {
                    Ok(()) => ptrace::interrupt(task).unwrap(),
                    // Threads come and go, and those that a seized one starts are traced already.
                    Err(Errno::ESRCH | Errno::EPERM) if task != self.child => {}
                    Err(error) => panic!("this test needs ptrace: permit it ({error})"),
                }
            }
        }
    }

    /// Lets the child go on from stop to stop until it has ended.
    fn follow(&mut self) {
        loop {
            // Children of other tests in this process are theirs to wait for.
            let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
            match waitpid(None::<Pid>, Some(flags)) {
                Ok(WaitStatus::PtraceSyscall(task)) => {
                    if self.enters(task) && self.is_over(task) {
                        kill(self.child, Signal::SIGKILL).unwrap();
                    } else {
                        go_on(task, None);
                    }
                }
                Ok(WaitStatus::PtraceEvent(task, ..)) => go_on(task, None),
                Ok(WaitStatus::Stopped(task, signal)) => go_on(task, Some(signal)),
                Ok(WaitStatus::Signaled(task, signal, _)) if task == self.child => assert_eq!(signal, Signal::SIGKILL),
                Ok(WaitStatus::Exited(task, code)) if task == self.child => assert_eq!(code, 0),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn enters(&mut self, task: Pid) -> bool {
        let enters = self.within.insert(task);
        if !enters {
            self.within.remove(&task);
        }
        enters
    }

    /// Notes the call that a thread is about to make, where it changes files; true where it must not be made any more.
    fn is_over(&mut self, task: Pid) -> bool {
        // A thread that was killed meanwhile is about to make none.
        let Ok(call) = fs::read_to_string(format!("/proc/{}/task/{task}/syscall", self.child)) else { return false };
        let Some(call) = self.changes(&call) else { return false };
        if self.calls.len() >= self.limit {
            return true;
        }
        self.calls.push(call);
        false
    }

    /// The call, in the kernel's words (number, arguments in hexadecimal), where it changes a file.
    fn changes(&self, call: &str) -> Option<String> {
        let mut words = call.split_whitespace();
        let number: c_long = words.next()?.parse().ok()?;
        let args: Vec<u64> = words.map_while(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()).collect();
        if let Some((_, name)) = ON_FILES.iter().find(|(no, _)| *no == number) {
            let file = fs::read_link(format!("/proc/{}/fd/{}", self.child, args.first()?)).ok()?;
            let file = file.strip_prefix(&self.folder).ok()?.to_str()?;
            // The first who opens the vault makes the index of the log anew, whatever is in it.
            return Some(format!("{name} {file}")).filter(|_| !file.ends_with("-shm"));
        }
        let (_, name, path) = ON_NAMES.iter().find(|(no, ..)| *no == number)?;
        let file = self.text_at(*args.get(*path)?)?;
        let creates = number == libc::SYS_openat;
        if creates && args.get(2)? & u64::from(libc::O_CREAT.cast_unsigned()) == 0 {
            return None;
        }
        // A name that is there already is not created, and one that is not there is neither moved nor removed.
        let changes = file.symlink_metadata().is_ok() != creates;
        changes.then(|| format!("{name} {}", file.file_name().unwrap_or_default().display()))
    }

    /// The path that stands at an address of the child's.
    fn text_at(&self, address: u64) -> Option<PathBuf> {
        let memory = fs::File::open(format!("/proc/{}/mem", self.child)).ok()?;
        let mut bytes = vec![0; PATH_BYTES];
        let read = memory.read_at(&mut bytes, address).ok()?;
        let end = bytes[..read].iter().position(|byte| *byte == 0)?;
        bytes.truncate(end);
        Some(OsString::from_vec(bytes).into())
    }
}

fn go_on(task: Pid, signal: Option<Signal>) {
    match ptrace::syscall(task, signal) {
        // It was killed while it stood.
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("{error}"),
    }
}

/// What a child says once it waits to be told.
pub(crate) const READY: &str = "ready";
/// Calls on an open file. A sync is none: a kill behind it leaves what a kill in front of it leaves.
const ON_FILES: &[(c_long, &str)] = &[
    (libc::SYS_write, "write"),
    (libc::SYS_writev, "writev"),
    (libc::SYS_pwrite64, "pwrite"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_fallocate, "fallocate"),
];
/// Calls on names of files, and which argument the name is. Rust's library and SQLite use the older ones where the machine
/// has them.
const ON_NAMES: &[(c_long, &str, usize)] = &[
    (libc::SYS_openat, "create", 1),
    (libc::SYS_linkat, "link", 1),
    (libc::SYS_unlinkat, "remove", 1),
    (libc::SYS_renameat, "rename", 1),
    (libc::SYS_renameat2, "rename", 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rename, "rename", 0),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_link, "link", 0),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_unlink, "remove", 0),
];
/// No path of a test is longer.
const PATH_BYTES: usize = 1024;
