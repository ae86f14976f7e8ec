//! `[webhooks.NAME]`.

use crate::folders::resolve;
use crate::section::{Located, Place, Report, Section, nearest};
use crate::types::{Source, Webhook};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::{Host, Url};
use wengu_protocol::events::{Format, Language, TYPES};

const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";

/// Allows secrets in the configuration's own text.
const FORCE: &str = "secret_plaintext_i_know";

/// An endpoint, and where it names the one that is told of what it did not take.
pub(crate) struct ReadWebhook {
    pub webhook: Webhook,
    pub second_channel: Option<Located<String>>,
}

pub(crate) fn read_webhook(
    name: &str,
    mut section: Section<'_>,
    base: &Path,
    take: &mut impl FnMut(&'static str, &Located<PathBuf>),
) -> ReadWebhook {
    let report = section.report;
    let format = section.choice("format", &Format::NAMES);
    let forced = section.boolean(FORCE, false);
    let allow_http = section.boolean("allow_http", false);
    let allow_addresses = read_addresses(&mut section);
    let url = read_url(&mut section, base, format, forced, allow_http, &allow_addresses, take);
    let secret = read_secret(&mut section, base, format, forced, take);
    let is_set = section.is_set("language");
    let language = section.choice("language", &Language::NAMES);
    if is_set && format == Format::Standard {
        let message = "a CloudEvents body holds no texts, in no language";
        report.warning(&section.at("language"), message, "leave it out");
    }
    let prefix = section.string("prefix");
    if let Some(prefix) = &prefix
        && !format.is_chat()
    {
        let message = format!("`format = \"{}\"` has no messages that begin with it", format.name());
        report.error(
            &prefix.place,
            message,
            "leave it out: it is the keyword of a chat's robot",
        );
    }
    let events = section.strings("events").unwrap_or_default();
    for event in &events {
        if !TYPES.contains(&event.value.as_str()) {
            let message = format!("\"{}\" is not an event's type", event.value);
            let remedy = format!("name some of {}; none means all", TYPES.join(", "));
            report.error(&event.place, message, remedy);
        }
    }
    let second_channel = section.string("second_channel");
    let webhook = Webhook {
        name: name.to_string(),
        url,
        format,
        language,
        prefix: prefix.map(|prefix| prefix.value),
        secret,
        events: events.into_iter().map(|event| event.value).collect(),
        timeout: Duration::from_secs(section.integer("timeout_s", 1..=300, 15)),
        allow_http,
        allow_addresses,
        second_channel: second_channel.as_ref().map(|other| other.value.clone()),
    };
    section.finish();
    ReadWebhook {
        webhook,
        second_channel,
    }
}

/// Each second channel is there, and following them ends somewhere.
pub(crate) fn check_second_channels(report: &Report<'_>, channels: &BTreeMap<String, Option<Located<String>>>) {
    for (name, second) in channels {
        let Some(second) = second else { continue };
        if !channels.contains_key(&second.value) {
            let remedy = match nearest(&second.value, channels.keys().map(String::as_str)) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("add a table `[webhooks.{}]`", second.value),
            };
            report.error(
                &second.place,
                format!("no webhook is named \"{}\"", second.value),
                remedy,
            );
            continue;
        }
        let mut at = second.value.as_str();
        let mut way = vec![name.as_str(), at];
        while at != name {
            match channels.get(at).and_then(Option::as_ref) {
                // A ring that this one only leads into is told at its members.
                Some(next) if way[1..].contains(&next.value.as_str()) => break,
                Some(next) => {
                    at = &next.value;
                    way.push(at);
                }
                None => break,
            }
        }
        if at == name {
            let message = format!("leads back to itself: {}", way.join(" → "));
            let remedy = "let one of them have no second channel: it would be told of its own failures";
            report.error(&second.place, message, remedy);
        }
    }
}

/// A credential's name is a file's name.
pub(crate) fn check_credential(report: &Report<'_>, name: &Located<String>) {
    let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.value.chars().all(usual) || name.value.starts_with('.') {
        let message = format!("\"{}\" cannot be a credential's name", name.value);
        let remedy = "take the name before the colon of `LoadCredential=NAME:FILE`, without folders";
        report.error(&name.place, message, remedy);
    }
}

