//! The latchkey command: closes the process against looks from outside, then does what the arguments say.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use latchkey_cli::exit::Exit;
use latchkey_worker::process;

fn main() -> ExitCode {
    process::harden();
    process::quiet_panics("latchkey");
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            // Where even the error cannot be written, the exit code is all that is left.
            let _ = writeln!(io::stderr(), "error: no threads or timers: {error}");
            return Exit::Failure.into();
        }
    };
    let exit = runtime.block_on(latchkey_cli::run(std::env::args_os()));
    // A keyring that still waits for its owner must not hold the end up.
    runtime.shutdown_background();
    exit.into()
}
