//! `[api]`: who may ask the daemon for what, over which ways, and how much at once.

mod people;

pub use people::{Members, check_people};

use crate::encryption::key_source;
use crate::folders::resolve;
use crate::section::{Located, Section};
use crate::types::Source;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `[api]`.
#[derive(Debug, Clone, Default)]
pub struct Api {
    /// Who may read over the socket.
    pub viewers: Vec<Who>,
    /// Who may also do what is done every day: updates, silences, test events.
    pub operators: Vec<Who>,
    /// Who may do everything, beside root and the daemon's own user.
    pub admins: Vec<Who>,
    /// A second way beside the socket; None: there is none.
    pub tcp: Option<Tcp>,
    /// What one request, one peer and all of them may take.
    pub limits: ApiLimits,
}

/// A name in one of the lists of roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A user of the machine.
    User(String),
    /// `@NAME`: whoever is in this group.
    Group(String),
}

/// `[api.tcp]`: HTTPS with tokens.
#[derive(Debug, Clone)]
pub struct Tcp {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The certificate's chain, as PEM, its own certificate first.
    pub certificate: PathBuf,
    /// Its private key, as PEM.
    pub key: Source,
}

/// `[api.limits]`; for the socket and for TCP each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiLimits {
    /// Request line and headers.
    pub head_bytes: usize,
    /// The body.
    pub body_bytes: usize,
    /// From the connection to the end of the headers, the TLS handshake counted.
    pub head_time: Duration,
    /// From the connection to the end of the body; also how long a peer may take none of an answer.
    pub request_time: Duration,
    /// Connections at once.
    pub connections: usize,
    /// Of one user, or one address.
    pub connections_of_peer: usize,
    /// Refused tokens of one address before it has to wait.
    pub refused_tokens: u32,
    /// It waits a second after that, twice as long after each further one, and never longer than this.
    pub backoff_max: Duration,
}

impl Default for ApiLimits {
    fn default() -> ApiLimits {
        ApiLimits {
            head_bytes: 16 << 10,
            body_bytes: 64 << 10,
            head_time: Duration::from_secs(10),
            request_time: Duration::from_secs(30),
            connections: 64,
            connections_of_peer: 16,
            refused_tokens: 5,
            backoff_max: Duration::from_secs(60),
        }
    }
}

pub(crate) fn read_api(
    mut section: Section<'_>,
    base: &Path,
    take: &mut impl FnMut(&'static str, &Located<PathBuf>),
) -> Api {
    let listens = section.is_set("tcp");
    let tcp = section.table("tcp");
    let api = Api {
        viewers: read_names(&mut section, "viewers"),
        operators: read_names(&mut section, "operators"),
        admins: read_names(&mut section, "admins"),
        tcp: if listens { read_tcp(tcp, base, take) } else { None },
        limits: read_limits(section.table("limits")),
    };
    section.finish();
    api
}

fn read_names(section: &mut Section<'_>, key: &'static str) -> Vec<Who> {
    let report = section.report;
    let named = |name: Located<String>| match name.value.strip_prefix('@') {
        Some("") => {
            let remedy = format!("name a group, as in `{key} = [\"@wengu\"]`");
            report.error(&name.place, "names no group", remedy);
            None
        }
        Some(group) => Some(Who::Group(group.into())),
        None => Some(Who::User(name.value)),
    };
    section
        .strings(key)
        .unwrap_or_default()
        .into_iter()
        .filter_map(named)
        .collect()
}

fn read_tcp(
    mut section: Section<'_>,
    base: &Path,
    take: &mut impl FnMut(&'static str, &Located<PathBuf>),
) -> Option<Tcp> {
    const LISTEN: &str = "name an address of this machine and a port, as in `listen = \"192.0.2.17:8443\"`";
    let report = section.report;
    let listen = section.required_string("listen", LISTEN).and_then(|text| {
        let address = text.value.parse().ok();
        if address.is_none() {
            let message = format!("\"{}\" is no address with a port", text.value);
            report.error(&text.place, message, LISTEN);
        }
        address
    });
    let certificate = section
        .required_string(
            "certificate",
            "name the certificate's file, as in `certificate = \"/etc/wengu/tls.pem\"`: without TLS nothing is served over TCP",
        )
        .map(|text| resolve(report, base, text).value);
    let key = read_key(&mut section, base, take);
    section.finish();
    Some(Tcp {
        listen: listen?,
        certificate: certificate?,
        key: key?,
    })
}

fn read_key(
    section: &mut Section<'_>,
    base: &Path,
    take: &mut impl FnMut(&'static str, &Located<PathBuf>),
) -> Option<Source> {
    let found = key_source(section, base, ["key", "key_credential"], "the private key", take);
    // A key of the wrong type has been told.
    if !section.is_set("key") && !section.is_set("key_credential") {
        let remedy = "name the private key's file, as in `key = \"/etc/wengu/tls.key\"`, or a systemd credential with `key_credential`";
        section.report.error(&section.at("key"), "is missing", remedy);
    }
    found
}

fn read_limits(mut section: Section<'_>) -> ApiLimits {
    let usual = ApiLimits::default();
    let kib = |bytes: usize| (bytes >> 10) as u64;
    let seconds = |time: Duration| time.as_secs();
    let limits = ApiLimits {
        head_bytes: (section.integer("max_head_kib", 1..=1024, kib(usual.head_bytes)) as usize) << 10,
        body_bytes: (section.integer("max_body_kib", 1..=16 << 10, kib(usual.body_bytes)) as usize) << 10,
        head_time: Duration::from_secs(section.integer("head_s", 1..=3600, seconds(usual.head_time))),
        request_time: Duration::from_secs(section.integer("request_s", 1..=3600, seconds(usual.request_time))),
        connections: section.integer("max_connections", 1..=10_000, usual.connections as u64) as usize,
        connections_of_peer: section.integer("max_connections_of_peer", 1..=10_000, usual.connections_of_peer as u64)
            as usize,
        refused_tokens: section.integer("refused_tokens", 1..=1000, usual.refused_tokens.into()) as u32,
        backoff_max: Duration::from_secs(section.integer("backoff_max_s", 1..=86_400, seconds(usual.backoff_max))),
    };
    if limits.head_time > limits.request_time {
        let message = "a request would be over before its headers are";
        let remedy = "set it to `request_s` or below";
        section.report.error(&section.at("head_s"), message, remedy);
    }
    section.finish();
    limits
}
