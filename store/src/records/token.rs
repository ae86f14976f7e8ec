use super::UnixMs;
use crate::Record;
use serde::{Deserialize, Serialize};

/// What somebody may ask of the daemon; each role may do all that the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Read.
    Viewer,
    /// What is done every day.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// Its name, as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

/// Table `tokens`: who may use the API over TCP. Key: the token's name. The token itself is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// SHA-256 of the token's text, 64 lowercase hex digits. A token is 256 random bits, so there is nothing to guess that a slow hash would protect.
    pub sha256: String,
    /// What its bearer may do.
    pub role: Role,
    /// Only in these domains; empty: in all, and with the daemon as a whole.
    pub domains: Vec<String>,
    /// When it was made.
    pub created_ms: UnixMs,
    /// From then on it is refused.
    pub expires_ms: UnixMs,
    /// Since when it is refused, where a person said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_ms: Option<UnixMs>,
}

impl TokenRecord {
    /// Whether it counts at `now_ms`.
    pub fn counts(&self, now_ms: UnixMs) -> bool {
        self.revoked_ms.is_none() && now_ms < self.expires_ms
    }
}

impl Record for TokenRecord {
    const TABLE: &'static str = "tokens";
    const VERSION: u16 = 1;
}
