//! How many messages an endpoint takes: what is sent above it is thrown away, and some robots then rest for minutes.

use crate::format::Format;
use chrono::{DateTime, TimeDelta, Utc};

/// Tokens that come back with time; a message takes one.
#[derive(Debug, Clone)]
pub struct Rate {
    burst: f64,
    per_second: f64,
    tokens: f64,
    at: DateTime<Utc>,
}

impl Rate {
    /// For an endpoint of this format; none where nothing limits. Begins with one token: the process before this one may
    /// have spent all, and a daemon that is started again and again must not flood anybody.
    pub fn of(format: Format, now: DateTime<Utc>) -> Option<Rate> {
        // Within any minute at most burst + 60 × per_second: 20 for DingTalk and WeCom, 100 (and 5 in any second) for
        // Feishu. Slack asks for one a second, Teams for four; PagerDuty takes 120 a minute.
        let (burst, per_second) = match format {
            Format::Standard | Format::AlertmanagerWebhook | Format::Alertmanager => return None,
            Format::Dingtalk | Format::Wecom => (5.0, 0.25),
            Format::Feishu => (3.0, 1.5),
            Format::Slack => (1.0, 1.0),
            Format::Teams => (2.0, 1.0),
            Format::Pagerduty => (30.0, 1.5),
        };
        Some(Rate {
            burst,
            per_second,
            tokens: 1.0,
            at: now,
        })
    }

    /// Takes a token, or says when there will be one.
    pub fn take(&mut self, now: DateTime<Utc>) -> Result<(), DateTime<Utc>> {
        // A clock that was set back gives nothing and takes nothing.
        let passed = (now - self.at).num_milliseconds().max(0) as f64 / 1000.0;
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        self.at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let wait_ms = (1.0 - self.tokens) / self.per_second * 1000.0;
        Err(now + TimeDelta::milliseconds(wait_ms.ceil() as i64))
    }
}
