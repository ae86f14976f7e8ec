//! Signatures as Standard Webhooks 1.0.0 has them: HMAC-SHA256 over `id.timestamp.body`.

use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Header with the event's id, the same for every attempt to deliver it.
pub const ID_HEADER: &str = "webhook-id";
/// Header with the time of the attempt, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Header with the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// How far sender's and receiver's clocks may be apart; an older message may be a replay.
pub const TOLERANCE_SECONDS: i64 = 5 * 60;

/// The value of [`SIGNATURE_HEADER`]: one signature for each secret, so that receivers with the old or the new one
/// both find theirs. `timestamp` is in seconds since 1970.
pub fn sign(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signatures: Vec<String> = secrets
        .iter()
        .map(|secret| {
            format!(
                "v1,{}",
                STANDARD.encode(mac(secret, id, &timestamp.to_string(), body).finalize().into_bytes())
            )
        })
        .collect();
    signatures.join(" ")
}

/// Checks a message that was received: one of the signatures must be by one of the secrets, and the timestamp must be
/// within [`TOLERANCE_SECONDS`] of `now`. `timestamp` and `signatures` are the headers' values.
pub fn verify(
    secrets: &[Secret],
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<(), VerifyError> {
    // With a dot in the id, bytes could move between the id, the timestamp and the body under the same signature.
    if id.is_empty() || id.contains('.') {
        return Err(VerifyError::Id);
    }
    let seconds: i64 = timestamp.parse().map_err(|_| VerifyError::Timestamp)?;
    let matches = signatures
        .split(' ')
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
        // No early end: which of them fits must not be told by the time it takes. Each comparison is constant-time.
        .flat_map(|signature| {
            secrets
                .iter()
                .map(move |secret| mac(secret, id, timestamp, body).verify_slice(&signature).is_ok())
        })
        .fold(false, |found, fits| found | fits);
    if !matches {
        return Err(VerifyError::Signature);
    }
    let age = now.timestamp().saturating_sub(seconds);
    if age.unsigned_abs() > TOLERANCE_SECONDS.unsigned_abs() {
        return Err(VerifyError::Clock { age_seconds: age });
    }
    Ok(())
}

fn mac(secret: &Secret, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.key()).expect("HMAC takes keys of any length");
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    mac
}

/// Why a message is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Empty or with a dot in it.
    #[error("the header {ID_HEADER} must not be empty or hold a dot")]
    Id,
    /// Not a number.
    #[error("the header {TIMESTAMP_HEADER} is not a number of seconds")]
    Timestamp,
    /// By none of the secrets.
    #[error("the signature is by none of the secrets known here")]
    Signature,
    /// Replayed, or a clock is wrong.
    #[error("the message is {age_seconds} s old; more than 5 minutes either way is refused: compare the clocks")]
    Clock {
        /// Negative: from the future.
        age_seconds: i64,
    },
}
