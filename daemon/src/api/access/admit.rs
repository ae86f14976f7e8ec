//! What every request passes: whose it is, whether they may, its body within the limits, and the record of what it changes.

use super::caller::Caller;
use super::limits::{Backoff, Peer, Slot};
use super::people::People;
use super::routes::{self, Route};
use super::{record, tokens};
use crate::api::refusal::{Refusal, blocking};
use crate::engine::Engine;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use wengu_config::ApiLimits;

/// What the daemon knows of all requests.
pub struct Door {
    pub engine: Arc<Engine>,
    pub people: People,
    pub limits: ApiLimits,
    routes: Vec<Route>,
    backoff: Mutex<Backoff>,
}

/// What is known of a request before it is read.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The other end.
    pub peer: Peer,
    /// Who that is; None: a token must say it.
    pub caller: Option<Caller>,
    /// When all of the request must be there.
    pub deadline: tokio::time::Instant,
    /// The connection's place, which what it asked for keeps until it is done.
    pub slot: Arc<Slot>,
}

/// A request whose turn it is.
struct Admitted {
    caller: Arc<Caller>,
    route: Route,
    parts: Parts,
    body: Bytes,
    slot: Arc<Slot>,
}

impl Door {
    pub fn new(engine: Arc<Engine>, routes: Vec<Route>) -> Door {
        let limits = engine.config.api.limits;
        Door {
            people: People::new(&engine.config.api),
            limits,
            routes,
            backoff: Mutex::new(Backoff::new(limits.refused_tokens, limits.backoff_max)),
            engine,
        }
    }

    /// The bearer of the token in a request's headers.
    async fn bearer(&self, peer: Peer, headers: &HeaderMap) -> Result<Caller, Refusal> {
        if let Some(wait) = self.backoff().wait(peer, Instant::now()) {
            let error = "too many tokens from this address were refused; it has to wait";
            let seconds = wait.as_secs() + 1;
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, error).retry_after_s(seconds));
        }
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        // Without a token one that nobody has is looked for, so that this takes as long.
        let shown = shown
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default()
            .to_owned();
        let engine = self.engine.clone();
        let found = blocking(move || tokens::find(&engine, &shown)).await?;
        found.ok_or_else(|| {
            self.backoff().refused(peer, Instant::now());
            tracing::warn!(?peer, "token_refused");
            Refusal::new(
                StatusCode::UNAUTHORIZED,
                "a token is needed that this daemon knows, that has not expired and was not revoked: `Authorization: Bearer …`",
            )
        })
    }

    fn backoff(&self) -> std::sync::MutexGuard<'_, Backoff> {
        self.backoff.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The body, within its limits. A daemon that stops does not wait for it.
    async fn body(&self, arrival: &Arrival, headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
        let most = self.limits.body_bytes;
        let too_large = || {
            let error = format!("the body has more than {} KiB ([api.limits] max_body_kib)", most >> 10);
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error)
        };
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|bytes| bytes > most as u64) {
            return Err(too_large());
        }
        tokio::select! {
            read = tokio::time::timeout_at(arrival.deadline, Limited::new(body, most).collect()) => match read {
                Ok(Ok(body)) => Ok(body.to_bytes()),
                Ok(Err(e)) if e.is::<LengthLimitError>() => Err(too_large()),
                Ok(Err(_)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "the body ended before its end")),
                Err(_) => {
                    let error = format!("the request was not whole after {} s ([api.limits] request_s)", self.limits.request_time.as_secs());
                    Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, error))
                }
            },
            () = self.engine.stopped() => Err(stopping()),
        }
    }

    async fn check(&self, request: Request) -> Result<Admitted, Refusal> {
        let (mut parts, body) = request.into_parts();
        let Some(arrival) = parts.extensions.remove::<Arrival>() else {
            return Err(Refusal::bug("a request from nowhere"));
        };
        let caller = match &arrival.caller {
            Some(caller) => caller.clone(),
            None => self.bearer(arrival.peer, &parts.headers).await?,
        };
        if caller.role.is_none() {
            // Whatever they ask for; what there is to ask for is not theirs to learn either.
            let nearest = self
                .routes
                .iter()
                .min_by_key(|route| (route.path != parts.uri.path(), route.least));
            let refused = nearest.map_or(Ok(()), |route| caller.has_role_for(route));
            tracing::warn!(who = %caller.who, path = parts.uri.path(), "caller_has_no_role");
            return Err(refused
                .err()
                .unwrap_or_else(|| Refusal::bug("a route that needs no role")));
        }
        let route = routes::find(&self.routes, &parts.method, parts.uri.path())?.clone();
        let body = self.body(&arrival, &parts.headers, body).await?;
        let allowed = match caller.has_role_for(&route) {
            Ok(()) => {
                domain_of(&parts.method, &parts.uri, &body).and_then(|domain| caller.reaches(&route, domain.as_deref()))
            }
            refused => refused,
        };
        if let Err(refusal) = allowed {
            // What is wrong with a body may quote it.
            let told = (!route.is_private).then_some(refusal.error.as_str());
            tracing::warn!(who = %caller.who, %route, error = told, "request_refused");
            if route.changes() {
                let (engine, error) = (self.engine.clone(), refusal.error.clone());
                let recorded = blocking(move || record::refused(&engine, &caller, &route, &body, &error)).await;
                if let Err(failed) = recorded {
                    tracing::error!(error = failed.error, "refusal_not_recorded");
                }
            }
            return Err(refusal);
        }
        let caller = Arc::new(caller);
        parts.extensions.insert(caller.clone());
        Ok(Admitted {
            caller,
            route,
            parts,
            body,
            slot: arrival.slot,
        })
    }
}

