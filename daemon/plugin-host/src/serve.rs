//! Requests in, replies out.

use crate::{exit, limits};
use sha2::{Digest, Sha256};
use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use wengu_plugin::{Error, Prediction, SegmentKind, Status};
use wengu_plugin_loader::{HostCalls, Plugin};
use wengu_plugin_package::Installed;
use wengu_protocol::plugin as wire;
use wire::{FRAME_BYTES_AT_ONCE, FrameError, PLUGIN_PROTOCOL, Reply, Request, append_frame, read_frame, write_frame};

/// At most one heartbeat in this time.
const HEARTBEAT_EVERY: Duration = Duration::from_millis(200);

/// Replies are sent when so many bytes of them wait,
const REPLIES_BYTES_MAX: usize = 64 << 10;
/// or when the first of them has waited so long.
const REPLIES_WAIT: Duration = Duration::from_millis(5);

/// Serves requests until the daemon closes the channel. Returns the exit code.
pub fn serve(channel: &UnixStream) -> Result<u8, FrameError> {
    let mut requests = BufReader::with_capacity(FRAME_BYTES_AT_ONCE, channel);
    let Some(request) = next(&mut requests)? else {
        return Ok(0);
    };
    let mut plugin = match hello(request, channel)? {
        Ok((plugin, ready)) => {
            write_frame(channel, &Reply::Ready(Box::new(ready)))?;
            plugin
        }
        Err(refusal) => {
            write_frame(
                channel,
                &Reply::Refused {
                    check: refusal.check.into(),
                    message: refusal.message,
                },
            )?;
            return Ok(exit::REFUSED);
        }
    };
    let mut replies = Replies {
        channel,
        frames: Vec::new(),
        oldest: Instant::now(),
    };
    loop {
        limits::spin_until_readable(channel);
        let Some(request) = next(&mut requests)? else {
            return Ok(0);
        };
        limits::renew_cpu()?;
        answer(request, &mut plugin, &mut replies)?;
    }
}

fn next(channel: &mut BufReader<&UnixStream>) -> Result<Option<Request>, FrameError> {
    match read_frame(channel) {
        Err(FrameError::Closed) => Ok(None),
        other => other.map(Some),
    }
}

struct Refusal {
    check: &'static str,
    message: String,
}

type Loaded = Result<(Plugin, wire::Ready), Refusal>;

fn hello(request: Request, channel: &UnixStream) -> Result<Loaded, FrameError> {
    let refusal = |check, message| Ok(Err(Refusal { check, message }));
    let Request::Hello {
        protocol,
        plugin_dir,
        package_sha256,
        config,
        memory_mib,
    } = request
    else {
        return refusal("protocol", "the first request must be a hello".into());
    };
    if protocol != PLUGIN_PROTOCOL {
        let message = format!("the daemon speaks protocol {protocol}, this host {PLUGIN_PROTOCOL}: install both anew");
        return refusal("protocol", message);
    }
    let installed = match Installed::open(&plugin_dir, &package_sha256) {
        Ok(installed) => installed,
        Err(error) => return refusal("manifest", error.to_string()),
    };
    if let Err(error) = wengu_plugin_sandbox::limit(memory_mib.unwrap_or(installed.manifest.limits.memory_mib)) {
        return refusal("limits", format!("the process cannot be limited: {error}"));
    }
    let sandbox = wengu_plugin_sandbox::enter(&plugin_dir, wengu_plugin_sandbox::Forbidden::Fails);
    // Inside the sandbox, like every thread that follows: a plugin could make any thread run its code.
    limits::die_with(channel.try_clone()?)?;
    let calls = Calls {
        channel: channel.try_clone()?,
        last: Mutex::new(Instant::now()),
    };
    match Plugin::load(&installed, &config, Box::new(calls)) {
        Ok(plugin) => {
            let ready = ready(&installed, &plugin, sandbox);
            Ok(Ok((plugin, ready)))
        }
        Err(error) => refusal(error.check(), error.to_string()),
    }
}

fn ready(installed: &Installed, plugin: &Plugin, sandbox: wire::Sandbox) -> wire::Ready {
    let m = installed.manifest.clone();
    let lists = plugin.lists().clone();
    let mut terms = Sha256::new();
    for term in &lists.terms {
        terms.update((term.len() as u64).to_le_bytes());
        terms.update(term);
    }
    let metric = |m: wengu_plugin::Metric| wire::Metric {
        name: m.name,
        higher_is_better: m.higher_is_better,
    };
    wire::Ready {
        protocol: PLUGIN_PROTOCOL,
        library_sha256: m.sha256.unwrap_or_default(),
        sandbox,
        descriptor: wire::Descriptor {
            id: m.id,
            name: m.name,
            version: m.version,
            domain: m.domain,
            languages: m.languages,
            provides: m.provides,
        },
        labels: lists.labels,
        functions: lists.functions,
        metrics: lists.metrics.into_iter().map(metric).collect(),
        terms: lists.terms,
        terms_sha256: terms.finalize().iter().map(|b| format!("{b:02x}")).collect(),
    }
}

