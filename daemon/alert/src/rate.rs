//! How many messages an endpoint takes: what is sent above it is thrown away, and some robots then rest for minutes.

use crate::format::Format;
use chrono::{DateTime, TimeDelta, Utc};

/// Millionths of a token: whole numbers, so that the time that is told for the next token is the time when it is there.
const TOKEN: i64 = 1_000_000;

/// Tokens that come back with time; a message takes one.
#[derive(Debug, Clone)]
pub struct Rate {
    burst: i64,
    per_ms: i64,
    tokens: i64,
    at: DateTime<Utc>,
}

impl Rate {
    /// For an endpoint of this format; none where nothing limits. Begins with one token: the process before this one may
    /// have spent all, and a daemon that is started again and again must not flood anybody.
    pub fn of(format: Format, now: DateTime<Utc>) -> Option<Rate> {
        // Within any minute at most burst + a minute's tokens: 20 for DingTalk and WeCom; 93 of 100 for Feishu, and 5 in any
        // second. Slack asks for one a second, Teams for four; PagerDuty takes 120 a minute.
        let (burst, per_ms) = match format {
            Format::Standard | Format::AlertmanagerWebhook | Format::Alertmanager => return None,
            Format::Dingtalk | Format::Wecom => (5, 250),
            Format::Feishu => (3, 1_500),
            Format::Slack => (1, 1_000),
            Format::Teams => (2, 1_000),
            Format::Pagerduty => (30, 1_500),
        };
        Some(Rate {
            burst: burst * TOKEN,
            per_ms,
            tokens: TOKEN,
            at: now,
        })
    }

    /// Takes a token, or says when there will be one.
    pub fn take(&mut self, now: DateTime<Utc>) -> Result<(), DateTime<Utc>> {
        // A clock that was set back gives nothing and takes nothing.
        let passed_ms = (now - self.at).num_milliseconds().max(0);
        self.tokens = self
            .burst
            .min(self.tokens.saturating_add(passed_ms.saturating_mul(self.per_ms)));
        self.at = now;
        if self.tokens >= TOKEN {
            self.tokens -= TOKEN;
            return Ok(());
        }
        let wait_ms = (TOKEN - self.tokens + self.per_ms - 1) / self.per_ms;
        Err(now + TimeDelta::milliseconds(wait_ms))
    }
}
