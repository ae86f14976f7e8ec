//! What others answer: the endpoints of webhooks, and model hubs.

use chrono::{DateTime, TimeDelta, Utc};
use std::path::{Component, Path};
use std::time::Duration;
use wengu::hub::{answer, files};
use wengu_alert::delivery::{NextStep, next_attempt};
use wengu_alert::format::Format;
use wengu_alert::format::answer::{judge, retry_after};

const FORMATS: [Format; 9] = [
    Format::Standard,
    Format::AlertmanagerWebhook,
    Format::Alertmanager,
    Format::Slack,
    Format::Teams,
    Format::Feishu,
    Format::Dingtalk,
    Format::Wecom,
    Format::Pagerduty,
];
const CODES: [u16; 8] = [200, 202, 301, 403, 410, 429, 503, 999];
/// A fifth more than the longest wait of a day.
const WAIT_MAX: TimeDelta = TimeDelta::seconds(86_400 * 6 / 5);
const REST_MAX: Duration = Duration::from_secs(3_600);

/// The first byte says who answers. Of an endpoint's answer the first line is its `Retry-After`, of a hub's headers
/// the first is Content-Range.
pub fn answers(data: &[u8]) {
    let Some((&who, said)) = data.split_first() else { return };
    let who = usize::from(who);
    let text = String::from_utf8_lossy(said);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    match who % 11 {
        9 => listing(said),
        10 => headers(first, rest),
        format => endpoint(FORMATS[format], CODES[who / 11 % CODES.len()], first, rest),
    }
}

/// Whatever it says, it is left alone for a bounded time, and its words fit a line.
fn endpoint(format: Format, code: u16, after: &str, body: &str) {
    let now = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_000);
    let outcome = judge(format, code, retry_after(after, now), body);
    assert!(outcome.rest() <= REST_MAX);
    let told = outcome.describe();
    assert!(
        told.chars().count() <= 240 && !told.contains(char::is_control),
        "{told:?}"
    );
    for attempt in [1, 5, 10, 11] {
        if let NextStep::RetryAt(at) = next_attempt(attempt, now, now, &outcome, 7) {
            assert!(at > now && at - now <= WAIT_MAX, "again in {}", at - now);
        }
    }
}

/// What is downloaded stays in the folder that it is downloaded to.
fn listing(body: &[u8]) {
    let Ok((commit, names)) = answer::commit_and_names(body) else {
        return;
    };
    assert!(commit.len() == 40 && commit.bytes().all(|digit| digit.is_ascii_hexdigit()));
    for name in files::needed(&names) {
        let is_inside = |part| matches!(part, Component::Normal(_));
        assert!(Path::new(&name).components().all(is_inside), "{name:?}");
    }
}

fn headers(range: &str, etag: &str) {
    let _ = (answer::range_start(range), answer::range_total(range));
    if let Some(digest) = answer::digest(etag) {
        assert!(digest.len() == 64 && digest == digest.to_lowercase());
    }
}
