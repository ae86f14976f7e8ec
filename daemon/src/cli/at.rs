//! Where the daemon is that a command is about.

use super::args::RemoteArgs;
use super::{ConfigError, config_path};
use crate::api::client::{Client, Remote};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use wengu_alert::secret::{Key, read_private};
use wengu_config::Config;

/// On this machine, by its configuration, or elsewhere, by its address.
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// `--config`.
    pub config: Option<&'a Path>,
    /// `--url` and what goes with it.
    pub remote: &'a RemoteArgs,
}

impl At<'_> {
    /// Whether it is elsewhere.
    pub fn is_remote(&self) -> bool {
        self.remote.url.is_some()
    }

    /// The configuration's file.
    pub fn config_path(&self) -> Result<PathBuf> {
        if self.is_remote() {
            bail!("this command works on files of the daemon's machine: run it there, without --url");
        }
        config_path(self.config)
    }

    /// The configuration, for what is done with files of this machine.
    pub fn load(&self) -> Result<Config> {
        Ok(wengu_config::load(&self.config_path()?).map_err(ConfigError)?)
    }

    /// The daemon.
    pub fn connect(&self) -> Result<Client> {
        let RemoteArgs {
            url,
            token_file,
            ca_file,
        } = self.remote;
        let Some(url) = url else {
            if token_file.is_some() || ca_file.is_some() {
                bail!("--token-file and --ca-file are for a daemon elsewhere: name it with --url https://HOST:PORT");
            }
            return Client::new(&self.load()?.socket);
        };
        let token = match (token_file, std::env::var("WENGU_TOKEN")) {
            (Some(file), _) => {
                Key::parse(&read_private(file)?).with_context(|| format!("token file {}", file.display()))?
            }
            (None, Ok(token)) => Key::parse(&token).context("WENGU_TOKEN")?,
            (None, Err(_)) => {
                bail!("{url} asks for a token: put one into a file and name it with --token-file, or into WENGU_TOKEN")
            }
        };
        let ca_pem = match ca_file {
            Some(file) => Some(std::fs::read(file).with_context(|| format!("CA file {}", file.display()))?),
            None => None,
        };
        Client::remote(Remote {
            url: url
                .parse()
                .with_context(|| format!("{url} is no address, as in https://wengu.example.org:8443"))?,
            token: token.reveal().into(),
            ca_pem,
        })
    }
}
