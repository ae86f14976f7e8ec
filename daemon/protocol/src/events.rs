//! The types of events that webhooks carry: what the configuration may name, and what `wengu-alert` sends.

/// Every type there is.
pub const TYPES: [&str; 11] = [
    "wengu.version.promoted",
    "wengu.version.rolled_back",
    "wengu.gate.regressed",
    "wengu.gate.hold",
    "wengu.training.failed",
    "wengu.plugin.quarantined",
    "wengu.files.quarantined",
    "wengu.incident.firing",
    "wengu.incident.resolved",
    "wengu.webhook.dead_letter",
    "wengu.webhook.test",
];

/// What a webhook's messages look like, and how they are signed and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// A CloudEvents body with a Standard Webhooks signature.
    #[default]
    Standard,
    /// What Alertmanager sends to its webhook receivers, version 4.
    AlertmanagerWebhook,
    /// `POST /api/v2/alerts` of an Alertmanager.
    Alertmanager,
    /// A Slack incoming webhook.
    Slack,
    /// A Teams workflow that posts Adaptive Cards.
    Teams,
    /// A custom bot of Feishu or Lark.
    Feishu,
    /// A custom robot of DingTalk.
    Dingtalk,
    /// A group robot of WeCom.
    Wecom,
    /// PagerDuty's Events API v2.
    Pagerduty,
}

impl Format {
    /// The words of the configuration; the first is the default.
    pub const NAMES: [(&'static str, Format); 9] = [
        ("standard", Format::Standard),
        ("alertmanager_webhook", Format::AlertmanagerWebhook),
        ("alertmanager", Format::Alertmanager),
        ("slack", Format::Slack),
        ("teams", Format::Teams),
        ("feishu", Format::Feishu),
        ("dingtalk", Format::Dingtalk),
        ("wecom", Format::Wecom),
        ("pagerduty", Format::Pagerduty),
    ];

    /// The word of the configuration.
    pub fn name(self) -> &'static str {
        let named = Format::NAMES.iter().find(|(_, format)| *format == self);
        named.map_or("", |(name, _)| name)
    }

    /// Whether people read the messages where they talk: several events are told in one message.
    pub fn is_chat(self) -> bool {
        matches!(
            self,
            Format::Slack | Format::Teams | Format::Feishu | Format::Dingtalk | Format::Wecom
        )
    }

    /// Whether who knows the address may send: it is a secret then.
    pub fn url_is_secret(self) -> bool {
        self.is_chat()
    }
}

/// The language of a webhook's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Chinese.
    Chinese,
}

impl Language {
    /// The words of the configuration; the first is the default.
    pub const NAMES: [(&'static str, Language); 2] = [("en", Language::English), ("zh", Language::Chinese)];
}
