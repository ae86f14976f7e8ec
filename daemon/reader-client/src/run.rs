//! One process, from its start to its end.

use crate::{Failure, Found};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, timeout_at};
use wengu_protocol::plugin::{Enforcement, FRAME_BYTES_AT_ONCE, FrameError, decode_body, frame_body_bytes};
use wengu_protocol::reader::{READER_COOKIE, READER_PROTOCOL, Refusal, Reply, Request, Verdict, exit};

/// Beyond its processor time: a reader waits for nothing but the machine.
const WAIT_MORE: Duration = Duration::from_secs(30);
/// Last words that are kept of a reader.
const WORDS_BYTES_MAX: u64 = 4096;

/// How a process ended without telling all.
pub enum Ended {
    /// The file is refused, or no reader could be had.
    Failure(Failure),
    /// A document ended it.
    At {
        /// Its number.
        ordinal: u32,
        /// Its path inside the file; None: it is the file.
        member: Option<String>,
        /// How.
        refusal: Refusal,
    },
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Ended::Failure(failure)
    }
}

/// The document as a file that is nowhere on disk, under no name that could be a case's.
pub fn in_memory(document: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(memfd_create(c"document", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(document)?;
    Ok(file)
}

/// Has one process read the document.
pub async fn run(reader_exe: &Path, document: &File, request: &Request) -> Result<Found, Ended> {
    let failed = |what: String| Ended::Failure(Failure::Reader(what));
    let mut child = start(reader_exe, document, request)
        .map_err(|e| failed(format!("could not be started: {}: {e}", reader_exe.display())))?;
    let end = Instant::now() + Duration::from_secs(request.limits.time_s.into()) + WAIT_MORE;
    let words = child.stderr.take().map(|stderr| tokio::spawn(last_words(stderr)));
    let channel = child.stdout.take().ok_or_else(|| failed("has no channel".into()))?;
    let mut told = Told {
        channel: BufReader::with_capacity(FRAME_BYTES_AT_ONCE, channel),
        request,
        found: Found::default(),
        refused: None,
        at: (0, None),
        text_bytes: 0,
    };
    let listened = timeout_at(end, told.listen()).await;
    let outcome = match listened {
        Ok(Ok(())) => None,
        Ok(Err(FrameError::Io(_) | FrameError::Closed)) => Some(Err(None)),
        Ok(Err(error)) => Some(Err(Some(error.to_string()))),
        Err(_) => Some(Ok(Refusal::new(
            Verdict::TimedOut,
            "its reader stood still and was ended",
        ))),
    };
    let status = stop(&mut child, outcome.is_none() || matches!(outcome, Some(Err(None)))).await;
    let words = match words {
        Some(words) => words.await.unwrap_or_default(),
        None => String::new(),
    };
    let refusal = match outcome {
        None => {
            return match told.refused {
                Some(refusal) => Err(Failure::File(refusal).into()),
                None => Ok(told.found),
            };
        }
        Some(Ok(refusal)) => refusal,
        Some(Err(Some(bad_message))) => Refusal::new(
            Verdict::Crashed,
            format!("its reader sent a bad message: {bad_message}"),
        ),
        Some(Err(None)) => by_status(status, request).map_err(|what| failed(format!("{what}: {words}")))?,
    };
    tracing::warn!(verdict = refusal.verdict.as_str(), words, "reader_ended");
    let (ordinal, member) = told.at;
    Err(Ended::At {
        ordinal,
        member,
        refusal,
    })
}

fn start(reader_exe: &Path, mut document: &File, request: &Request) -> std::io::Result<Child> {
    document.rewind()?;
    let request = serde_json::to_string(request).map_err(std::io::Error::other)?;
    Command::new(reader_exe)
        .arg(request)
        .env_clear()
        .env(READER_COOKIE.0, READER_COOKIE.1)
        // glibc reserves 64 MiB of address space for each thread that allocates, which the limit would count.
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::from(document.try_clone()?))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Waits for a process that is leaving, or kills it.
async fn stop(child: &mut Child, is_leaving: bool) -> Option<ExitStatus> {
    if !is_leaving && let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) {
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
    match timeout_at(Instant::now() + Duration::from_secs(5), child.wait()).await {
        Ok(status) => status.ok(),
        Err(_) => {
            let _ = child.kill().await;
            None
        }
    }
}

/// What the end of a process says of the document. An error: it says something of the reader.
fn by_status(status: Option<ExitStatus>, request: &Request) -> Result<Refusal, String> {
    let limits = &request.limits;
    let memory = || {
        format!(
            "it needs more than {} MiB to be read; raise memory_mib under [reader]",
            limits.memory_bytes >> 20
        )
    };
    let status = status.ok_or("closed its channel and stayed")?;
    Ok(
        match (status.code().and_then(|code| u8::try_from(code).ok()), status.signal()) {
            (Some(exit::OUT_OF_MEMORY), _) => Refusal::new(Verdict::OutOfMemory, memory()),
            (Some(code), _) => return Err(format!("left with code {code}")),
            (None, Some(libc_signal)) => match Signal::try_from(libc_signal) {
                Ok(Signal::SIGXCPU) => {
                    let reason = format!(
                        "reading it takes more than {} s; raise time_s under [reader]",
                        limits.time_s
                    );
                    Refusal::new(Verdict::TimedOut, reason)
                }
                // Nobody but the kernel does that to a reader.
                Ok(Signal::SIGKILL) => {
                    Refusal::new(Verdict::OutOfMemory, "the system ended its reader to get memory back")
                }
                _ => Refusal::new(
                    Verdict::Crashed,
                    format!("its parser was ended by signal {libc_signal}"),
                ),
            },
            (None, None) => return Err("left without a code".into()),
        },
    )
}

/// What a reader has told so far.
struct Told<'r> {
    channel: BufReader<ChildStdout>,
    request: &'r Request,
    found: Found,
    /// The file as a whole is refused.
    refused: Option<Refusal>,
    /// The document that it is at.
    at: (u32, Option<String>),
    text_bytes: u64,
}

impl Told<'_> {
    /// Listens until all is told.
    async fn listen(&mut self) -> Result<(), FrameError> {
        let bad = |what: &str| FrameError::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned()));
        loop {
            match self.reply().await? {
                Reply::Ready { protocol, sandbox } => {
                    if protocol != READER_PROTOCOL {
                        return Err(bad("another protocol"));
                    }
                    if (sandbox.landlock, sandbox.seccomp) != (Enforcement::Full, Enforcement::Full) {
                        tracing::debug!(?sandbox, "reader_sandbox_incomplete: the kernel lacks a part of it");
                    }
                }
                Reply::Begin { ordinal, member } => self.at = (ordinal, member),
                Reply::Part(part) => self.found.parts.push((part, String::new())),
                Reply::Text(piece) => {
                    // A reader that a document has taken over is not believed.
                    self.text_bytes += piece.len() as u64;
                    let Some((_, text)) = self
                        .found
                        .parts
                        .last_mut()
                        .filter(|_| self.text_bytes <= self.request.limits.text_bytes)
                    else {
                        return Err(bad("text without a part, or too much of it"));
                    };
                    text.push_str(&piece);
                }
                Reply::Refused {
                    member: Some(member),
                    refusal,
                } => self.found.refused.push((member, refusal)),
                Reply::Refused { member: None, refusal } => self.refused = Some(refusal),
                Reply::Done => return Ok(()),
            }
            let told = self.found.parts.len() + self.found.refused.len();
            if told > 2 * self.request.limits.members as usize + 2 {
                return Err(bad("more documents than were allowed"));
            }
        }
    }

    async fn reply(&mut self) -> Result<Reply, FrameError> {
        let mut header = [0; 4];
        self.channel.read_exact(&mut header).await?;
        let bytes = frame_body_bytes(header)?;
        let mut body = Vec::with_capacity(bytes.min(FRAME_BYTES_AT_ONCE));
        let limited = (&mut self.channel).take(bytes as u64);
        if { limited }.read_to_end(&mut body).await? < bytes {
            return Err(FrameError::Closed);
        }
        decode_body(&body)
    }
}

/// The beginning of what a reader says on standard error; the rest is read and forgotten.
async fn last_words(mut stderr: impl AsyncRead + Unpin) -> String {
    let mut words = Vec::new();
    let _ = (&mut stderr).take(WORDS_BYTES_MAX).read_to_end(&mut words).await;
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    // A line break or an escape sequence must not forge a line of the log.
    String::from_utf8_lossy(&words)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
