//! An endpoint on this machine, and its secret.

use chrono::{DateTime, Utc};
use std::time::Duration;
use wengu_alert::client::Endpoint;
use wengu_alert::format::{Format, Stored};
use wengu_alert::secret::Secret;
use wengu_alert::text::Language;

pub const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub fn secret() -> Secret {
    Secret::parse(SECRET).unwrap()
}

pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap()
}

pub fn endpoint(url: String) -> Endpoint {
    Endpoint {
        id: "hook".into(),
        url,
        format: Format::Standard,
        language: Language::English,
        prefix: None,
        secrets: vec![secret()],
        key: None,
        allow_addresses: ["127.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap()).into(),
        allow_http: false,
        ca_file: None,
        proxy: None,
        timeout: Duration::from_millis(1500),
    }
}

pub fn stored<'a>(id: &'a str, body: &'a str) -> Stored<'a> {
    Stored { id, body }
}
