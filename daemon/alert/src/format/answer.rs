//! What an answer means. A chat answers 200 to a message that it throws away, and says so in the body.

use super::Format;
use crate::delivery::Outcome;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::time::Duration;

/// More of an answer's body is not read.
pub(crate) const ANSWER_MAX_BYTES: usize = 16 * 1024;

/// Of a receiver's own words so many are kept.
const WORDS_CHARS: usize = 160;

/// A robot of DingTalk that was sent more than 20 messages in a minute takes none for ten.
const DINGTALK_REST: Duration = Duration::from_secs(600);
/// The others count by the minute.
const REST: Duration = Duration::from_secs(60);

/// Whether the body of an answer with this status says more than the status does.
pub(crate) fn needs_body(format: Format, code: u16) -> bool {
    let plain = matches!(
        format,
        Format::Standard | Format::AlertmanagerWebhook | Format::Alertmanager
    );
    !plain && (200..300).contains(&code)
}

/// What `Retry-After` asks for: seconds, or a date that is compared with the attempt's own time.
pub fn retry_after(text: &str, at: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    let seconds = date.timestamp().saturating_sub(at.timestamp());
    Some(Duration::from_secs(seconds.max(0).unsigned_abs()))
}

/// What came of an attempt that was answered. `body`: the answer's, where [`needs_body`].
pub fn judge(format: Format, code: u16, retry_after: Option<Duration>, body: &str) -> Outcome {
    let status = Outcome::Status { code, retry_after };
    if !needs_body(format, code) {
        return status;
    }
    let verdict = match format {
        Format::Slack => slack(body),
        Format::Teams => teams(body),
        Format::Feishu => feishu(body),
        Format::Dingtalk => errcode(body, &[130_101, 410_100], DINGTALK_REST),
        Format::Wecom => errcode(body, &[45_009], REST),
        Format::Pagerduty => pagerduty(code, body),
        Format::Standard | Format::AlertmanagerWebhook | Format::Alertmanager => Ok(()),
    };
    match verdict {
        Ok(()) => status,
        Err(Declined { what, rest }) => Outcome::Declined {
            what: words(&what),
            rest: rest.max(retry_after.unwrap_or_default()),
        },
    }
}

struct Declined {
    what: String,
    rest: Duration,
}

fn declined(what: impl Into<String>) -> Result<(), Declined> {
    Err(Declined {
        what: what.into(),
        rest: Duration::ZERO,
    })
}

fn slack(body: &str) -> Result<(), Declined> {
    match body.trim() {
        "ok" => Ok(()),
        other => declined(format!("not \"ok\" but \"{other}\"")),
    }
}

/// A workflow answers 202 with nothing; a connector of old 200 with `1`, or with how it failed.
fn teams(body: &str) -> Result<(), Declined> {
    match body.trim() {
        "" | "1" => Ok(()),
        other if other.contains("429") => Err(Declined {
            what: other.into(),
            rest: REST,
        }),
        other if other.contains("failed") || other.contains("error") => declined(other),
        _ => Ok(()),
    }
}

/// `code` and `msg`; robots of the first kind say `StatusCode` and `StatusMessage`.
fn feishu(body: &str) -> Result<(), Declined> {
    let Ok(answer) = serde_json::from_str::<Value>(body) else {
        return declined(format!("not JSON but \"{body}\""));
    };
    let number = |name: &str| answer.get(name).and_then(Value::as_i64);
    let (code, said) = match (number("code"), number("StatusCode")) {
        (Some(code), _) => (code, &answer["msg"]),
        (None, Some(code)) => (code, &answer["StatusMessage"]),
        (None, None) => return declined(format!("without a code: {body}")),
    };
    let advice = match code {
        0 => return Ok(()),
        19_021 => "; is the secret the robot's, and the clock right?",
        19_022 => "; the robot's list of addresses lacks this machine",
        19_024 => "; set `prefix` to the robot's keyword",
        _ => "",
    };
    let rest = match code {
        // Too many requests, of this robot or of all at the full hour.
        9_499 | 11_232 => REST,
        _ => Duration::ZERO,
    };
    Err(Declined {
        what: format!("code {code}, {}{advice}", text(said)),
        rest,
    })
}

/// DingTalk and WeCom: `errcode` and `errmsg`. `throttled`: the codes that mean "too many".
fn errcode(body: &str, throttled: &[i64], rest: Duration) -> Result<(), Declined> {
    let Ok(answer) = serde_json::from_str::<Value>(body) else {
        return declined(format!("not JSON but \"{body}\""));
    };
    match answer.get("errcode").and_then(Value::as_i64) {
        Some(0) => Ok(()),
        Some(code) => Err(Declined {
            what: format!("errcode {code}, {}", text(&answer["errmsg"])),
            rest: if throttled.contains(&code) {
                rest
            } else {
                Duration::ZERO
            },
        }),
        None => declined(format!("without an errcode: {body}")),
    }
}

/// 202 and `"status": "success"`.
fn pagerduty(code: u16, body: &str) -> Result<(), Declined> {
    let answer = serde_json::from_str::<Value>(body).unwrap_or_default();
    match answer["status"].as_str() {
        Some("success") if code == 202 => Ok(()),
        Some(status) => declined(format!("status \"{status}\" with {code}")),
        None => declined(format!("{code} without a status: {body}")),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("no message")
}

/// A stranger's words, for a log and a terminal.
fn words(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(WORDS_CHARS).collect()
}
