//! What is not to be told for a while.

use super::Labels;
use serde::{Deserialize, Serialize};

/// Which incidents; a label that is None matches every one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matcher {
    /// The domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The slice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<String>,
    /// The metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
}

impl Matcher {
    /// Whether it is meant.
    pub fn matches(&self, labels: &Labels) -> bool {
        let one = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
        one(&self.domain, &labels.domain) && one(&self.slice, &labels.slice) && one(&self.metric, &labels.metric)
    }
}

/// A silence, or a maintenance window, which is one that begins later. Incidents go on as ever; they
/// are only not told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// Which incidents.
    pub matcher: Matcher,
    /// From when, in milliseconds since 1970.
    pub from_ms: i64,
    /// Until when, in milliseconds since 1970; that moment is not silent any more.
    pub until_ms: i64,
    /// Who, and why.
    pub reason: String,
}

impl Silence {
    /// Whether an incident is silent now.
    pub fn covers(&self, labels: &Labels, now_ms: i64) -> bool {
        (self.from_ms..self.until_ms).contains(&now_ms) && self.matcher.matches(labels)
    }
}
