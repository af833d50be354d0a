//! A home in a temporary folder, and the binary run in it: clean environment, input fed, output captured.

use std::{
    fs,
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// Whoever prints this without having been asked to reveal it has leaked it.
pub(crate) const CANARY: &str = "canary-7f3a";

pub(crate) const SITES: &str = "[[site]]\ndomain = \"blog.example\"\naliases = [\"www.blog.example\"]\n\
                                origins = [\"https://blog.example\"]\nlogin.driver = \"none\"\n";

pub(crate) struct Home {
    dir: tempfile::TempDir,
    env: Vec<(String, String)>,
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    /// An empty home.
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), env: Vec::new() }
    }

    /// A home with a vault that its identity unlocks, and one authorised site.
    pub(crate) fn with_vault() -> Self {
        let home = Self::new().env("LATCHKEY_IDENTITY", "identity.txt");
        home.run(&["init", "--no-recovery"]).ok();
        home.write(".config/latchkey/sites.toml", SITES);
        home
    }

    /// Sets a variable for every run; the value of one that names a file may be relative to the home.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn vault_file(&self) -> PathBuf {
        self.path(".local/share/latchkey/vault.db")
    }

    pub(crate) fn anchors(&self) -> PathBuf {
        self.path(".local/state/latchkey/anchors")
    }

    /// Writes a private file.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.feed("", args)
    }

    pub(crate) fn feed(&self, input: &str, args: &[&str]) -> Ended {
        assert!(!args.iter().any(|arg| arg.contains(CANARY)), "a secret in the arguments");
        self.finish(self.command(Path::new(env!("CARGO_BIN_EXE_latchkey")), args), input)
    }

    /// Runs it with the file `name` open as descriptor 3.
    pub(crate) fn run_with_fd3(&self, name: &str, args: &[&str]) -> Ended {
        let script = format!("exec \"$0\" \"$@\" 3<{}", self.path(name).display());
        let all: Vec<_> = ["-c", &script, env!("CARGO_BIN_EXE_latchkey")].iter().chain(args).copied().collect();
        self.finish(self.command(Path::new("/bin/sh"), &all), "")
    }

    /// Runs it in a session keyring of its own, as a login or a systemd unit has one.
    pub(crate) fn run_in_session(&self, args: &[&str]) -> Ended {
        let all: Vec<_> = ["session", "-", env!("CARGO_BIN_EXE_latchkey")].iter().chain(args).copied().collect();
        self.finish(self.command(Path::new("/usr/bin/keyctl"), &all), "")
    }

    pub(crate) fn command(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.dir.path());
        command.envs(self.env.iter().map(|(name, value)| (name, value))).current_dir(self.dir.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn finish(&self, mut command: Command, input: &str) -> Ended {
        let mut child = command.spawn().unwrap();
        // It may end without reading its input; what it did is seen in its end.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Ended {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Adds an account with secrets that hold the canary.
    pub(crate) fn add(&self, login: &str) -> String {
        let secrets = format!(
            r#"{{"password":"pw-{CANARY}","totp":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","app_password":"ap-{CANARY}",
                 "mail_password":"mp-{CANARY}","mail_app_password":"ma-{CANARY}","cookie":"sid=ck-{CANARY}; theme=dark"}}"#
        );
        let args = ["account", "add", "blog.example", "--username", login, "--tag", "new", "--secrets-stdin", "--json"];
        let added = self.feed(&secrets, &args).ok();
        added.hides_secrets();
        added.json()["id"].as_str().unwrap().to_owned()
    }
}

impl Ended {
    /// It did what it was asked, and said nothing beside its result.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }

    pub(crate) fn hides_secrets(&self) {
        assert!(!self.stdout.contains(CANARY) && !self.stderr.contains(CANARY), "{self:?}");
    }

    /// It failed so, in JSON: exit code, word, and a piece of the message.
    pub(crate) fn refused(&self, code: i32, word: &str, piece: &str) {
        assert_eq!(self.code, code, "{self:?}");
        let line = self.stderr.lines().last().unwrap_or_else(|| panic!("no error: {self:?}"));
        let error: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{self:?}"));
        let error = &error["error"];
        assert_eq!(error["code"], word, "{self:?}");
        assert!(error["message"].as_str().unwrap().contains(piece), "{self:?}");
        assert!(!error["hint"].as_str().unwrap().is_empty(), "{self:?}");
        self.hides_secrets();
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
