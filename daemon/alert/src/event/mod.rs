//! What is told, as CloudEvents 1.0.
//!
//! Events are thin: ids, counts and metrics. No text of a document leaves the machine in them, and names of files only
//! as keyed hashes, since a plain hash of "Zhang San.txt" is found by trying names.

mod cloud;

use chrono::{DateTime, Utc};
pub use cloud::{CONTENT_TYPE, CloudEvent, name_hash};
use serde::{Deserialize, Serialize, Serializer};
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

/// One thing that is wrong and stays so until it is mended: a metric of a domain, or of one slice of its items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// The domain.
    pub domain: String,
    /// The slice's name; None: all items.
    pub slice: Option<String>,
    /// The metric's name.
    pub metric: String,
    /// Of domain, slice and metric: the same from the first firing to the last resolved. Letters and digits.
    pub fingerprint: String,
    /// When it began.
    pub since: DateTime<Utc>,
    /// What was measured, by name; [`NUMBERS_MAX`] are told. What is not finite is left out: JSON has no such number.
    #[serde(serialize_with = "finite")]
    pub numbers: BTreeMap<String, f64>,
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
        /// `hold`, `no_data`, `noisy_eval` or `eval_failed`.
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
    /// An incident began, or still lasts and is told again.
    #[serde(rename = "wengu.incident.firing")]
    IncidentFiring(Incident),
    /// An incident is over.
    #[serde(rename = "wengu.incident.resolved")]
    IncidentResolved(Incident),
    /// Another endpoint's event was given up.
    #[serde(rename = "wengu.webhook.dead_letter")]
    DeadLetter {
        /// The endpoint that did not take it.
        endpoint: String,
        /// The event's id.
        event: String,
        /// The event's type.
        event_type: String,
        /// What it is about.
        about: String,
        /// Attempts.
        attempts: u32,
        /// Why it was given up.
        reason: String,
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

/// Numbers of an incident that texts tell.
pub const NUMBERS_MAX: usize = 12;

/// Begins the subject of incidents.
pub(crate) const INCIDENT_SUBJECT: &str = "incident/";

fn finite<S: Serializer>(numbers: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(numbers.iter().filter(|(_, value)| value.is_finite()))
}

/// Whether an event opens something, closes it, or only tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// An incident lasts.
    Firing,
    /// An incident is over.
    Resolved,
    /// Something happened, once.
    Told,
}

/// How bad it is; the names are PagerDuty's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing to do.
    Info,
    /// To be looked at.
    Warning,
    /// Something failed.
    Error,
    /// An incident.
    Critical,
}

impl Severity {
    /// As a word.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }
}

impl Event {
    /// What the event is about. Events of one subject arrive in the order in which they happened.
    pub fn subject(&self) -> String {
        match self {
            Event::PluginQuarantined { plugin, .. } => format!("plugin/{plugin}"),
            Event::IncidentFiring(incident) | Event::IncidentResolved(incident) => {
                format!("{INCIDENT_SUBJECT}{}", incident.fingerprint)
            }
            Event::DeadLetter { endpoint, .. } | Event::WebhookTest { endpoint } => format!("webhook/{endpoint}"),
            _ => format!("domain/{}", self.domain().unwrap_or_default()),
        }
    }

    /// The domain it happened in.
    pub fn domain(&self) -> Option<&str> {
        match self {
            Event::VersionPromoted { domain, .. }
            | Event::GateRegressed { domain, .. }
            | Event::GateHold { domain, .. }
            | Event::TrainingFailed { domain, .. }
            | Event::VersionRolledBack { domain, .. }
            | Event::FilesQuarantined { domain, .. }
            | Event::IncidentFiring(Incident { domain, .. })
            | Event::IncidentResolved(Incident { domain, .. }) => Some(domain),
            Event::PluginQuarantined { .. } | Event::DeadLetter { .. } | Event::WebhookTest { .. } => None,
        }
    }

    /// Whether it opens or closes an incident.
    pub fn status(&self) -> Status {
        match self {
            Event::IncidentFiring(_) => Status::Firing,
            Event::IncidentResolved(_) => Status::Resolved,
            _ => Status::Told,
        }
    }

    /// The incident that it opens or closes.
    pub fn incident(&self) -> Option<&Incident> {
        match self {
            Event::IncidentFiring(incident) | Event::IncidentResolved(incident) => Some(incident),
            _ => None,
        }
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Event::IncidentFiring(_) => Severity::Critical,
            Event::GateRegressed { .. }
            | Event::TrainingFailed { .. }
            | Event::PluginQuarantined { .. }
            | Event::DeadLetter { .. } => Severity::Error,
            Event::GateHold { .. } | Event::FilesQuarantined { .. } => Severity::Warning,
            Event::VersionPromoted { .. }
            | Event::VersionRolledBack { .. }
            | Event::IncidentResolved(_)
            | Event::WebhookTest { .. } => Severity::Info,
        }
    }

    fn source(&self, host: &str) -> String {
        match self.domain() {
            Some(domain) => format!("/wengu/{host}/{domain}"),
            None => format!("/wengu/{host}"),
        }
    }
}
