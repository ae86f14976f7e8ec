//! One connection, one request: its head is waited for, then HTTP has it until the answer is taken.

use super::admit::{Arrival, Door};
use super::limits::Full;
use super::wire::{Head, Wire, linger, read_head, refuse};
use crate::api::refusal::Refusal;
use axum::Router;
use axum::http::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// What hyper wants at least of a buffer.
const HYPER_BUFFER_MIN: usize = 8192;
/// Who is refused for want of room has so long to say what they wanted.
const REFUSED_HEAD: Duration = Duration::from_secs(2);

/// Answers one request.
pub async fn serve<S>(mut stream: S, door: &Door, router: &Router, arrival: Arrival, head_deadline: Instant)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = door.limits;
    let head = tokio::select! {
        head = read_head(&mut stream, limits.head_bytes, head_deadline) => head,
        () = door.engine.stopped() => return,
    };
    let read = match head {
        Head::Whole(read) => read,
        Head::Gone | Head::Late { begun: false } => return,
        Head::Late { begun: true } => {
            let error = format!(
                "the request's headers were not whole after {} s ([api.limits] head_s)",
                limits.head_time.as_secs()
            );
            return refuse(&mut stream, &Refusal::new(StatusCode::REQUEST_TIMEOUT, error)).await;
        }
        Head::TooLong => {
            let error = format!(
                "the request's headers have more than {} KiB ([api.limits] max_head_kib)",
                limits.head_bytes >> 10
            );
            let refusal = Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, error);
            return refuse(&mut stream, &refusal).await;
        }
    };
    let wire = Wire::new(read, stream, limits.request_time);
    let router = TowerToHyperService::new(router.clone());
    // On the request: a layer of the router would have all its routes made anew for each connection.
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(arrival.clone());
        router.call(request)
    });
    let served = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(limits.head_bytes + HYPER_BUFFER_MIN)
        .serve_connection(TokioIo::new(wire), service)
        .without_shutdown()
        .await;
    match served {
        Ok(parts) => linger(&mut parts.io.into_inner().into_stream()).await,
        Err(error) => tracing::debug!(%error, "api_connection_failed"),
    }
}

/// Turns a connection away that there is no room for.
pub async fn turn_away<S>(mut stream: S, door: &Door, full: Full)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let refusal = match full {
        Full::Peer => Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too many connections of this peer are open ([api.limits] max_connections_of_peer)",
        ),
        Full::All => Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many connections are open ([api.limits] max_connections)",
        ),
    };
    let deadline = Instant::now() + REFUSED_HEAD;
    if let Head::Whole(_) | Head::TooLong = read_head(&mut stream, door.limits.head_bytes, deadline).await {
        refuse(&mut stream, &refusal.retry_after_s(1)).await;
    }
}
