//! The front door: arguments, runtime, command, exit code.

use clap::Parser;
use std::process::ExitCode;
use wengu::cli::{self, args::Args};

fn main() -> ExitCode {
    // A closed pipe (`wengu files | head`) ends the program quietly, as it does every other one.
    // SAFETY: no other thread runs yet, and SIG_DFL is no handler of ours.
    let _ = unsafe { nix::sys::signal::signal(nix::sys::signal::SIGPIPE, nix::sys::signal::SigHandler::SigDfl) };
    std::panic::set_hook(Box::new(|info| {
        if !wengu_store::engine_is_guarded() {
            // Its words may hold text of a case.
            let place = wengu_protocol::panic_place(info);
            eprintln!("wengu: it panicked at {place}, which is a defect; what was written before is kept");
        }
    }));
    wengu::heap::keep_one();
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("wengu: the runtime could not be started: {e}");
            return ExitCode::FAILURE;
        }
    };
    let exit = runtime.block_on(cli::run(args));
    // A blocking read that is still under way must not hold the exit up.
    runtime.shutdown_background();
    ExitCode::from(exit.code())
}
