//! What Alertmanager's `webhook_configs` send, version 4.

use crate::secret::Secret;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use std::collections::BTreeMap;

/// Alerts that were grouped and routed to this receiver.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertGroup {
    /// The form's version.
    version: String,
    /// `firing` while one of them fires.
    pub status: String,
    /// The name of the receiver in Alertmanager's configuration.
    pub receiver: String,
    /// The same for every message about one group.
    pub group_key: String,
    /// The alerts.
    pub alerts: Vec<Alert>,
    /// The message as it came.
    #[serde(skip)]
    pub body: String,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// `firing` or `resolved`.
    pub status: String,
    /// What it is.
    pub labels: BTreeMap<String, String>,
    /// What it says.
    pub annotations: BTreeMap<String, String>,
    /// When it began.
    pub starts_at: DateTime<Utc>,
    /// When it ended; in the year 1 while it fires.
    pub ends_at: DateTime<Utc>,
    /// Alertmanager's own hash of the labels.
    pub fingerprint: String,
}

impl AlertGroup {
    /// Reads a message.
    ///
    /// # Errors
    /// It is none, or of another version; for people.
    pub fn parse(body: &[u8]) -> Result<AlertGroup, String> {
        let group: AlertGroup =
            serde_json::from_slice(body).map_err(|error| format!("not Alertmanager's webhook: {error}"))?;
        if group.version != "4" {
            return Err(format!(
                "Alertmanager's webhook of version {}; 4 is known here",
                group.version
            ));
        }
        Ok(AlertGroup {
            body: String::from_utf8_lossy(body).into_owned(),
            ..group
        })
    }

    /// What a person wants to read.
    pub fn describe(&self) -> String {
        let alerts = self.alerts.iter().map(|alert| {
            let text = alert
                .annotations
                .get("description")
                .or(alert.annotations.get("summary"));
            let name = alert.labels.get("alertname").map_or("(no name)", String::as_str);
            format!("\n    {} {name}: {}", alert.status, text.map_or("", String::as_str))
        });
        format!("{} {}{}", self.receiver, self.status, alerts.collect::<String>())
    }
}

/// `token`: the header `Authorization`.
pub(super) fn check(secrets: &[Secret], token: &[u8], body: &[u8]) -> Result<AlertGroup, (StatusCode, String)> {
    let token = token.strip_prefix(b"Bearer ").unwrap_or_default();
    // All are compared, and in constant time: which of them fits must not be told by the time it takes.
    let token = mac(token).finalize().into_bytes();
    let fitting = secrets
        .iter()
        .filter(|secret| mac(secret.reveal().as_bytes()).verify_slice(&token).is_ok());
    if fitting.count() == 0 {
        let why = "the bearer token is none of the secrets known here";
        return Err((StatusCode::UNAUTHORIZED, why.into()));
    }
    AlertGroup::parse(body).map_err(|why| (StatusCode::BAD_REQUEST, why))
}

fn mac(text: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(b"bearer").expect("HMAC takes keys of any length");
    mac.update(text);
    mac
}
