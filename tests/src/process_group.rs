//! Process groups that cannot outlive the test that started them.
//!
//! Each group is led by a *keeper*, a shell that reads a pipe to which only the test holds the other end. However the
//! test ends, SIGKILL included, the kernel closes that end, and the keeper kills the group and removes its folder.
//! What runs in a group, and whether it is healthy, is deliberately not known here.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// A process group of the test's own; dropping it kills every member and waits until they are gone.
///
/// The keeper stays an unreaped child until the group has been killed, so the group's number cannot come to mean
/// another group in between.
#[derive(Debug)]
pub struct ProcessGroup {
    keeper: Child,
    id: Pid,
    /// Held, never written to: its end is the signal.
    lifeline: Option<ChildStdin>,
}

impl ProcessGroup {
    /// Starts an empty group. If the test dies without dropping it, `folder` is removed along with the group.
    ///
    /// # Errors
    ///
    /// Any error of starting `sh`; then nothing was left running.
    pub fn start(folder: Option<&Path>) -> io::Result<ProcessGroup> {
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .args(folder)
            .env_clear()
            .env("PATH", SYSTEM_PATH)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let lifeline = keeper.stdin.take();
        Ok(ProcessGroup { id: Pid::from_child(&keeper), keeper, lifeline })
    }

    /// The group's number, which is its keeper's process id.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id.as_raw_nonzero().get()
    }

    /// Makes `command` start in this group.
    pub fn adopt(&self, command: &mut Command) {
        command.process_group(self.id());
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // An error means that nobody is left, which is what is wanted.
        let _ = kill_process_group(self.id, Signal::KILL);
        drop(self.lifeline.take());
        let _ = self.keeper.wait();
        // A killed process still holds its files for a moment, and the caller is about to remove them.
        let _ = wait_until_gone(self.id(), DEATH_LIMIT);
    }
}

/// The process ids of the group's members that are still running; those dead but not yet reaped do not count.
///
/// # Errors
///
/// Any error of reading `/proc`; a process that ends meanwhile is none.
pub fn members(group: i32) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| runs_in(&stat, group)) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Waits until no member of the group runs any more.
///
/// # Errors
///
/// [`io::ErrorKind::TimedOut`] after `limit`, otherwise as [`members`].
pub fn wait_until_gone(group: i32, limit: Duration) -> io::Result<()> {
    let deadline = Instant::now() + limit;
    while !members(group)?.is_empty() {
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(POLL_EVERY);
    }
    Ok(())
}

/// Reads a line of `/proc/PID/stat`: `pid (name) state parent group …`, where the name may hold spaces and brackets.
fn runs_in(stat: &str, group: i32) -> bool {
    let Some((_, rest)) = stat.rsplit_once(") ") else {
        return false;
    };
    let mut fields = rest.split(' ');
    let state = fields.next();
    let in_group = fields.nth(1).and_then(|field| field.parse().ok()) == Some(group);
    in_group && !matches!(state, Some("Z" | "X"))
}

/// Where programs are looked for: the test's own `PATH` is the developer's, and servers live in `sbin`.
pub const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Waits for the end of its input, then has the group killed from outside, since killing it would end the killer too.
/// The keeper stays until that kill, which keeps the number taken (`exit` keeps the shell from becoming `setsid`).
/// The members die asynchronously and may still be creating files, hence the repeated removal.
const KEEPER: &str = r#"
read -r _
setsid sh -c '
    kill -s KILL -- "-$1"
    [ -n "$2" ] || exit 0
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        rm -rf -- "$2" && exit 0
        sleep 1
    done
' reaper "$$" "${1-}"
exit
"#;

/// How long killed processes may take to disappear; SIGKILL needs milliseconds, a busy disk perhaps a second.
const DEATH_LIMIT: Duration = Duration::from_secs(10);

/// How often a wait looks again.
const POLL_EVERY: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_dropped_group_leaves_no_member_and_no_grandchild() {
        let group = ProcessGroup::start(None).unwrap();
        let id = group.id();
        let mut member = spawn(&group, "sleep 600 & sleep 600");
        assert!(members(id).unwrap().contains(&member.id()));

        drop(group);

        assert_eq!(members(id).unwrap(), Vec::<u32>::new());
        member.wait().unwrap();
    }

    #[test]
    fn a_group_whose_test_was_killed_ends_and_takes_its_folder_along() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.keep();
        fs::write(path.join("file"), "content").unwrap();
        let mut group = ProcessGroup::start(Some(&path)).unwrap();
        let mut member = spawn(&group, "sleep 600 & sleep 600");
        assert!(path.exists());

        // What the kernel does to the pipe of a process that dies.
        drop(group.lifeline.take());

        member.wait().unwrap();
        wait_until_gone(group.id(), DEATH_LIMIT).unwrap();
        let deadline = Instant::now() + DEATH_LIMIT;
        while path.exists() {
            assert!(Instant::now() < deadline, "the folder is still there");
            thread::sleep(POLL_EVERY);
        }
    }

    #[test]
    fn membership_is_read_from_the_kernels_line() {
        let check = |stat: &str, expected: bool| assert_eq!(runs_in(stat, 42), expected, "{stat}");
        check("7 (php) S 1 42 42 0", true);
        check("7 (a ) R 9) S 1 42 42 0", true);
        check("7 (php) Z 1 42 42 0", false);
        check("7 (php) S 42 1 42 0", false);
        check("42 (php) S 1 1 1 0", false);
        check("", false);
    }

    fn spawn(group: &ProcessGroup, script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        group.adopt(&mut command);
        command.spawn().unwrap()
    }
}
