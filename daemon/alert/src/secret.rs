//! The keys that webhooks are signed with.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::path::{Path, PathBuf};

const PREFIX: &str = "whsec_";
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// A key of 24 to 64 bytes, written as `whsec_` and base64. Never shown by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Reads `whsec_...`.
    pub fn parse(text: &str) -> Result<Secret, SecretError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(SecretError::Prefix)?;
        let key = STANDARD.decode(encoded).map_err(|_| SecretError::Base64)?;
        if !LENGTHS.contains(&key.len()) {
            return Err(SecretError::Length(key.len()));
        }
        Ok(Secret(key))
    }

    /// A new secret of 32 bytes from the system's random source.
    pub fn generate() -> Result<Secret, SecretError> {
        let mut key = vec![0; 32];
        getrandom::fill(&mut key).map_err(|e| SecretError::Random(e.to_string()))?;
        Ok(Secret(key))
    }

    /// The secret as it is handed to a receiver. Not for logs.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// Why a secret cannot be used. Never says what the secret is.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Not of the standard's form.
    #[error("a webhook secret begins with `{PREFIX}`; `wengu webhook secret` makes one")]
    Prefix,
    /// Cut or mistyped.
    #[error("the webhook secret is not base64 after `{PREFIX}`: was it copied whole?")]
    Base64,
    /// Too short to be safe, or longer than receivers accept.
    #[error("the webhook secret has {0} bytes; 24 to 64 are asked for")]
    Length(usize),
    /// The system has no random numbers.
    #[error("no random bytes from the system: {0}")]
    Random(String),
    /// The file cannot be read.
    #[error("cannot read the secret file {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Every user of the machine can read it.
    #[error("the secret file {0} can be read by every user: chmod o-rwx it")]
    WorldReadable(PathBuf),
    /// A line of the file is not a secret.
    #[error("{path}, line {line}: {error}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        error: Box<SecretError>,
    },
    /// There is nothing in it.
    #[error("the secret file {0} holds no secret")]
    Empty(PathBuf),
}

/// Reads one secret a line, the newest first; empty lines and lines with `#` are passed over. While a secret is being
/// rotated the file holds both, and every delivery is signed with both.
pub fn read_secret_file(path: &Path) -> Result<Vec<Secret>, SecretError> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |error| SecretError::Read {
        path: path.into(),
        error,
    };
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o004 != 0 {
        return Err(SecretError::WorldReadable(path.into()));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    let secrets: Vec<Secret> = lines
        .filter(|(_, text)| !text.is_empty() && !text.starts_with('#'))
        .map(|(line, text)| {
            Secret::parse(text).map_err(|error| SecretError::Line {
                path: path.into(),
                line,
                error: Box::new(error),
            })
        })
        .collect::<Result<_, _>>()?;
    if secrets.is_empty() {
        Err(SecretError::Empty(path.into()))
    } else {
        Ok(secrets)
    }
}
