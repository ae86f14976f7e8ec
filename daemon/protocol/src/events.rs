//! The types of events that webhooks carry: what the configuration may name, and what `wengu-alert` sends.

/// Every type there is.
pub const TYPES: [&str; 8] = [
    "wengu.version.promoted",
    "wengu.version.rolled_back",
    "wengu.gate.regressed",
    "wengu.gate.hold",
    "wengu.training.failed",
    "wengu.plugin.quarantined",
    "wengu.files.quarantined",
    "wengu.webhook.test",
];
