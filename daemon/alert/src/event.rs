//! What is told, as CloudEvents 1.0.
//!
//! Events are thin: ids, counts and metrics. No text of a document leaves the machine in them, and names of files only
//! as keyed hashes, since a plain hash of "Zhang San.txt" is found by trying names.

use chrono::{DateTime, SecondsFormat, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::collections::BTreeMap;

/// Champion and challenger on the items that decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Items.
    pub items: u64,
    /// Share of items the champion had right; None for a domain's first version.
    pub champion_accuracy: Option<f64>,
    /// Share of items the challenger had right.
    pub challenger_accuracy: f64,
    /// Challenger minus champion, in points.
    pub difference_points: f64,
    /// 95 % interval of the difference.
    pub interval95_points: (f64, f64),
    /// One-sided p-value that the challenger is worse.
    pub p_value: f64,
}

/// What happened. The serialized form is CloudEvents' `type` and `data`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// A new version serves.
    #[serde(rename = "wengu.version.promoted")]
    VersionPromoted {
        /// The domain.
        domain: String,
        /// The version that serves now.
        version: String,
        /// The version that served before.
        previous: Option<String>,
        /// The run that made it.
        run: String,
        /// How they compare.
        scores: Scores,
    },
    /// A challenger is significantly worse and was refused.
    #[serde(rename = "wengu.gate.regressed")]
    GateRegressed {
        /// The domain.
        domain: String,
        /// The version that was refused.
        challenger: String,
        /// The version that keeps serving.
        champion: String,
        /// The run that made the challenger.
        run: String,
        /// How they compare on what was known before.
        scores: Scores,
        /// Eras on which it is significantly worse.
        eras: Vec<String>,
    },
    /// A challenger could not be shown to be good enough.
    #[serde(rename = "wengu.gate.hold")]
    GateHold {
        /// The domain.
        domain: String,
        /// The version that waits.
        challenger: String,
        /// The version that keeps serving, if there is one.
        champion: Option<String>,
        /// The run that made the challenger.
        run: String,
        /// How they compare; None where there was nothing to judge by.
        scores: Option<Scores>,
        /// `hold`, `no_data` or `eval_failed`.
        decision: String,
    },
    /// Training ended without a version.
    #[serde(rename = "wengu.training.failed")]
    TrainingFailed {
        /// The domain.
        domain: String,
        /// The run.
        run: String,
        /// The name of the end, as in the run's record (`out_of_memory`, `bad_data`, ...).
        end: String,
        /// Failed attempts in a row.
        failures: u32,
    },
    /// An earlier version serves again.
    #[serde(rename = "wengu.version.rolled_back")]
    VersionRolledBack {
        /// The domain.
        domain: String,
        /// The version that serves no more.
        from: String,
        /// The version that serves now.
        to: String,
        /// Whether the daemon did it by itself.
        automatic: bool,
    },
    /// A plugin failed too often and is not started any more.
    #[serde(rename = "wengu.plugin.quarantined")]
    PluginQuarantined {
        /// The plugin's id.
        plugin: String,
        /// The plugin's version.
        version: String,
        /// The name of its last failure (`crashed`, `timed_out`, ...).
        failure: String,
        /// Failures in the window.
        failures: u32,
    },
    /// Case files were set aside.
    #[serde(rename = "wengu.files.quarantined")]
    FilesQuarantined {
        /// The domain.
        domain: String,
        /// Number of files.
        files: u64,
        /// Name of the reason to number of files.
        reasons: BTreeMap<String, u64>,
        /// [`name_hash`] of the first files' names; [`NAME_HASHES_MAX`] at most.
        name_hashes: Vec<String>,
    },
    /// Sent by hand, to see whether webhooks arrive.
    #[serde(rename = "wengu.webhook.test")]
    WebhookTest {
        /// The endpoint's id.
        endpoint: String,
    },
}

/// Bodies stay small: receivers need not take more than 20 kB.
pub const NAME_HASHES_MAX: usize = 20;

impl Event {
    /// What the event is about. Events of one subject arrive in the order in which they happened.
    pub fn subject(&self) -> String {
        match self {
            Event::VersionPromoted { domain, .. }
            | Event::GateRegressed { domain, .. }
            | Event::GateHold { domain, .. }
            | Event::TrainingFailed { domain, .. }
            | Event::VersionRolledBack { domain, .. }
            | Event::FilesQuarantined { domain, .. } => format!("domain/{domain}"),
            Event::PluginQuarantined { plugin, .. } => format!("plugin/{plugin}"),
            Event::WebhookTest { endpoint } => format!("webhook/{endpoint}"),
        }
    }

    fn source(&self, host: &str) -> String {
        match self.subject().split_once('/') {
            Some(("domain", domain)) => format!("/wengu/{host}/{domain}"),
            _ => format!("/wengu/{host}"),
        }
    }

