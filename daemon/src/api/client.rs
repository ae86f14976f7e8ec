//! The command line's side of the control API.

use super::types::ErrorBody;
use anyhow::{Context, Result, anyhow, ensure};
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;

/// The daemon cannot be reached: it does not run, or it is elsewhere.
#[derive(Debug, thiserror::Error)]
#[error("the daemon does not answer on {place}: {reason}; {remedy}")]
pub struct Unreachable {
    /// The socket or the address.
    pub place: String,
    /// What the system said.
    pub reason: String,
    remedy: &'static str,
}

/// The daemon answers, and not to this user or token.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Denied(String);

/// A daemon on another machine.
pub struct Remote {
    /// `https://` and where it is.
    pub url: reqwest::Url,
    /// The token that is shown to it.
    pub token: String,
    /// Whose certificates count, as PEM; None: whose the system trusts.
    pub ca_pem: Option<Vec<u8>>,
}

/// A connection to the daemon.
pub struct Client {
    http: reqwest::Client,
    base: reqwest::Url,
    place: String,
    remedy: &'static str,
}

/// What an answer takes at most that takes no work.
const ONE_ANSWER: Duration = Duration::from_secs(30);

impl Client {
    /// A client for the daemon that listens on `socket`.
    pub fn new(socket: &Path) -> Result<Client> {
        crate::tls::install();
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            .no_proxy()
            .timeout(ONE_ANSWER)
            .build()?;
        Ok(Client {
            http,
            base: reqwest::Url::parse("http://wengu")?,
            place: socket.display().to_string(),
            remedy: "start it with `wengu run`, or name its configuration with --config",
        })
    }

    /// A client for a daemon elsewhere. Its token goes to that address alone: redirects are not followed, and no proxy of the
    /// environment is asked.
    pub fn remote(remote: Remote) -> Result<Client> {
        crate::tls::install();
        ensure!(
            remote.url.scheme() == "https" && remote.url.path() == "/" && remote.url.query().is_none(),
            "{}: an address of a daemon is https://HOST:PORT and no more",
            remote.url
        );
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", remote.token))
            .context("the token holds characters that no token has: was it copied whole?")?;
        bearer.set_sensitive(true);
        let mut http = reqwest::Client::builder()
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .default_headers([(AUTHORIZATION, bearer)].into_iter().collect())
            .timeout(ONE_ANSWER);
        if let Some(pem) = remote.ca_pem {
            let certificates =
                reqwest::Certificate::from_pem_bundle(&pem).context("the CA file holds no certificates as PEM")?;
            ensure!(!certificates.is_empty(), "the CA file holds no certificates as PEM");
            http = http.tls_certs_only(certificates);
        }
        Ok(Client {
            http: http.build()?,
            place: remote.url.to_string(),
            base: remote.url,
            remedy: "is it the right address, with `[api.tcp]` in the daemon's configuration and a certificate that --ca-file or this system trusts?",
        })
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> reqwest::Url {
        let mut url = self.base.clone();
        url.set_path(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// `GET path?query`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        self.answer(self.http.get(self.url(path, query)).send().await).await
    }

    /// `POST path` with a JSON body.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.answer(self.http.post(self.url(path, &[])).json(body).send().await)
            .await
    }

    /// `POST path`, for what takes as long as it takes.
    pub async fn post_patiently<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);
        let request = self.http.post(self.url(path, &[])).json(body).timeout(PATIENCE);
        self.answer(request.send().await).await
    }

    async fn answer<T: DeserializeOwned>(&self, sent: reqwest::Result<reqwest::Response>) -> Result<T> {
        if let Err(e) = &sent
            && e.is_timeout()
        {
            return Err(anyhow!(
                "the daemon is busy and has not answered in time; it may still do what was asked (`wengu status`)"
            ));
        }
        let response = sent.map_err(|e| {
            let mut reason = e.to_string();
            let mut source = std::error::Error::source(&e);
            while let Some(inner) = source {
                reason = inner.to_string();
                source = inner.source();
            }
            Unreachable {
                place: self.place.clone(),
                reason,
                remedy: self.remedy,
            }
        })?;
        if response.status().is_success() {
            return Ok(response.json().await?);
        }
        let status = response.status();
        match response.json::<ErrorBody>().await {
            Ok(body) if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(Denied(body.error).into())
            }
            Ok(body) => Err(anyhow!(body.error)),
            Err(_) => Err(anyhow!("the daemon answered {status}")),
        }
    }
}
