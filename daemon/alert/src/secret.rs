//! The keys that webhooks are signed with.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
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
    #[error("line {line}: {error}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        error: Box<SecretError>,
    },
    /// What is wrong with what a file holds.
    #[error("{path}: {error}")]
    In {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: Box<SecretError>,
    },
    /// There is nothing in it, or what was is over.
    #[error("there is no webhook secret that still counts")]
    Empty,
    /// A line ends with something that is no time.
    #[error("after `until` there must be a time, as in `until 2026-01-31T12:00:00Z`")]
    Until,
    /// There is nothing in it.
    #[error("it holds no key")]
    NoKey,
    /// A key with spaces or letters of another script.
    #[error("a key is letters, digits and signs of ASCII without spaces: was it copied whole?")]
    KeyCharacters,
}

/// A key that is not ours: the secret of a robot, a bearer token, a routing key. Never shown by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Takes the first line that is no comment.
    pub fn parse(text: &str) -> Result<Key, SecretError> {
        let (_, line) = lines(text).next().ok_or(SecretError::NoKey)?;
        // It goes into headers.
        match line.chars().all(|c| c.is_ascii_graphic()) {
            true => Ok(Key(line.into())),
            false => Err(SecretError::KeyCharacters),
        }
    }

    /// The key, for a message. Not for logs.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} characters)", self.0.len())
    }
}

/// What is in a secret's file. Refused where every user of the machine can read it.
pub fn read_private(path: &Path) -> Result<String, SecretError> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |error| SecretError::Read {
        path: path.into(),
        error,
    };
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o004 != 0 {
        return Err(SecretError::WorldReadable(path.into()));
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// Reads a file of [`read_secrets`].
pub fn read_secret_file(path: &Path, now: DateTime<Utc>) -> Result<Vec<Secret>, SecretError> {
    read_secrets(&read_private(path)?, now).map_err(|error| SecretError::In {
        path: path.into(),
        error: Box::new(error),
    })
}

/// Reads one secret a line, the newest first; empty lines and lines with `#` are passed over. While a secret is being
/// rotated there are two, and every delivery is signed with both. A line may end with ` until ` and a time, after which
/// it counts no more.
pub fn read_secrets(text: &str, now: DateTime<Utc>) -> Result<Vec<Secret>, SecretError> {
    let mut secrets = Vec::new();
    for (number, line) in lines(text) {
        let at_line = |error| SecretError::Line {
            line: number,
            error: Box::new(error),
        };
        let (secret, until) = parse_line(line).map_err(at_line)?;
        if until.is_none_or(|until| now < until) {
            secrets.push(secret);
        }
    }
    if secrets.is_empty() {
        return Err(SecretError::Empty);
    }
    Ok(secrets)
}

/// The text of a secret's file with `new` in front. What signed alone until now goes on signing beside it until `until`;
/// what has ended by `now` is left out.
pub fn rotated(text: &str, new: &Secret, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<String, SecretError> {
    read_secrets(text, now)?;
    let mut file = new.reveal() + "\n";
    for (_, line) in lines(text) {
        let (secret, ends) = parse_line(line)?;
        let ends = ends.unwrap_or(until).min(until);
        if now < ends {
            let ends = ends.to_rfc3339_opts(SecondsFormat::Secs, true);
            file.push_str(&format!("{}{UNTIL}{ends}\n", secret.reveal()));
        }
    }
    Ok(file)
}

const UNTIL: &str = " until ";

fn parse_line(line: &str) -> Result<(Secret, Option<DateTime<Utc>>), SecretError> {
    let Some((secret, until)) = line.split_once(UNTIL) else {
        return Ok((Secret::parse(line)?, None));
    };
    let until = DateTime::parse_from_rfc3339(until.trim()).map_err(|_| SecretError::Until)?;
    Ok((Secret::parse(secret)?, Some(until.to_utc())))
}

/// The lines that say something, with their numbers from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}
