//! Chats. All texts are sent as plain text where the chat has such a thing: nothing in a name becomes a link or a mention.
//!
//! Limits are those of the vendors' documents: Feishu 20 KB a request, DingTalk 20,000 bytes, WeCom 4,096 bytes of
//! markdown, Slack 3,000 characters a section and 150 a header, Teams 28 KB.

use super::note::{Note, Tone};
use super::{Format, Message};
use crate::client::Endpoint;
use crate::event::CloudEvent;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

const FEISHU_BODY_BYTES: usize = 20_000;
const DINGTALK_BODY_BYTES: usize = 20_000;
const WECOM_CONTENT_BYTES: usize = 4_096;
const SLACK_SECTION_CHARS: usize = 3_000;
const SLACK_HEADER_CHARS: usize = 150;
const TEAMS_BODY_BYTES: usize = 28_000;

pub(super) fn write(message: &mut Message, endpoint: &Endpoint, events: &[CloudEvent], at: DateTime<Utc>) {
    let fitted =
        |fits: &dyn Fn(&Note) -> bool| Note::fitted(events, endpoint.language, endpoint.prefix.as_deref(), fits);
    let within = |limit: usize, body: fn(&Note) -> Value| {
        let note = fitted(&|note| body(note).to_string().len() <= limit);
        body(&note)
    };
    let key = endpoint.key.as_ref().map(|key| key.reveal());
    let body = match endpoint.format {
        Format::Slack => {
            let short = |note: &Note| {
                note.title.chars().count() <= SLACK_HEADER_CHARS
                    && note.lines.join("\n").chars().count() <= SLACK_SECTION_CHARS
            };
            slack(&fitted(&short))
        }
        Format::Teams => within(TEAMS_BODY_BYTES, teams),
        Format::Feishu => {
            // Room for timestamp and sign, which come last.
            let mut body = within(FEISHU_BODY_BYTES - 100, feishu);
            if let Some(secret) = key {
                let timestamp = at.timestamp();
                body["timestamp"] = timestamp.to_string().into();
                body["sign"] = feishu_sign(timestamp, secret).into();
            }
            body
        }
        Format::Dingtalk => {
            if let Some(secret) = key {
                let timestamp = at.timestamp_millis();
                let mut query = message.url.query_pairs_mut();
                query.append_pair("timestamp", &timestamp.to_string());
                query.append_pair("sign", &dingtalk_sign(timestamp, secret));
            }
            within(DINGTALK_BODY_BYTES, dingtalk)
        }
        _ => wecom(&fitted(&|note| wecom_content(note).len() <= WECOM_CONTENT_BYTES)),
    };
    message.body = body.to_string();
}

fn slack(note: &Note) -> Value {
    json!({
        "text": note.title,
        "blocks": [
            { "type": "header", "text": { "type": "plain_text", "text": note.title } },
            { "type": "section", "text": { "type": "plain_text", "text": note.lines.join("\n") } },
        ],
    })
}

fn teams(note: &Note) -> Value {
    let color = match note.tone {
        Tone::Bad => "Attention",
        Tone::Warning => "Warning",
        Tone::Good => "Good",
        Tone::Neutral => "Default",
    };
    let block = |text: &str| json!({ "type": "TextBlock", "text": text, "wrap": true });
    let mut body = vec![
        json!({ "type": "TextBlock", "text": note.title, "wrap": true, "weight": "Bolder", "size": "Medium", "color": color }),
    ];
    body.extend(note.lines.iter().map(|line| block(line)));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": body,
            },
        }],
    })
}

fn feishu(note: &Note) -> Value {
    let template = match note.tone {
        Tone::Bad => "red",
        Tone::Warning => "orange",
        Tone::Good => "green",
        Tone::Neutral => "blue",
    };
    json!({
        "msg_type": "interactive",
        "card": {
            "config": { "wide_screen_mode": true },
            "header": { "template": template, "title": { "tag": "plain_text", "content": note.title } },
            "elements": [{ "tag": "div", "text": { "tag": "plain_text", "content": note.lines.join("\n") } }],
        },
    })
}

/// HMAC-SHA256 of nothing, its key being the timestamp in seconds and the secret.
fn feishu_sign(timestamp: i64, secret: &str) -> String {
    hmac_base64(format!("{timestamp}\n{secret}").as_bytes(), b"")
}

fn dingtalk(note: &Note) -> Value {
    let text = format!("### {}\n\n{}", note.title, note.lines.join("\n\n"));
    json!({ "msgtype": "markdown", "markdown": { "title": note.title, "text": text } })
}

/// HMAC-SHA256 of the timestamp in milliseconds and the secret, its key being the secret.
fn dingtalk_sign(timestamp_ms: i64, secret: &str) -> String {
    hmac_base64(secret.as_bytes(), format!("{timestamp_ms}\n{secret}").as_bytes())
}

fn wecom(note: &Note) -> Value {
    json!({ "msgtype": "markdown", "markdown": { "content": wecom_content(note) } })
}

fn wecom_content(note: &Note) -> String {
    let color = match note.tone {
        Tone::Bad | Tone::Warning => "warning",
        Tone::Good => "info",
        Tone::Neutral => "comment",
    };
    format!(
        "### <font color=\"{color}\">{}</font>\n{}",
        note.title,
        note.lines.join("\n")
    )
}

fn hmac_base64(key: &[u8], message: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    STANDARD.encode(mac.finalize().into_bytes())
}
