//! One attempt to deliver.

use crate::delivery::Outcome;
use crate::format::answer::{ANSWER_MAX_BYTES, judge, needs_body, retry_after};
use crate::format::{Format, Stored, compose};
use crate::guard::{Guard, Refused};
use crate::secret::{Key, Secret};
use crate::text::Language;
use chrono::{DateTime, Utc};
use ipnet::IpNet;
use reqwest::header::RETRY_AFTER;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where events go. All of it comes from the administrator's configuration file.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Names it in the outbox and in metrics.
    pub id: String,
    /// An https address; http only to this machine, or with `allow_http`.
    pub url: String,
    /// What is sent, and what counts as success.
    pub format: Format,
    /// The language of its texts.
    pub language: Language,
    /// Begins every chat message: some robots take only what holds their keyword.
    pub prefix: Option<String>,
    /// What [`Format::Standard`] is signed with; two while one is being replaced.
    pub secrets: Vec<Secret>,
    /// What the other formats are signed or identified with: the secret of a robot of Feishu or DingTalk, the bearer
    /// token of an Alertmanager, the routing key of PagerDuty.
    pub key: Option<Key>,
    /// Addresses that are reached although they are this machine's or a metadata service's.
    pub allow_addresses: Vec<IpNet>,
    /// Allows plain http to other machines.
    pub allow_http: bool,
    /// PEM file with certificates that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Sends through this proxy. None: the environment's proxies are not used either. A proxy resolves names itself,
    /// so only addresses written as numbers can be checked here.
    pub proxy: Option<String>,
    /// Time for one attempt, connecting included.
    pub timeout: Duration,
}

impl Endpoint {
    /// 20 seconds: receivers are advised to answer within 15.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
}

/// Why an endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Not a web address.
    #[error("webhook {0}: its address is not an http or https address")]
    Url(String),
    /// They would end up in logs.
    #[error("webhook {0}: put no user name or password into the address; deliveries are signed instead")]
    Credentials(String),
    /// An address that webhooks must not reach.
    #[error("webhook {id}: {why}")]
    Refused {
        /// The endpoint.
        id: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing to sign with.
    #[error("webhook {0} has no secret")]
    NoSecret(String),
    /// The file with certificates is missing or broken.
    #[error("webhook {id}: cannot use the certificates in {path}: {why}")]
    Certificates {
        /// The endpoint.
        id: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The proxy or the system's certificates cannot be used.
    #[error("webhook {id}: {why}")]
    Setup {
        /// The endpoint.
        id: String,
        /// What went wrong.
        why: String,
    },
}

/// Delivers to one endpoint.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: Endpoint,
    url: reqwest::Url,
    http: reqwest::Client,
}

impl Client {
    /// Checks the endpoint and prepares TLS; nothing is sent.
    pub fn new(endpoint: Endpoint) -> Result<Client, EndpointError> {
        let id = || endpoint.id.clone();
        let setup = |error: reqwest::Error| EndpointError::Setup {
            id: id(),
            why: chain(&error),
        };
        let url = checked_url(&endpoint)?;
        let has_secret = match endpoint.format {
            Format::Standard => !endpoint.secrets.is_empty(),
            Format::Pagerduty => endpoint.key.is_some(),
            _ => true,
        };
        if !has_secret {
            return Err(EndpointError::NoSecret(id()));
        }
        // Fails if it was installed before, which is just as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let loopback_only = url.scheme() == "http" && !endpoint.allow_http && endpoint.proxy.is_none();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("wengu/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Guard {
                allowed: endpoint.allow_addresses.clone(),
                loopback_only,
            })
            .timeout(endpoint.timeout)
            .connect_timeout(endpoint.timeout.min(Duration::from_secs(10)))
            .pool_max_idle_per_host(0);
        builder = match &endpoint.proxy {
            Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy).map_err(setup)?),
            None => builder.no_proxy(),
        };
        if let Some(path) = &endpoint.ca_file {
            let bad = |why: String| EndpointError::Certificates {
                id: id(),
                path: path.clone(),
                why,
            };
            let pem = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| bad(chain(&e)))?;
            if certificates.is_empty() {
                return Err(bad("there are none in it".into()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder.build().map_err(setup)?;
        Ok(Client { endpoint, url, http })
    }

    /// Sends once, at the time `at`: one event, or in a chat several. Ends within the endpoint's timeout. Of the answer
    /// only the head is read where the status says all, else a few kilobytes of the body.
    pub async fn send(&self, events: &[Stored<'_>], at: DateTime<Utc>) -> Outcome {
        let message = match compose(&self.endpoint, &self.url, events, at) {
            Ok(message) => message,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let mut request = self.http.post(message.url).body(message.body);
        for (name, value) in message.headers {
            request = request.header(name, value);
        }
        match request.send().await {
            Ok(response) => self.answered(response, at).await,
            Err(error) => failure(&error.without_url()),
        }
    }

    async fn answered(&self, mut response: reqwest::Response, at: DateTime<Utc>) -> Outcome {
        let code = response.status().as_u16();
        let rest = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let rest = rest.and_then(|text| retry_after(text, at));
        let mut body = Vec::new();
        if needs_body(self.endpoint.format, code) {
            loop {
                match response.chunk().await {
                    Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_MAX_BYTES => body.extend_from_slice(&chunk),
                    Ok(_) => break,
                    Err(error) => return failure(&error.without_url()),
                }
            }
        }
        judge(self.endpoint.format, code, rest, &String::from_utf8_lossy(&body))
    }
}

fn checked_url(endpoint: &Endpoint) -> Result<reqwest::Url, EndpointError> {
    let refused = |why: String| EndpointError::Refused {
        id: endpoint.id.clone(),
        why,
    };
    let url = reqwest::Url::parse(&endpoint.url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| EndpointError::Url(endpoint.id.clone()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(EndpointError::Credentials(endpoint.id.clone()));
    }
    let plain = url.scheme() == "http" && !endpoint.allow_http;
    // Addresses written as numbers are never resolved, so they are checked here. (The parser has made 0x7f.1 and the
    // like into 127.0.0.1.)
    let host = url.host_str().unwrap_or_default();
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => {
            let guard = Guard {
                allowed: endpoint.allow_addresses.clone(),
                loopback_only: plain,
            };
            guard.check(ip).map_err(|why| refused(why.to_string()))?;
        }
        Err(_) if plain && endpoint.proxy.is_some() => {
            return Err(refused(
                "plain http through a proxy: use https, or set allow_http".into(),
            ));
        }
        Err(_) => {}
    }
    Ok(url)
}

fn failure(error: &reqwest::Error) -> Outcome {
    if let Some(why) = find::<Refused>(error) {
        return Outcome::Refused(why.to_string());
    }
    if let Some(why) = find::<rustls::Error>(error) {
        return Outcome::TlsFailed(why.to_string());
    }
    if error.is_timeout() {
        Outcome::Timeout
    } else if error.is_connect() {
        Outcome::ConnectFailed(chain(error))
    } else {
        Outcome::Broken(chain(error))
    }
}

/// The error of type E among the causes. An `io::Error` does not give what it wraps as its cause.
fn find<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref());
        next = match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The last cause says what happened; the ones above it say where, and are the same every time.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
