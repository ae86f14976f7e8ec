//! The process that holds one plugin.
//!
//! The daemon starts it with a socket as standard input, says hello with a plugin's folder, and sends batches. It ends
//! when the socket closes; a crash, a hang or a leak of the plugin ends with it. It is no command for people.

mod limits;
mod serve;

use std::process::ExitCode;
use wengu_protocol::plugin::{FrameError, HOST_COOKIE};

/// Exit codes, as the daemon names them in its log.
mod exit {
    /// Started by hand (`EX_USAGE`).
    pub const BY_HAND: u8 = 64;
    /// The daemon sent something else than a request of this protocol (`EX_DATAERR`).
    pub const BAD_REQUEST: u8 = 65;
    /// The plugin was refused; the reply says why.
    pub const REFUSED: u8 = 70;
}

fn main() -> ExitCode {
    let cookie = std::env::var(HOST_COOKIE.0);
    if cookie.as_deref() != Ok(HOST_COOKIE.1) || !limits::stdin_is_socket() {
        eprintln!("wengu-plugin-host is started by wengu and speaks with nothing else; see `wengu plugin --help`");
        return ExitCode::from(exit::BY_HAND);
    }
    limits::give_way();
    match limits::take_channel()
        .map_err(FrameError::from)
        .and_then(|channel| serve::serve(&channel))
    {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("<3>plugin host: {error}");
            ExitCode::from(exit::BAD_REQUEST)
        }
    }
}