/// The domain that a request names: in the query of what is read, in the body of what is changed.
///
/// # Errors
/// A query or a body that cannot be read, or that names two.
pub fn domain_of(method: &Method, uri: &Uri, body: &[u8]) -> Result<Option<String>, Refusal> {
    let bad = |what: &str| Refusal::new(StatusCode::BAD_REQUEST, what);
    if method == Method::GET {
        let Query(pairs) =
            Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| bad("the query cannot be read"))?;
        let mut domains = pairs
            .into_iter()
            .filter(|(key, _)| key == "domain")
            .map(|(_, domain)| domain);
        return match (domains.next(), domains.next()) {
            (_, Some(_)) => Err(bad("the query names two domains")),
            (domain, None) => Ok(domain),
        };
    }
    /// serde refuses a key that stands there twice, as it will where the request is read.
    #[derive(serde::Deserialize)]
    struct About {
        domain: Option<String>,
    }
    match serde_json::from_slice::<Option<About>>(body) {
        Ok(about) => Ok(about.and_then(|about| about.domain)),
        Err(e) => Err(bad(&format!("the body is not the JSON that is asked for: {e}"))),
    }
}

/// The layer around every route.
pub async fn admit(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let admitted = match door.check(request).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.into_response(),
    };
    let Admitted {
        caller,
        route,
        parts,
        body,
        slot,
    } = admitted;
    let sent = body.clone();
    let request = Request::from_parts(parts, Body::from(body));
    // A task of its own: what has begun is done and recorded, even if who asked has left; and so long it counts as theirs, or
    // who asks and leaves could ask without end.
    let work = tokio::spawn(async move {
        let _slot = slot;
        if !route.changes() {
            return next.run(request).await;
        }
        let (engine, is_private) = (door.engine.clone(), route.is_private);
        let asked = blocking(move || record::asked(&engine, &caller, &route, &sent)).await;
        let asked = match asked {
            Ok(asked) => asked,
            Err(refusal) => {
                let error = format!("it cannot be recorded, so it is not done: {}", refusal.error);
                return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error).into_response();
            }
        };
        let response = next.run(request).await;
        let (status, error) = (
            response.status().as_u16(),
            record::error_of(&response).filter(|_| !is_private),
        );
        let engine = door.engine.clone();
        match blocking(move || record::answered(&engine, asked, status, error)).await {
            Ok(()) => response,
            Err(refusal) => {
                let error = format!("it was done, and what came of it cannot be recorded: {}", refusal.error);
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error).into_response()
            }
        }
    });
    work.await
        .unwrap_or_else(|e| Refusal::bug(crate::panics::without_words(e)).into_response())
}

/// The daemon leaves.
pub fn stopping() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping").retry_after_s(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str) -> Result<Option<String>, StatusCode> {
        domain_of(&Method::GET, &uri.parse().unwrap(), b"").map_err(|refusal| refusal.status)
    }

    fn sent(body: &str) -> Result<Option<String>, StatusCode> {
        domain_of(&Method::POST, &Uri::from_static("/?domain=query"), body.as_bytes()).map_err(|refusal| refusal.status)
    }

    #[test]
    fn a_request_says_one_domain_where_it_will_be_read() {
        let some = |name: &str| Ok(Some(name.to_string()));
        assert_eq!(read("/v1/files"), Ok(None));
        assert_eq!(read("/v1/files?domain=a&state=x"), some("a"));
        assert_eq!(read("/v1/files?dom%61in=%E5%90%88%E5%90%8C"), some("合同"));
        assert_eq!(read("/v1/files?domain=a&domain=b"), Err(StatusCode::BAD_REQUEST));
        assert_eq!(sent(r#"{"domain":"a","to":"b"}"#), some("a"));
        assert_eq!(sent(r#"{"endpoint":"a"}"#), Ok(None));
        assert_eq!(sent(r#"{"domain":null}"#), Ok(None));
        assert_eq!(sent("null"), Ok(None));
        for bad in ["", "{", r#"{"domain":"a","domain":"b"}"#, r#"{"domain":["a"]}"#, "[1]"] {
            assert_eq!(sent(bad), Err(StatusCode::BAD_REQUEST), "{bad}");
        }
    }
}
