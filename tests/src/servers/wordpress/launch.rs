//! Starts what a WordPress consists of, and runs verbs inside it.
//!
//! What the site is then used for is deliberately not known here.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::understand;
use crate::servers::FixtureError;
use crate::servers::sandbox::{Sandbox, Server};

/// Refuses to start without the parts of PHP that Debian packs apart and that WordPress needs.
pub(super) async fn require_extensions(sandbox: &Sandbox) -> Result<(), FixtureError> {
    let mut command = php(sandbox)?;
    command.arg("-m");
    let listed = sandbox.run("php", command, b"", START_LIMIT).await?;
    let listed = String::from_utf8_lossy(&listed);
    match EXTENSIONS.into_iter().find(|(name, _)| !listed.lines().any(|line| line == *name)) {
        Some((program, package)) => Err(FixtureError::Missing { program, package }),
        None => Ok(()),
    }
}

/// A private MariaDB on a socket in its folder; its disk may lie, since nothing outlives the test.
pub(super) async fn start_database(sandbox: &Sandbox) -> Result<Server, FixtureError> {
    let data = format!("--datadir={}", sandbox.make_folder("db")?.display());
    let mut install = sandbox.command("mariadb-install-db", "mariadb-server-core")?;
    install.args(["--no-defaults", &data, "--auth-root-authentication-method=normal", "--skip-test-db"]);
    install.args(DATABASE_OPTIONS);
    sandbox.run("mariadb-install-db", install, b"", START_LIMIT).await?;

    let init = sandbox.write("init.sql", "CREATE DATABASE wordpress CHARACTER SET utf8mb4;\n")?;
    let socket = sandbox.path().join("db.sock");
    let mut command = sandbox.command("mariadbd", "mariadb-server-core")?;
    command.args(["--no-defaults", &data, "--skip-networking"]).args(DATABASE_OPTIONS);
    command.arg(format!("--socket={}", socket.display())).arg(format!("--init-file={}", init.display()));
    let mut server = sandbox.serve("mariadbd", command)?;
    let answers = |log: &str| {
        let initialised = log.contains("ready for connections");
        (initialised && UnixStream::connect(&socket).is_ok()).then_some(())
    };
    server.ready(START_LIMIT, answers).await?;
    Ok(server)
}

/// PHP's own web server. It takes port 0 and writes the port that it got to its log.
pub(super) async fn start_web(sandbox: &Sandbox, www: &Path) -> Result<(Server, Url), FixtureError> {
    let mut command = php(sandbox)?;
    command.env("PHP_CLI_SERVER_WORKERS", WORKERS).args(["-d", "display_errors=0", "-S", "127.0.0.1:0", "-t"]).arg(www);
    let mut server = sandbox.serve("php", command)?;
    let address = |log: &str| {
        let (_, after) = log.split_once("Development Server (")?;
        Url::parse(after.split_once(") started")?.0).ok()
    };
    let url = server.ready(START_LIMIT, address).await?;
    Ok((server, url))
}

fn php(sandbox: &Sandbox) -> Result<Command, FixtureError> {
    let mut command = sandbox.command("php", "php-cli")?;
    command.arg("-d").arg(format!("sys_temp_dir={}", sandbox.path().join("tmp").display()));
    Ok(command)
}

/// Runs one verb of `tool.php` inside WordPress.
pub(super) async fn tool<T: DeserializeOwned>(sandbox: &Sandbox, url: &Url, request: Value) -> Result<T, FixtureError> {
    let mut command = php(sandbox)?;
    command.args(["-d", "display_errors=stderr", "tool.php", url.authority()]);
    let answer = sandbox.run("php", command, request.to_string().as_bytes(), START_LIMIT).await?;
    understand(&answer)
}

/// Extensions by the names that `php -m` prints, each with its package: the database, pictures, XML-RPC, Unicode.
const EXTENSIONS: [(&str, &str); 4] =
    [("mysqli", "php-mysql"), ("gd", "php-gd"), ("xml", "php-xml"), ("mbstring", "php-mbstring")];

/// How many requests are served at once: a browser's worth, so that logins can race.
const WORKERS: &str = "4";

/// Small files and no fsync: start-up is most of what the database does here.
const DATABASE_OPTIONS: [&str; 4] = [
    "--innodb-log-file-size=8M",
    "--innodb-buffer-pool-size=32M",
    "--innodb-flush-log-at-trx-commit=0",
    "--performance-schema=off",
];

/// How long each step of the start may take: seconds on a busy machine, so a minute is a hang.
const START_LIMIT: Duration = Duration::from_secs(60);
