//! The process that turns one document of others into text.
//!
//! The daemon starts it with the document as standard input. It shuts itself in, writes frames to what was its standard
//! output, and ends; whatever a document does to its parser ends with it. It is no command for people.

mod memory;

use nix::libc;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::process::ExitCode;
use wengu_plugin_sandbox::{enter_reader, limit_reader};
use wengu_protocol::plugin::write_frame;
use wengu_protocol::reader::{READER_COOKIE, READER_PROTOCOL, Reply, Request, exit};

#[global_allocator]
static MEMORY: memory::EndsWhenRefused = memory::EndsWhenRefused;

/// Parsers call themselves for what is nested. Reserved, not used.
const STACK_BYTES: usize = 64 << 20;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    let (Ok(cookie), Some(argument)) = (std::env::var(READER_COOKIE.0), argument) else {
        return by_hand();
    };
    if cookie != READER_COOKIE.1 {
        return by_hand();
    }
    let request = match serde_json::from_str::<Request>(&argument) {
        Ok(request) if request.protocol == READER_PROTOCOL => request,
        _ => {
            eprintln!("<3>reader: not a request of version {READER_PROTOCOL}");
            return ExitCode::from(exit::BAD_REQUEST);
        }
    };
    match serve(request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("<3>reader: {error}");
            ExitCode::from(exit::CHANNEL)
        }
    }
}

fn by_hand() -> ExitCode {
    eprintln!("wengu-reader is started by wengu and speaks with nothing else; drop documents into a watched folder");
    ExitCode::from(exit::BY_HAND)
}

fn serve(request: Request) -> io::Result<()> {
    let mut channel = take_channel()?;
    limit_reader(request.limits.memory_bytes, request.limits.time_s)?;
    let watched = channel.try_clone()?;
    let sandbox = enter_reader();
    let ready = Reply::Ready {
        protocol: READER_PROTOCOL,
        sandbox,
    };
    leave_with(watched)?;
    let mut send = move |reply: &Reply| write_frame(&mut channel, reply).map_err(io::Error::other);
    send(&ready)?;
    // Where a panic was is told by the refusal; its words may be the document's.
    std::panic::set_hook(Box::new(wengu_protocol::note_panic));
    let work = move || {
        let mut document = Vec::new();
        io::stdin().lock().read_to_end(&mut document)?;
        wengu_reader::read(&document, &request, &mut send)
    };
    let worker = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work)?;
    worker
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the reader itself failed")))
}

/// Ends the process when nobody reads its channel any more, whatever the document is doing to its parser.
fn leave_with(channel: File) -> io::Result<()> {
    let watch = move || {
        let nobody = libc::pollfd {
            fd: channel.as_raw_fd(),
            events: 0,
            revents: 0,
        };
        loop {
            let mut closed = nobody;
            // SAFETY: one pollfd, without a time limit and without a mask of signals.
            let count = unsafe { libc::ppoll(&mut closed, 1, std::ptr::null(), std::ptr::null()) };
            if count > 0 {
                // SAFETY: ends the process without the exit handlers of a parser's libraries.
                unsafe { libc::_exit(0) };
            }
            if count < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("watch".into()).stack_size(64 << 10);
    thread.spawn(watch).map(drop)
}

/// Moves the channel from standard output to a private descriptor: a parser that prints writes to standard error.
fn take_channel() -> io::Result<File> {
    let channel = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    nix::unistd::dup2_stdout(io::stderr().as_fd())?;
    Ok(channel)
}
