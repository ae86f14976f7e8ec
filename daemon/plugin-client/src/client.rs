use crate::output::{Tail, capture};
use crate::{DocumentError, End, LabelInput, PluginEnd, ReadOutcome, Ready, ScoreInput, Segment, Status, Vote};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use wengu_plugin_package::Installed;
use wengu_protocol::plugin::{
    FRAME_BYTES_AT_ONCE, FrameError, HOST_COOKIE, PLUGIN_PROTOCOL, Reply, Request, WORKING_ON, decode_body,
    encode_frame, frame_body_bytes,
};

/// Documents and bytes of one request: enough to make the hop cheap, far below the largest frame.
const BATCH_DOCUMENTS_MAX: usize = 256;
const BATCH_BYTES_MAX: usize = 2 << 20;
/// Time for a process that has closed its channel to be gone.
const EXIT_GRACE: Duration = Duration::from_secs(2);
/// Time for the last lines of a process to arrive.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);

/// How a plugin is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The operator's table for the plugin: an object.
    pub config: serde_json::Value,
    /// Longest time without a sign of life (a result or a heartbeat).
    pub silence_timeout: Duration,
    /// Longest time for one document, or for loading, with or without heartbeats.
    pub call_timeout: Duration,
    /// Address space of the process; the manifest's limit where absent.
    pub memory_mib: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            config: serde_json::json!({}),
            silence_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_secs(300),
            memory_mib: None,
        }
    }
}

/// A running plugin.
pub struct PluginClient {
    plugin: String,
    options: Options,
    child: Child,
    channel: BufReader<UnixStream>,
    output: Vec<JoinHandle<()>>,
    tail: Tail,
    ready: Option<Box<Ready>>,
    /// The document of the batch at which a dead process was, read before it was reaped.
    working_on: Option<usize>,
    ended: Option<PluginEnd>,
}

fn missing<T>() -> Result<T, DocumentError> {
    Err(DocumentError {
        status: Status::Internal,
        message: "the host has left it out".into(),
    })
}

type Outcomes<T> = Vec<Result<T, DocumentError>>;

impl PluginClient {
    /// Starts a host for an installed plugin and waits until the plugin is loaded.
    ///
    /// # Errors
    /// How the process ended instead; it is gone.
    pub async fn start(host_exe: &Path, plugin: &Installed, options: Options) -> Result<PluginClient, PluginEnd> {
        let id = plugin.manifest.id.clone();
        let mut client = Self::spawn(host_exe, &id, options).map_err(|e| PluginEnd {
            plugin: id,
            end: End::CouldNotStart(format!("{}: {e}", host_exe.display())),
            document: None,
            output: Vec::new(),
        })?;
        let hello = Request::Hello {
            protocol: PLUGIN_PROTOCOL,
            plugin_dir: plugin.dir.clone(),
            package_sha256: plugin.package_sha256.clone(),
            config: client.options.config.to_string(),
            memory_mib: client.options.memory_mib,
        };
        let replied = match client.send(&hello).await {
            Ok(()) => client.reply().await,
            Err(end) => Err(end),
        };
        let end = match replied {
            Ok(Reply::Ready(ready)) if ready.protocol == PLUGIN_PROTOCOL => {
                client.ready = Some(ready);
                return Ok(client);
            }
            Ok(Reply::Refused { check, message }) => End::Refused { check, message },
            Ok(other) => End::BadMessage(format!("{other:?} in answer to a hello")),
            Err(end) => end,
        };
        Err(client.ended(end, None).await)
    }

