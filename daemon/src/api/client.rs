//! The command line's side of the control socket.

use super::types::ErrorBody;
use anyhow::{Result, anyhow};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The daemon cannot be reached: it does not run, or its socket is elsewhere.
#[derive(Debug, thiserror::Error)]
#[error(
    "the daemon does not answer on {socket}: {reason}; start it with `wengu run`, or name its configuration with --config"
)]
pub struct Unreachable {
    /// The socket.
    pub socket: PathBuf,
    /// What the system said.
    pub reason: String,
}

/// A connection to the daemon.
pub struct Client {
    http: reqwest::Client,
    socket: PathBuf,
}

impl Client {
    /// A client for the daemon that listens on `socket`.
    pub fn new(socket: &Path) -> Result<Client> {
        crate::tls::install();
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build()?;
        Ok(Client {
            http,
            socket: socket.to_path_buf(),
        })
    }

    /// `GET path?query`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        let url = reqwest::Url::parse_with_params(&format!("http://wengu{path}"), query)?;
        self.answer(self.http.get(url).send().await).await
    }

    /// `POST path` with a JSON body.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.answer(self.http.post(format!("http://wengu{path}")).json(body).send().await)
            .await
    }

    /// `POST path`, for what takes as long as it takes.
    pub async fn post_patiently<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);
        let request = self
            .http
            .post(format!("http://wengu{path}"))
            .json(body)
            .timeout(PATIENCE);
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
                socket: self.socket.clone(),
                reason,
            }
        })?;
        if response.status().is_success() {
            return Ok(response.json().await?);
        }
        let status = response.status();
        match response.json::<ErrorBody>().await {
            Ok(body) => Err(anyhow!(body.error)),
            Err(_) => Err(anyhow!("the daemon answered {status}")),
        }
    }
}
