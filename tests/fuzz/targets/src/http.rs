//! Requests to the API: the head as the daemon looks for its end, then all of it as HTTP, then what it is about.

use axum::extract::Query;
use axum::http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use wengu::api::access::{Head, Wire, domain_of, read_head};
use wengu::api::types::*;
use wengu::feedback::FeedbackRequest;

const LIMITS: [usize; 4] = [16, 100, 1000, 16 << 10];
const PIECES: [usize; 4] = [1, 3, 1000, 1 << 20];
const PATIENCE: Duration = Duration::from_secs(60);
const BODY_BYTES_MAX: usize = 32 << 10;

/// The first byte says how much of a head is taken, and in which pieces the rest comes.
pub fn http(data: &[u8]) {
    let Some((&how, sent)) = data.split_first() else { return };
    let how = usize::from(how);
    let limit = LIMITS[how % 4];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime without threads").block_on(async {
        let mut stream = Pieces {
            left: sent,
            of: PIECES[how / 4 % 4],
            waits: 8,
        };
        let head = read_head(&mut stream, limit, Instant::now() + PATIENCE).await;
        match (end_of_head(sent), head) {
            (Some(end), Head::Whole(read)) => {
                assert!(end <= limit && end <= read.len() && sent.starts_with(&read));
                answer(read, stream).await;
            }
            (end, Head::TooLong) => assert!(sent.len() >= limit && end.is_none_or(|end| end > limit)),
            (end, head) => assert!(
                end.is_none() && sent.len() < limit && head == Head::Gone,
                "{head:?} of {} bytes",
                sent.len()
            ),
        }
    });
}

/// Where a line ends that nothing but an empty one follows.
fn end_of_head(sent: &[u8]) -> Option<usize> {
    let of = |end: &[u8]| sent.windows(end.len()).position(|found| found == end);
    let (bare, with_cr) = (of(b"\n\n"), of(b"\n\r\n"));
    match (bare, with_cr) {
        (Some(bare), Some(with_cr)) if with_cr < bare => Some(with_cr + 3),
        (Some(bare), _) => Some(bare + 2),
        (None, with_cr) => with_cr.map(|at| at + 3),
    }
}

/// As a connection is served: one request, and what it names is what it will be read as.
async fn answer(read: Vec<u8>, stream: Pieces<'_>) {
    let served = Cell::new(0);
    let service = service_fn(|request: Request<Incoming>| {
        served.set(served.get() + 1);
        async {
            let (parts, body) = request.into_parts();
            if let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await {
                understand(&parts.method, &parts.uri, &body.to_bytes());
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let wire = TokioIo::new(Wire::new(read, stream, PATIENCE));
    let mut http = http1::Builder::new();
    let http = http.keep_alive(false).max_buf_size(32 << 10);
    let _ = http.serve_connection(wire, service).without_shutdown().await;
    assert!(served.get() <= 1, "one request a connection");
}

#[derive(Deserialize)]
struct Named {
    domain: String,
}

/// Who may reach what is asked of the domain that the request names, so every reader has to find that one.
fn understand(method: &Method, uri: &Uri, body: &[u8]) {
    let named = domain_of(method, uri, body).ok();
    if method == Method::GET {
        if let Ok(Query(read)) = Query::<Named>::try_from_uri(uri) {
            assert_eq!(named, Some(Some(read.domain)), "the query names another domain");
        }
        return;
    }
    about::<AnchorRequest>(&named, body);
    about::<DomainRequest>(&named, body);
    about::<FeedbackRequest>(&named, body);
    about::<PromoteRequest>(&named, body);
    about::<ReleaseRequest>(&named, body);
    about::<RetryRequest>(&named, body);
    about::<ReviewRequest>(&named, body);
    about::<SilenceRequest>(&named, body);
    about::<TuneRequest>(&named, body);
    whole::<ForgetRequest>(body);
    whole::<PluginRequest>(body);
    whole::<ReplayRequest>(body);
    whole::<StoreBackupRequest>(body);
    whole::<TestRequest>(body);
    whole::<TokenName>(body);
    whole::<TokenRequest>(body);
}

/// A request about a domain, or about all that one may see.
fn about<T: DeserializeOwned + Serialize>(named: &Option<Option<String>>, body: &[u8]) {
    let Ok(request) = serde_json::from_slice::<T>(body) else {
        return;
    };
    let request = serde_json::to_value(&request).expect("what was read can be written");
    let domain = request["domain"].as_str().map(str::to_owned);
    assert_eq!(*named, Some(domain), "the body names another domain");
}

/// A request about the daemon as a whole.
fn whole<T: DeserializeOwned + Serialize>(body: &[u8]) {
    if let Ok(request) = serde_json::from_slice::<T>(body) {
        crate::messages::same_again(&request);
    }
}

/// Bytes that come a few at a time, and then no more, which shows a little later: who closes at once is not answered. What is
/// answered is lost.
struct Pieces<'s> {
    left: &'s [u8],
    of: usize,
    waits: u32,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left.is_empty() && self.waits > 0 {
            self.waits -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let n = self.of.min(self.left.len()).min(buf.remaining());
        let (piece, left) = self.left.split_at(n);
        buf.put_slice(piece);
        self.left = left;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