/// The one of `names` that is set, and whether it is one at most. `names`: in plain text, a file, a credential.
fn source(
    section: &mut Section<'_>,
    base: &Path,
    names: [&'static str; 3],
    what: &'static str,
    take: &mut impl FnMut(&'static str, &Located<PathBuf>),
) -> Option<Located<Source>> {
    let report = section.report;
    let [plain, file, credential] = names.map(|name| section.string(name));
    let plain = plain.map(|text| Located {
        value: Source::Plain(text.value),
        place: text.place,
    });
    let file = file.map(|text| {
        let path = resolve(report, base, text);
        take(what, &path);
        Located {
            value: Source::File(path.value),
            place: path.place,
        }
    });
    let credential = credential.map(|name| {
        check_credential(report, &name);
        Located {
            value: Source::Credential(name.value),
            place: name.place,
        }
    });
    let mut given = [plain, file, credential].into_iter().flatten();
    let first = given.next();
    if let Some(more) = given.next() {
        let message = "is said a second time";
        report.error(&more.place, message, format!("keep one of {}", names.join(", ")));
    }
    first
}

fn read_url(
    section: &mut Section<'_>,
    base: &Path,
    format: Format,
    forced: bool,
    allow_http: bool,
    allowed: &[IpNet],
    take: &mut impl FnMut(&'static str, &Located<PathBuf>),
) -> Source {
    let report = section.report;
    let names = ["url", "url_file", "url_credential"];
    let found = source(section, base, names, "the address", take);
    let Some(found) = found else {
        if format == Format::Pagerduty {
            return Source::Plain(PAGERDUTY_URL.into());
        }
        if !names.iter().any(|name| section.is_set(name)) {
            let remedy = match format.url_is_secret() {
                true => "put the address into a file of wengu's user and name it, as in `url_file = \"webhook.url\"`",
                false => "name the receiver, as in `url = \"https://alerts.example.org/wengu\"`",
            };
            report.error(&section.at("url"), "is missing", remedy);
        }
        return Source::Plain(String::new());
    };
    if let Source::Plain(url) = &found.value {
        check_url(section, url, &found.place, allow_http, allowed);
        if format.url_is_secret() && !forced {
            let message = format!(
                "with `format = \"{}\"` who knows the address can write there: it is a secret",
                format.name()
            );
            let remedy = format!("put it into a file and name that with `url_file`, or set `{FORCE} = true`");
            report.error(&found.place, message, remedy);
        }
    }
    found.value
}

fn read_secret(
    section: &mut Section<'_>,
    base: &Path,
    format: Format,
    forced: bool,
    take: &mut impl FnMut(&'static str, &Located<PathBuf>),
) -> Option<Source> {
    let report = section.report;
    let names = ["secret", "secret_file", "secret_credential"];
    let found = source(section, base, names, "the secret", take);
    let Some(found) = found else {
        let remedy = match format {
            Format::Standard => "make a secret with `wengu webhook secret` and name the file that holds it",
            Format::Pagerduty => "put the integration's routing key into a file and name it",
            _ => return None,
        };
        if !names.iter().any(|name| section.is_set(name)) {
            report.error(&section.at("secret_file"), "is missing", remedy);
        }
        return None;
    };
    if matches!(format, Format::Slack | Format::Teams | Format::Wecom) {
        let message = format!(
            "`format = \"{}\"` signs with nothing: its address is the secret",
            format.name()
        );
        report.error(&found.place, message, "leave it out");
    } else if matches!(found.value, Source::Plain(_)) && !forced {
        let message = "a secret in plain text, where backups and colleagues see it";
        let remedy = format!(
            "put it into a file of wengu's user (`secret_file`) or a systemd credential (`secret_credential`), or set \
             `{FORCE} = true`"
        );
        report.error(&found.place, message, remedy);
    }
    Some(found.value)
}

/// Addresses and networks.
fn read_addresses(section: &mut Section<'_>) -> Vec<IpNet> {
    let texts = section.strings("allow_addresses").unwrap_or_default();
    let mut nets = Vec::new();
    for text in texts {
        let one = text.value.parse::<IpAddr>().map(IpNet::from);
        match one.or_else(|_| text.value.parse::<IpNet>()) {
            Ok(net) => nets.push(net),
            Err(_) => {
                let message = format!("\"{}\" is neither an address nor a network", text.value);
                let remedy = "write addresses as numbers, as in [\"127.0.0.1\", \"::1\", \"169.254.10.0/24\"]";
                section.report.error(&text.place, message, remedy);
            }
        }
    }
    nets
}

/// The messages do not repeat the URL: those of some receivers hold a key.
fn check_url(section: &Section<'_>, url: &str, place: &Place, allow_http: bool, allowed: &[IpNet]) {
    let report = section.report;
    let remedy = "write a whole URL, as in \"https://alerts.example.org/wengu\"";
    let parsed = match Url::parse(url) {
        Ok(parsed) => parsed,
        Err(error) => return report.error(place, format!("is not a URL: {error}"), remedy),
    };
    let addresses: &[IpAddr] = match parsed.host() {
        Some(Host::Domain("localhost")) => &[IpAddr::V4([127, 0, 0, 1].into()), IpAddr::V6(1.into())],
        Some(Host::Ipv4(address)) => &[IpAddr::V4(address)],
        Some(Host::Ipv6(address)) => &[IpAddr::V6(address)],
        _ => &[],
    };
    let loopback = addresses.iter().any(IpAddr::is_loopback);
    let is_allowed = addresses.iter().any(|ip| allowed.iter().any(|net| net.contains(ip)));
    if loopback && !is_allowed {
        let ips: Vec<String> = addresses.iter().map(|ip| format!("\"{ip}\"")).collect();
        let remedy = format!("if that is meant, set `allow_addresses = [{}]`", ips.join(", "));
        let message = "an address of this machine, whose services trust whoever reaches them";
        report.error(place, message, remedy);
    }
    match parsed.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" if allow_http => report.warning(
            &section.at("allow_http"),
            "alerts travel unencrypted: who listens on the way can read them",
            "use https where the receiver can",
        ),
        "http" => report.error(
            place,
            "plain http to another machine",
            "use https, or set `allow_http = true` if the network is trusted",
        ),
        other => report.error(place, format!("the scheme `{other}` is neither https nor http"), remedy),
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        let remedy = "leave them out: deliveries are signed with the secret";
        report.error(place, "holds a user name or a password", remedy);
    }
}
