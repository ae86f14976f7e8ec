//! Hours in which nothing starts.

use super::local;
use chrono::{DateTime, Days, NaiveDateTime, NaiveTime, Utc};
use chrono_tz::Tz;
use std::fmt;

/// A daily span of local time, which may cross midnight. The start belongs to it, the end does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    start: NaiveTime,
    end: NaiveTime,
}

/// Why a span was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuietError {
    /// Not `HH:MM-HH:MM`.
    #[error("`{0}` is not of the form HH:MM-HH:MM")]
    Malformed(String),
    /// Start and end are the same.
    #[error("`{0}` begins where it ends; a whole day of quiet would leave no time to learn")]
    Empty(String),
}

impl QuietHours {
    /// Reads `08:00-18:00`; `22:00-06:00` crosses midnight; `24:00` as an end is midnight.
    pub fn parse(text: &str) -> Result<QuietHours, QuietError> {
        let malformed = || QuietError::Malformed(text.to_string());
        let (start, end) = text.split_once('-').ok_or_else(malformed)?;
        let start = time_of_day(start).ok_or_else(malformed)?;
        let end = if end.trim() == "24:00" {
            NaiveTime::MIN
        } else {
            time_of_day(end).ok_or_else(malformed)?
        };
        if start == end {
            return Err(QuietError::Empty(text.to_string()));
        }
        Ok(QuietHours { start, end })
    }

    /// Whether a local time of day lies in the span.
    pub fn contains(&self, time: NaiveTime) -> bool {
        if self.start < self.end {
            self.start <= time && time < self.end
        } else {
            self.start <= time || time < self.end
        }
    }

    /// The first end of the span strictly later than a local time.
    pub fn end_after(&self, local: NaiveDateTime) -> NaiveDateTime {
        let today = local.date().and_time(self.end);
        if today > local {
            today
        } else {
            today.checked_add_days(Days::new(1)).unwrap_or(NaiveDateTime::MAX)
        }
    }
}

/// Whether the spans leave no minute of the day.
pub fn quiet_all_day(spans: &[QuietHours]) -> bool {
    let minutes = (0..24 * 60).filter_map(|minute| NaiveTime::from_num_seconds_from_midnight_opt(minute * 60, 0));
    minutes
        .into_iter()
        .all(|time| spans.iter().any(|span| span.contains(time)))
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start.format("%H:%M"), self.end.format("%H:%M"))
    }
}

fn time_of_day(text: &str) -> Option<NaiveTime> {
    let (hour, minute) = text.trim().split_once(':')?;
    let digits = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(hour, 1..=2) || !digits(minute, 2..=2) {
        return None;
    }
    NaiveTime::from_hms_opt(hour.parse().ok()?, minute.parse().ok()?, 0)
}

/// Whether an instant is quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quiet {
    /// It lies in none of the spans.
    No,
    /// From this instant on it is no longer quiet.
    Until(DateTime<Utc>),
    /// The spans leave no time of the day.
    Always,
}

/// Looks an instant up in spans that may touch and overlap.
pub(super) fn quiet_at(now: DateTime<Utc>, spans: &[QuietHours], tz: Tz) -> Quiet {
    let mut at = now;
    // Each round leaves one span; a repeated hour can bring back those it has ended.
    for _ in 0..=2 * spans.len() {
        let here = local::wall(at, tz);
        let Some(span) = spans.iter().find(|span| span.contains(here.time())) else {
            return if at == now { Quiet::No } else { Quiet::Until(at) };
        };
        let end = span.end_after(here);
        let next = [local::first_instant(end, tz), local::latest(end, tz)]
            .into_iter()
            .flatten()
            .find(|&t| t > at);
        match next {
            Some(next) => at = next,
            None => return Quiet::Always,
        }
    }
    Quiet::Always
}
