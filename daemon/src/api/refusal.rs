//! A request that is not done, and why.

use super::types::ErrorBody;
use anyhow::Result;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A refusal with a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What HTTP calls it.
    pub status: StatusCode,
    /// For people.
    pub error: String,
    /// When it is worth trying again, in seconds.
    pub retry_after_s: Option<u64>,
}

/// Goes with a response, for those who look at responses and not into their bodies.
#[derive(Debug, Clone)]
pub struct Why(pub String);

impl Refusal {
    /// A refusal that will be the same in a minute.
    pub fn new(status: StatusCode, error: impl Into<String>) -> Refusal {
        Refusal {
            status,
            error: error.into(),
            retry_after_s: None,
        }
    }

    /// A panic, or something else that must not happen.
    pub fn bug(what: impl std::fmt::Display) -> Refusal {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("a bug in wengu: {what}"))
    }

    /// Says when to try again.
    pub fn retry_after_s(self, seconds: u64) -> Refusal {
        Refusal {
            retry_after_s: Some(seconds),
            ..self
        }
    }

    /// The whole response as bytes, for connections that no HTTP library looks after.
    pub fn bytes(&self) -> Vec<u8> {
        let body = serde_json::json!({"error": self.error}).to_string();
        let (code, reason) = (
            self.status.as_u16(),
            self.status.canonical_reason().unwrap_or("Refused"),
        );
        let retry = self
            .retry_after_s
            .map(|s| format!("retry-after: {s}\r\n"))
            .unwrap_or_default();
        let length = body.len();
        format!(
            "HTTP/1.1 {code} {reason}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{retry}connection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let why = Why(self.error.clone());
        let mut response = (self.status, Json(ErrorBody { error: self.error })).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(why);
        response
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(e: anyhow::Error) -> Self {
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{e:#}"))
    }
}

/// Does what reads or writes the disk on a thread that may wait for it.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Refusal::from),
        Err(e) => Err(Refusal::bug(crate::panics::without_words(e))),
    }
}