    fn spawn(host_exe: &Path, plugin: &str, options: Options) -> std::io::Result<PluginClient> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        // The channel goes as standard input, which the host moves to a private descriptor at once: a descriptor under
        // another number would have to be inheritable here, and would leak into every other child of the daemon.
        let mut child = Command::new(host_exe)
            .env_clear()
            .env(HOST_COOKIE.0, HOST_COOKIE.1)
            // glibc reserves 64 MiB of address space for each thread that allocates, which the limit would count.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let tail = Tail::default();
        let mut output = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            output.push(tokio::spawn(capture(stdout, plugin.to_owned(), tail.clone())));
        }
        if let Some(stderr) = child.stderr.take() {
            output.push(tokio::spawn(capture(stderr, plugin.to_owned(), tail.clone())));
        }
        let channel = BufReader::with_capacity(FRAME_BYTES_AT_ONCE, UnixStream::from_std(ours)?);
        Ok(PluginClient {
            plugin: plugin.to_owned(),
            options,
            child,
            channel,
            output,
            tail,
            ready: None,
            working_on: None,
            ended: None,
        })
    }

    /// What the plugin is and offers.
    pub fn ready(&self) -> &Ready {
        self.ready.as_ref().expect("a client is handed out once it is ready")
    }

    /// The process, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Segments and labels documents: what is asked for, each with its own error.
    ///
    /// # Errors
    /// How the process ended, and at which document.
    pub async fn read(
        &mut self,
        documents: &[LabelInput],
        segments: bool,
        votes: bool,
    ) -> Result<Vec<ReadOutcome>, PluginEnd> {
        let request = |documents: &[LabelInput]| Request::Read {
            documents: documents.to_vec(),
            segments,
            votes,
        };
        let too_large = |error: DocumentError| ReadOutcome {
            segments: segments.then(|| Err(error.clone())),
            votes: votes.then_some(Err(error)),
        };
        let take = |reply| match reply {
            Reply::Read(outcome) => Ok(*outcome),
            other => Err(other),
        };
        self.batches(documents, |d| d.text.len() + d.metadata.len(), request, take, too_large)
            .await
    }

    /// Segments texts. Each has its segments, which tile it, or its own error.
    ///
    /// # Errors
    /// As [`PluginClient::read`].
    pub async fn segment(&mut self, texts: &[&str]) -> Result<Outcomes<Vec<Segment>>, PluginEnd> {
        let input = |text: &&str| LabelInput {
            text: (*text).into(),
            metadata: "{}".into(),
            seed: 0,
        };
        let documents: Vec<LabelInput> = texts.iter().map(input).collect();
        let read = self.read(&documents, true, false).await?;
        Ok(read.into_iter().map(|r| r.segments.unwrap_or_else(missing)).collect())
    }

    /// Labels documents. Each has its votes, which may be none, or its own error.
    ///
    /// # Errors
    /// As [`PluginClient::read`].
    pub async fn label(&mut self, documents: &[LabelInput]) -> Result<Outcomes<Vec<Vote>>, PluginEnd> {
        let read = self.read(documents, false, true).await?;
        Ok(read.into_iter().map(|r| r.votes.unwrap_or_else(missing)).collect())
    }

    /// Scores answers. Each has a value for each of [`Ready::metrics`], or its own error.
    ///
    /// # Errors
    /// How the process ended, and at which item.
    pub async fn score(&mut self, items: &[ScoreInput]) -> Result<Outcomes<Vec<f64>>, PluginEnd> {
        let request = |items: &[ScoreInput]| Request::Score { items: items.to_vec() };
        let take = |reply| match reply {
            Reply::Scored(outcome) => Ok(outcome),
            other => Err(other),
        };
        self.batches(
            items,
            |i| i.input.len() + i.expected.len() + i.actual.len(),
            request,
            take,
            Err,
        )
        .await
    }

    /// Stops the process: closes the channel, waits, and kills what is left.
    pub async fn stop(mut self) {
        let _ = self.channel.shutdown().await;
        if timeout(EXIT_GRACE, self.child.wait()).await.is_err() {
            self.kill();
            let _ = self.child.wait().await;
        }
    }

    async fn batches<D, T>(
        &mut self,
        documents: &[D],
        bytes: impl Fn(&D) -> usize,
        request: impl Fn(&[D]) -> Request,
        take: impl Fn(Reply) -> Result<T, Reply>,
        too_large: impl Fn(DocumentError) -> T,
    ) -> Result<Vec<T>, PluginEnd> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        let mut outcomes = Vec::with_capacity(documents.len());
        while outcomes.len() < documents.len() {
            let rest = &documents[outcomes.len()..];
            let mut sum = 0;
            let fits = |d: &&D| {
                sum += bytes(d);
                sum <= BATCH_BYTES_MAX
            };
            let count = rest.iter().take(BATCH_DOCUMENTS_MAX).take_while(fits).count().max(1);
            let begin = outcomes.len();
            self.working_on = None;
            let ways = (&request, &take, &too_large);
            if let Err(end) = self.batch(&rest[..count], ways, &mut outcomes).await {
                // Replies come several at a time: the process was further than they tell, if it could still say so.
                let working_on = self.working_on.or_else(|| self.read_working_on());
                let at = working_on
                    .map_or(0, |index| begin + index.min(count - 1))
                    .max(outcomes.len());
                return Err(self.ended(end, Some(at)).await);
            }
        }
        Ok(outcomes)
    }

    async fn batch<D, T>(
        &mut self,
        documents: &[D],
        (request, take, too_large): (
            &impl Fn(&[D]) -> Request,
            &impl Fn(Reply) -> Result<T, Reply>,
            &impl Fn(DocumentError) -> T,
        ),
        outcomes: &mut Vec<T>,
    ) -> Result<(), End> {
        let frame = match encode_frame(&request(documents)) {
            Ok(frame) => frame,
            // Only a document that is alone in its batch can be so large.
            Err(error) => {
                let error = DocumentError {
                    status: Status::Input,
                    message: error.to_string(),
                };
                outcomes.extend(documents.iter().map(|_| too_large(error.clone())));
                return Ok(());
            }
        };
        self.send_frame(&frame).await?;
        for _ in documents {
            let outcome = take(self.reply().await?);
            outcomes.push(outcome.map_err(|other| End::BadMessage(format!("{other:?} in place of a result")))?);
        }
        match self.reply().await? {
            Reply::Done => Ok(()),
            other => Err(End::BadMessage(format!("{other:?} in place of done"))),
        }
    }

    async fn send(&mut self, request: &Request) -> Result<(), End> {
        let frame = encode_frame(request).map_err(|e| End::CouldNotStart(e.to_string()))?;
        self.send_frame(&frame).await
    }

    async fn send_frame(&mut self, frame: &[u8]) -> Result<(), End> {
        let limit = self.options.silence_timeout;
        match timeout(limit, self.channel.write_all(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.gone().await),
            Err(_) => Err(End::TimedOut {
                wanted: "sign of life",
                after: limit,
            }),
        }
    }

    /// The next reply that is not a heartbeat.
    async fn reply(&mut self) -> Result<Reply, End> {
        let call_end = Instant::now() + self.options.call_timeout;
        loop {
            let silence_end = Instant::now() + self.options.silence_timeout;
            let read = timeout_at(silence_end.min(call_end), read_reply(&mut self.channel)).await;
            match read {
                Ok(Ok(Reply::Heartbeat { .. })) => {}
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(FrameError::Io(_) | FrameError::Closed)) => return Err(self.gone().await),
                Ok(Err(error)) => return Err(End::BadMessage(error.to_string())),
                Err(_) if silence_end < call_end => {
                    return Err(End::TimedOut {
                        wanted: "sign of life",
                        after: self.options.silence_timeout,
                    });
                }
                Err(_) => {
                    return Err(End::TimedOut {
                        wanted: "result",
                        after: self.options.call_timeout,
                    });
                }
            }
        }
    }

    /// The document that the process works on, or worked on when it died: it must not be reaped yet.
    fn read_working_on(&self) -> Option<usize> {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", self.child.id()?)).ok()?;
        name.trim_end().strip_prefix(WORKING_ON)?.parse().ok()
    }

    /// How a process ended that has closed its channel.
    async fn gone(&mut self) -> End {
        self.working_on = self.read_working_on();
        match timeout(EXIT_GRACE, self.child.wait()).await {
            Ok(Ok(status)) => by_status(status),
            Ok(Err(error)) => End::BadMessage(format!("its end cannot be read: {error}")),
            Err(_) => End::BadMessage("it closed its channel and stayed".into()),
        }
    }

    /// Kills what is left, collects the last words, and remembers the end.
    async fn ended(&mut self, end: End, document: Option<usize>) -> PluginEnd {
        self.kill();
        let _ = self.child.wait().await;
        for output in self.output.drain(..) {
            // A grandchild that left the group may hold the pipe open for ever.
            let abort = output.abort_handle();
            if timeout(OUTPUT_GRACE, output).await.is_err() {
                abort.abort();
            }
        }
        let ended = PluginEnd {
            plugin: self.plugin.clone(),
            end,
            document,
            output: self.tail.lines(),
        };
        self.ended = Some(ended.clone());
        ended
    }

    fn kill(&self) {
        // None once the process is reaped: its number may be another's by then.
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

impl Drop for PluginClient {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn read_reply(channel: &mut BufReader<UnixStream>) -> Result<Reply, FrameError> {
    if let Some((reply, bytes)) = buffered_reply(channel.buffer())? {
        channel.consume(bytes);
        return Ok(reply);
    }
    let mut header = [0; 4];
    channel.read_exact(&mut header).await?;
    let bytes = frame_body_bytes(header)?;
    let mut body = Vec::with_capacity(bytes.min(FRAME_BYTES_AT_ONCE));
    if channel.take(bytes as u64).read_to_end(&mut body).await? < bytes {
        return Err(FrameError::Closed);
    }
    decode_body(&body)
}

/// The reply at the beginning of a buffer and the bytes of its frame, if all of it is there: most of a batch is.
fn buffered_reply(buffer: &[u8]) -> Result<Option<(Reply, usize)>, FrameError> {
    let Some((header, rest)) = buffer.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let bytes = frame_body_bytes(*header)?;
    let body = rest.get(..bytes);
    body.map(|body| Ok((decode_body(body)?, 4 + bytes))).transpose()
}

fn by_status(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited { code },
        (None, signal) => End::Signal {
            signal: signal.unwrap_or_default(),
        },
    }
}
