//! The bytes of a connection before and around HTTP: the head of the request, read with a limit and a deadline; refusals
//! that no HTTP library can give any more; answers that nobody takes.

use crate::api::refusal::Refusal;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, timeout, timeout_at};

/// What a refusal may take until it has arrived.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What came of waiting for the head of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Head {
    /// All of it, and perhaps some of the body.
    Whole(Vec<u8>),
    /// It is too long.
    TooLong,
    /// It is not there at the deadline; whether any of it is.
    Late {
        /// Whether anything came at all.
        begun: bool,
    },
    /// The peer has left.
    Gone,
}

/// Reads until the empty line that ends the head.
pub async fn read_head(stream: &mut (impl AsyncRead + Unpin), limit: usize, deadline: Instant) -> Head {
    let mut bytes = Vec::with_capacity(1024);
    let mut chunk = [0; 4096];
    loop {
        match timeout_at(deadline, stream.read(&mut chunk)).await {
            Err(_) => {
                return Head::Late {
                    begun: !bytes.is_empty(),
                };
            }
            Ok(Err(_) | Ok(0)) => return Head::Gone,
            Ok(Ok(n)) => {
                // The end may have begun in what was read before.
                let from = bytes.len().saturating_sub(3);
                bytes.extend_from_slice(&chunk[..n]);
                match end_of_head(&bytes, from) {
                    Some(end) if end <= limit => return Head::Whole(bytes),
                    None if bytes.len() < limit => {}
                    _ => return Head::TooLong,
                }
            }
        }
    }
}

/// Where the head ends: behind the first line that is empty. Lines may end without a CR, as parsers take them so.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len()).find_map(|at| match &bytes[at..] {
        [b'\n', b'\n', ..] => Some(at + 2),
        [b'\n', b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// Says why, and closes so that it arrives.
pub async fn refuse(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), refusal: &Refusal) {
    if let Ok(Ok(())) = timeout(LAST_WORDS, stream.write_all(&refusal.bytes())).await {
        linger(stream).await;
    }
}

/// Closes our side, and takes what the peer still sends for a moment: a socket that is closed with bytes unread is reset, and
/// the answer may be lost with it.
pub async fn linger(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let _ = timeout(LAST_WORDS, async {
        stream.shutdown().await?;
        let mut dropped = vec![0; 1 << 16];
        while stream.read(&mut dropped).await? > 0 {}
        io::Result::Ok(())
    })
    .await;
}

/// A stream whose first bytes have been read, and that fails when the peer takes nothing for too long.
pub struct Wire<S> {
    read: Vec<u8>,
    at: usize,
    stream: S,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Wire<S> {
    /// `stream` with `read` in front of it.
    pub fn new(read: Vec<u8>, stream: S, patience: Duration) -> Wire<S> {
        Wire {
            read,
            at: 0,
            stream,
            patience,
            stalled: None,
        }
    }

    /// The stream itself.
    pub fn into_stream(self) -> S {
        self.stream
    }

    /// What a write came to, or that it has waited too long.
    fn unless_stalled<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.stalled = None;
            return done;
        }
        let patience = self.patience;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer does not take its answer",
        )))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let rest = &this.read[this.at..];
        if rest.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let n = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..n]);
        this.at += n;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.unless_stalled(cx, done)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_flush(cx);
        self.unless_stalled(cx, done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.unless_stalled(cx, done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn head_of(pieces: &[&str], limit: usize) -> Head {
        let (mut here, mut there) = tokio::io::duplex(1 << 16);
        let pieces: Vec<String> = pieces.iter().map(ToString::to_string).collect();
        let sender = tokio::spawn(async move {
            for piece in pieces {
                there.write_all(piece.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
            there
        });
        let head = read_head(&mut here, limit, Instant::now() + Duration::from_millis(200)).await;
        drop(sender.await);
        head
    }

    #[tokio::test]
    async fn a_head_ends_with_its_empty_line_wherever_it_is_cut() {
        let text = "GET / HTTP/1.1\r\nhost: wengu\r\n\r\n";
        for cut in 1..text.len() {
            let (first, second) = text.split_at(cut);
            assert_eq!(head_of(&[first, second], 100).await, Head::Whole(text.into()), "{cut}");
        }
        assert_eq!(
            head_of(&["GET / HTTP/1.1\nhost: w\n\n"], 100).await,
            Head::Whole("GET / HTTP/1.1\nhost: w\n\n".into())
        );
        let with_body = "POST / HTTP/1.1\r\n\r\n{\"domain\": 1}";
        assert_eq!(head_of(&[with_body], 100).await, Head::Whole(with_body.into()));
    }

    #[tokio::test]
    async fn a_head_has_a_limit_and_a_deadline() {
        let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(5000));
        assert_eq!(head_of(&[&long], long.len()).await, Head::Whole(long.clone().into()));
        assert_eq!(head_of(&[&long], long.len() - 1).await, Head::TooLong);
        assert_eq!(head_of(&[&"a".repeat(100)], 100).await, Head::TooLong);
        assert_eq!(head_of(&["GET / HT"], 100).await, Head::Late { begun: true });
        assert_eq!(head_of(&[], 100).await, Head::Late { begun: false });
        let (mut here, there) = tokio::io::duplex(64);
        drop(there);
        assert_eq!(read_head(&mut here, 100, Instant::now() + LAST_WORDS).await, Head::Gone);
    }

    #[tokio::test]
    async fn what_was_read_comes_first_and_a_peer_that_takes_nothing_is_given_up() {
        let (here, mut there) = tokio::io::duplex(8);
        let mut wire = Wire::new(b"first ".to_vec(), here, Duration::from_millis(50));
        there.write_all(b"second").await.unwrap();
        let mut text = [0; 12];
        wire.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"first second");
        let given_up = wire.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
    }
}