/// Answers every document, and says done.
fn answer(request: Request, plugin: &mut Plugin, replies: &mut Replies) -> Result<(), FrameError> {
    match request {
        Request::Read {
            documents,
            segments,
            votes,
        } => {
            for (index, d) in documents.iter().enumerate() {
                working_on(index);
                let tiled = segments.then(|| plugin.segment(&d.text));
                let voted = votes.then(|| plugin.label(&d.text, &d.metadata, d.seed));
                let outcome = wire::ReadOutcome {
                    segments: tiled.map(|s| s.map(|s| s.into_iter().map(segment).collect()).map_err(error)),
                    votes: voted.map(|v| v.map(|v| v.into_iter().map(vote).collect()).map_err(error)),
                };
                replies.push(&Reply::Read(Box::new(outcome)), |error| {
                    let failed = wire::ReadOutcome {
                        segments: segments.then(|| Err(error.clone())),
                        votes: votes.then_some(Err(error)),
                    };
                    Reply::Read(Box::new(failed))
                })?;
            }
        }
        Request::Score { items } => {
            for (index, i) in items.iter().enumerate() {
                working_on(index);
                let item = Prediction {
                    input: &i.input,
                    expected: &i.expected,
                    actual: &i.actual,
                };
                let scored = Reply::Scored(plugin.score(&item, i.seed).map_err(error));
                replies.push(&scored, |error| Reply::Scored(Err(error)))?;
            }
        }
        Request::Hello { .. } => {
            let again = Error::input("a second hello: a host holds one plugin");
            return Err(FrameError::Io(std::io::Error::other(again)));
        }
    }
    replies.done()
}

/// Notes which document of the batch comes next where the daemon finds it when this process is dead: in its name.
fn working_on(index: usize) {
    let name = format!("{}{index}", wire::WORKING_ON);
    if let Ok(name) = std::ffi::CString::new(name) {
        // A name that could not be set costs the daemon a guess.
        let _ = nix::sys::prctl::set_name(&name);
    }
}

/// Replies on their way: sent together, since waking the daemon for each would cost more than most plugins.
struct Replies<'a> {
    channel: &'a UnixStream,
    frames: Vec<u8>,
    oldest: Instant,
}

impl Replies<'_> {
    /// Adds a reply; `instead` says why not, where it does not fit a frame.
    fn push(&mut self, reply: &Reply, instead: impl FnOnce(wire::DocumentError) -> Reply) -> Result<(), FrameError> {
        if self.frames.is_empty() {
            self.oldest = Instant::now();
        }
        match append_frame(&mut self.frames, reply) {
            Err(FrameError::TooLarge { bytes }) => {
                let message = format!("the result of {bytes} bytes does not fit a frame");
                let instead = instead(error(Error::new(Status::Internal, message)));
                append_frame(&mut self.frames, &instead)?;
            }
            other => other?,
        }
        match self.frames.len() > REPLIES_BYTES_MAX || self.oldest.elapsed() > REPLIES_WAIT {
            true => self.send(),
            false => Ok(()),
        }
    }

    fn done(&mut self) -> Result<(), FrameError> {
        append_frame(&mut self.frames, &Reply::Done)?;
        self.send()
    }

    fn send(&mut self) -> Result<(), FrameError> {
        self.channel.write_all(&self.frames)?;
        self.frames.clear();
        Ok(())
    }
}

fn segment(s: wengu_plugin::Segment) -> wire::Segment {
    let kind = match s.kind {
        SegmentKind::Text => wire::SegmentKind::Text,
        SegmentKind::Term => wire::SegmentKind::Term,
        SegmentKind::Drop => wire::SegmentKind::Drop,
    };
    // The loader has checked that the text's length fits 32 bits.
    wire::Segment {
        kind,
        begin: s.range.start as u32,
        end: s.range.end as u32,
    }
}

fn vote(v: wengu_plugin::Vote) -> wire::Vote {
    let span = v.span.map(|s| (s.start as u32, s.end as u32));
    wire::Vote {
        function: v.function as u32,
        label: v.label as u32,
        span,
        confidence: v.confidence,
    }
}

fn error(e: Error) -> wire::DocumentError {
    let status = match e.status {
        Status::Input => wire::Status::Input,
        Status::Unsupported => wire::Status::Unsupported,
        Status::Cancelled => wire::Status::Cancelled,
        Status::Resource => wire::Status::Resource,
        Status::Internal => wire::Status::Internal,
        Status::Poisoned => wire::Status::Poisoned,
    };
    wire::DocumentError {
        status,
        message: e.message,
    }
}

/// What the plugin's calls to its host become.
struct Calls {
    channel: UnixStream,
    last: Mutex<Instant>,
}

impl HostCalls for Calls {
    fn log(&self, level: i32, text: &str) {
        // Standard error is the log; the level is written as sd-daemon(3) has it.
        let priority = match level {
            ..=0 => 3,
            1 => 4,
            2 => 6,
            _ => 7,
        };
        for line in text.lines() {
            eprintln!("<{priority}>{line}");
        }
    }

    fn keep_going(&self, done: u64, total: u64) -> bool {
        // A plugin that breaks the rule and calls this from a second thread must not tear a frame.
        let Ok(mut last) = self.last.lock() else { return false };
        if last.elapsed() < HEARTBEAT_EVERY {
            return true;
        }
        *last = Instant::now();
        write_frame(&self.channel, &Reply::Heartbeat { done, total }).is_ok()
    }
}
