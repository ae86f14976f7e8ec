//! The one place that reads the wall clock. Decisions get `now` as an argument.

use chrono::{DateTime, TimeZone, Utc};

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    Utc::now().timestamp_millis()
}

/// A stored instant as a date; instants out of range read as the epoch.
pub fn to_utc(ms: i64) -> DateTime<Utc> {
    Utc.timestamp_millis_opt(ms).single().unwrap_or(DateTime::UNIX_EPOCH)
}

/// `2026-03-01 14:05:09 UTC`, for people.
pub fn human(ms: i64) -> String {
    to_utc(ms).format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `3 s`, `4 min`, `2 h`, `5 d`: how long ago, for people.
pub fn ago(ms: i64, now_ms: i64) -> String {
    let seconds = (now_ms - ms).max(0) / 1000;
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5_999 => format!("{} min", seconds / 60),
        6_000..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
