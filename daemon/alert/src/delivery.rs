//! When to try again, and when to stop.

use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered.
    Status {
        /// The HTTP status.
        code: u16,
        /// Its `Retry-After`, if it had one.
        retry_after: Option<Duration>,
    },
    /// The endpoint answered with success, and in the answer's body that it took nothing.
    Declined {
        /// Its own words, shortened, and what to do where that is known.
        what: String,
        /// It wants nothing for so long.
        rest: Duration,
    },
    /// No answer in time.
    Timeout,
    /// No connection.
    ConnectFailed(String),
    /// A connection, but not one that can be trusted.
    TlsFailed(String),
    /// A connection that ended without an answer.
    Broken(String),
    /// Not tried: the address is one that webhooks must never reach.
    Refused(String),
}

impl Outcome {
    /// The endpoint asks to be left alone for so long, with all events and not with this one only.
    pub fn rest(&self) -> Duration {
        let asked = match self {
            Outcome::Declined { rest, .. } => *rest,
            Outcome::Status {
                code: 429,
                retry_after: Some(asked),
            } => *asked,
            _ => Duration::ZERO,
        };
        asked.min(REST_MAX)
    }

    /// The outcome in a few words, [`DESCRIBED_CHARS`] at most: it is kept in the item's record.
    pub fn describe(&self) -> String {
        self.in_full().chars().take(DESCRIBED_CHARS).collect()
    }

    fn in_full(&self) -> String {
        match self {
            Outcome::Status { code, .. } => match code {
                200..=299 => format!("answered {code}"),
                300..=399 => format!("answered {code}; redirects are not followed, configure the final address"),
                401 | 403 => format!("answered {code}: does the receiver have the same secret?"),
                _ => format!("answered {code}"),
            },
            Outcome::Declined { what, .. } => format!("declined: {what}"),
            Outcome::Timeout => "no answer in time".into(),
            Outcome::ConnectFailed(why) => format!("no connection: {why}"),
            Outcome::TlsFailed(why) => format!("no trusted TLS connection: {why}"),
            Outcome::Broken(why) => format!("the connection ended without an answer: {why}"),
            Outcome::Refused(why) => format!("not sent: {why}"),
        }
    }
}

/// What follows from an [`Outcome`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextStep {
    /// Done.
    Delivered,
    /// Again, not before this time.
    RetryAt(DateTime<Utc>),
    /// Given up; the reason for people.
    DeadLetter(String),
    /// The endpoint is gone for good, and the event given up without another attempt; the reason for people.
    Disable(String),
}

/// Waits after the first, second, ... attempt; together about three days.
const WAITS_SECONDS: [i64; 10] = [5, 15, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// Attempts before an event is given up.
pub const ATTEMPTS_MAX: u32 = WAITS_SECONDS.len() as u32 + 1;

/// No `Retry-After` holds an event for longer.
const RETRY_AFTER_MAX_SECONDS: u64 = 86_400;

/// Characters of an outcome that are kept.
const DESCRIBED_CHARS: usize = 240;

/// No endpoint is left alone for longer.
const REST_MAX: Duration = Duration::from_secs(3_600);

/// An endpoint that is overloaded is left alone for at least this long.
const OVERLOAD_SECONDS: i64 = 60;

/// Older events are given up even if attempts are left.
const AGE_MAX: TimeDelta = TimeDelta::days(7);

/// What to do after attempt number `attempt` (the first is 1) of an event whose first attempt was at `first_at`. Waits
/// vary by a fifth either way, by `jitter_seed`, so that many events do not return at the same moment.
pub fn next_attempt(
    attempt: u32,
    first_at: DateTime<Utc>,
    now: DateTime<Utc>,
    outcome: &Outcome,
    jitter_seed: u64,
) -> NextStep {
    let mut asked = 0;
    match outcome {
        Outcome::Status { code: 200..=299, .. } => return NextStep::Delivered,
        Outcome::Status { code: 410, .. } => {
            return NextStep::Disable("it answered 410: it is gone for good".into());
        }
        Outcome::Status { code, retry_after } => {
            asked = retry_after.map_or(0, bounded);
            if matches!(code, 429 | 502 | 503 | 504) {
                asked = asked.max(OVERLOAD_SECONDS);
            }
        }
        Outcome::Declined { rest, .. } => asked = bounded(*rest),
        Outcome::Timeout => asked = OVERLOAD_SECONDS,
        Outcome::ConnectFailed(_) | Outcome::TlsFailed(_) | Outcome::Broken(_) | Outcome::Refused(_) => {}
    }
    let Some(&wait) = WAITS_SECONDS.get(attempt.max(1) as usize - 1) else {
        return NextStep::DeadLetter(format!("{attempt} attempts failed, the last: {}", outcome.describe()));
    };
    let wait_ms = wait * 1000;
    let jitter_ms = (mix(jitter_seed ^ u64::from(attempt)) % (2 * wait_ms as u64 / 5 + 1)) as i64 - wait_ms / 5;
    let at = now + TimeDelta::milliseconds((wait_ms + jitter_ms).max(asked * 1000));
    // A clock that was set back must not make an event immortal or kill it: only what is surely old is given up.
    if at - first_at > AGE_MAX {
        return NextStep::DeadLetter(format!(
            "not delivered within {} days, the last attempt: {}",
            AGE_MAX.num_days(),
            outcome.describe()
        ));
    }
    NextStep::RetryAt(at)
}

fn bounded(asked: Duration) -> i64 {
    asked.as_secs().min(RETRY_AFTER_MAX_SECONDS) as i64
}

/// SplitMix64: neighbouring seeds give unrelated numbers.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
