//! Tokens for the API over TCP.

use serde::{Deserialize, Serialize};
use wengu_store::records::Role;

/// `POST /v1/tokens`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenRequest {
    /// Its name.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// Only in these domains; empty: in all.
    #[serde(default)]
    pub domains: Vec<String>,
    /// How long it is good for.
    pub expires_s: u64,
}

/// Answer to `POST /v1/tokens`. It cannot be printed by mistake: it has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenMade {
    /// Its name.
    pub name: String,
    /// The token, here and nowhere else.
    pub token: String,
    /// What its bearer may do.
    pub role: Role,
    /// Only in these domains; empty: in all.
    pub domains: Vec<String>,
    /// From then on it is refused.
    pub expires_ms: i64,
}

/// `POST /v1/tokens/revoke`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenName {
    /// Its name.
    pub name: String,
}

/// `GET /v1/tokens`: a token, without what makes it one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenView {
    /// Its name.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// Only in these domains; empty: in all.
    pub domains: Vec<String>,
    /// `valid`, `expired` or `revoked`.
    pub state: String,
    /// When it was made.
    pub created_ms: i64,
    /// From then on it is refused.
    pub expires_ms: i64,
    /// Since when it is refused, where a person said so.
    pub revoked_ms: Option<i64>,
}