    /// The event in plain sentences.
    pub fn sentence(&self) -> String {
        match self {
            Event::VersionPromoted {
                domain,
                version,
                previous,
                scores,
                ..
            } => {
                let before = previous
                    .as_ref()
                    .map(|p| format!(" in place of {p}"))
                    .unwrap_or_default();
                format!("{domain}: version {version} serves now{before}. {}", scores.sentence())
            }
            Event::GateRegressed {
                domain,
                challenger,
                champion,
                scores,
                eras,
                ..
            } => {
                let on = if eras.is_empty() {
                    String::new()
                } else {
                    format!(" It is worse on {}.", eras.join(", "))
                };
                format!(
                    "{domain}: version {challenger} is worse than {champion} and was refused; {champion} keeps serving. \
                     {}{on}",
                    scores.sentence()
                )
            }
            Event::GateHold {
                domain,
                challenger,
                champion,
                scores,
                decision,
                ..
            } => {
                let serving = match champion {
                    Some(champion) => format!("{champion} keeps serving"),
                    None => "nothing serves yet".into(),
                };
                let scores = scores
                    .as_ref()
                    .map(|s| format!(" {}", s.sentence()))
                    .unwrap_or_default();
                let why = match decision.as_str() {
                    "no_data" => "there was nothing to judge it by",
                    "eval_failed" => "its evaluation failed",
                    "noisy_eval" => "the version in service did not answer the same items in the same way twice",
                    _ => "it could not be shown to be good enough",
                };
                format!("{domain}: version {challenger} was not promoted, as {why}; {serving}.{scores}")
            }
            Event::TrainingFailed {
                domain,
                run,
                end,
                failures,
            } => {
                format!(
                    "{domain}: training run {run} ended as {end} ({failures} failed in a row). What served, serves."
                )
            }
            Event::VersionRolledBack {
                domain,
                from,
                to,
                automatic,
            } => {
                let who = if *automatic { "the daemon" } else { "an operator" };
                format!("{domain}: {who} went back from version {from} to {to}.")
            }
            Event::PluginQuarantined {
                plugin,
                version,
                failure,
                failures,
            } => format!(
                "Plugin {plugin} {version} failed {failures} times, last as {failure}, and is not started any more."
            ),
            Event::FilesQuarantined {
                domain, files, reasons, ..
            } => {
                let reasons: Vec<String> = reasons.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
                format!("{domain}: {files} case files were set aside ({}).", reasons.join(", "))
            }
            Event::WebhookTest { endpoint } => format!("A test of endpoint {endpoint}: webhooks arrive."),
        }
    }
}

impl Scores {
    fn sentence(&self) -> String {
        let new = format!(
            "It answers {:.1} % of {} items right",
            100.0 * self.challenger_accuracy,
            self.items
        );
        match self.champion_accuracy {
            None => format!("{new}."),
            Some(champion) => format!(
                "{new}, against {:.1} %: {:+.1} points (95 % interval {:+.1} to {:+.1}).",
                100.0 * champion,
                self.difference_points,
                self.interval95_points.0,
                self.interval95_points.1
            ),
        }
    }
}

/// An event as it is sent: `application/cloudevents+json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CloudEvent {
    /// Always "1.0".
    pub specversion: String,
    /// Unique; also the `webhook-id`. Without dots, which the signature could not tell from its own.
    pub id: String,
    /// `/wengu/HOST/DOMAIN`, or `/wengu/HOST` where it is about no domain.
    pub source: String,
    /// `wengu.…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// [`Event::subject`].
    pub subject: String,
    /// When it happened, RFC 3339.
    pub time: String,
    /// Always "application/json".
    pub datacontenttype: String,
    /// Its particulars.
    pub data: serde_json::Value,
}

/// Media type of the body.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

impl CloudEvent {
    /// The event as it is sent. `id` must be unique and may hold ASCII letters, digits, `-` and `_`; other characters
    /// become `_`.
    pub fn new(id: &str, host: &str, time: DateTime<Utc>, event: &Event) -> CloudEvent {
        let written = serde_json::to_value(event).expect("events hold nothing that JSON cannot");
        let safe = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
                c
            } else {
                '_'
            }
        };
        CloudEvent {
            specversion: "1.0".into(),
            id: id.chars().map(safe).collect(),
            source: event.source(host),
            kind: written["type"].as_str().unwrap_or_default().into(),
            subject: event.subject(),
            time: time.to_rfc3339_opts(SecondsFormat::Millis, true),
            datacontenttype: "application/json".into(),
            data: written["data"].clone(),
        }
    }

    /// The event, if it is of a type known here.
    pub fn event(&self) -> Option<Event> {
        serde_json::from_value(serde_json::json!({ "type": self.kind, "data": self.data })).ok()
    }

    /// The bytes to send: made once and stored, so that every attempt sends the same.
    pub fn body(&self) -> String {
        serde_json::to_string(self).expect("events hold nothing that JSON cannot")
    }
}

/// What stands for a file's name in an event: 16 hex digits that only who has `key` can connect with the name.
pub fn name_hash(key: &[u8], name: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(name.as_bytes());
    mac.finalize().into_bytes()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
