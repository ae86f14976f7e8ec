//! JSON files of the state directory that carry a SHA-256 of what they say, so that a byte that was changed is named
//! and nothing is done by it. The digest is the first member, and is of all that follows its line, as in
//! `plugins.lock`: every byte is held against something. It is against accidents; who can write the file can write its
//! digest.

use crate::digest;
use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use wengu_store::durable;

/// What such a file begins with; then come the digest, [`BEHIND_DIGEST`] and the rest.
const BEGINNING: &[u8] = b"{\n  \"sha256\": \"";
const BEHIND_DIGEST: &[u8] = b"\",\n";
/// Hex digits of a SHA-256.
const DIGEST_LENGTH: usize = 64;
/// What a file began with before it had a digest. Such a file is read, and is replaced with its next write.
const BARE_BEGINNING: &[u8] = b"{\n  \"schema\": 1,\n";
const BARE_SCHEMA: u32 = 1;

/// A file that is not what was written.
#[derive(Debug, thiserror::Error)]
#[error("{path} {why}: it was damaged, cut short or changed by hand; {remedy}")]
pub struct Damaged {
    /// The file.
    pub path: PathBuf,
    /// What does not fit.
    pub why: String,
    /// What to do.
    pub remedy: &'static str,
}

#[derive(Deserialize)]
struct Head {
    schema: u32,
}

/// What a file says, once it is known to be what was written; none where there is no file. `schema` is that of files
/// with a digest.
///
/// # Errors
/// [`Damaged`]; a schema that is not known; it cannot be read.
pub fn read<T: DeserializeOwned>(path: &Path, schema: u32, remedy: &'static str) -> Result<Option<T>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| path.display().to_string()),
    };
    let refuse = |why: String| Damaged {
        path: path.to_path_buf(),
        why,
        remedy,
    };
    let is_bare = verify(&bytes).map_err(|why| refuse(why.to_owned()))?;
    let head: Head = serde_json::from_slice(&bytes).map_err(|e| refuse(format!("cannot be read ({e})")))?;
    let expected = if is_bare { BARE_SCHEMA } else { schema };
    ensure!(
        head.schema == expected,
        "{}: schema {} is not known; use the wengu that wrote it, or a newer one",
        path.display(),
        head.schema
    );
    let content = serde_json::from_slice(&bytes).map_err(|e| refuse(format!("cannot be read ({e})")))?;
    Ok(Some(content))
}

/// The same of a file that can be made anew: one that is damaged is told, and counts as none.
///
/// # Errors
/// A schema that is not known; it cannot be read.
pub fn read_or_anew<T: DeserializeOwned>(path: &Path, schema: u32, remedy: &'static str) -> Result<Option<T>> {
    match read(path, schema, remedy) {
        Err(error) if error.is::<Damaged>() => {
            tracing::warn!("{error}");
            Ok(None)
        }
        read => read,
    }
}

/// Writes a file with its digest, durably. What it says is a struct that begins with its schema.
pub fn write(path: &Path, content: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec_pretty(content)?;
    let body = text
        .strip_prefix(b"{\n")
        .context("only a struct can be written with a digest")?;
    let digest = digest::sha256(body);
    let bytes = [BEGINNING, digest.as_bytes(), BEHIND_DIGEST, body].concat();
    durable::write_file(path, &bytes).with_context(|| path.display().to_string())
}

/// Holds every byte against something. True: the file is from before it had a digest.
fn verify(bytes: &[u8]) -> Result<bool, &'static str> {
    if bytes.starts_with(BARE_BEGINNING) {
        return Ok(true);
    }
    let rest = bytes
        .strip_prefix(BEGINNING)
        .ok_or("does not begin as what wengu writes")?;
    let (written, rest) = rest.split_at_checked(DIGEST_LENGTH).ok_or("ends within its checksum")?;
    let body = rest.strip_prefix(BEHIND_DIGEST).ok_or("has no whole checksum")?;
    match digest::sha256(body).as_bytes() == written {
        true => Ok(false),
        false => Err("does not match its checksum"),
    }
}

/// Every way to flip one bit of a file, and every length at which it may be cut short, with words for it.
#[cfg(test)]
pub fn damages(sound: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let flipped = (0..sound.len() * 8).map(move |bit| {
        let mut bad = sound.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        (format!("bit {} of byte {}", bit % 8, bit / 8), bad)
    });
    flipped.chain((0..sound.len()).map(move |length| (format!("cut to {length} bytes"), sound[..length].to_vec())))
}

/// A file as it was before it had a digest.
#[cfg(test)]
pub fn without_digest(sound: &[u8]) -> Vec<u8> {
    let body = &sound[BEGINNING.len() + DIGEST_LENGTH + BEHIND_DIGEST.len()..];
    let text = format!("{{\n{}", std::str::from_utf8(body).unwrap());
    let line = text.lines().nth(1).unwrap().to_owned();
    text.replacen(&line, "  \"schema\": 1,", 1).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Content {
        schema: u32,
        words: Vec<String>,
    }

    #[test]
    fn a_file_is_json_with_a_digest_and_neither_layout_passes_for_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let read = || read::<Content>(&path, 2, "bring it back");
        assert_eq!(read().unwrap(), None);
        let content = Content {
            schema: 2,
            words: vec!["温故".into(), "知新".into()],
        };
        write(&path, &content).unwrap();
        assert_eq!(read().unwrap().as_ref(), Some(&content));
        let sound = std::fs::read(&path).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&sound).unwrap();
        assert_eq!(json["sha256"].as_str().map(str::len), Some(DIGEST_LENGTH));

        // The digest's line was taken out, and the schema left or not.
        let text = String::from_utf8(sound.clone()).unwrap();
        let digest = text.lines().nth(1).unwrap();
        std::fs::write(&path, text.replacen(&format!("{digest}\n"), "", 1)).unwrap();
        let error = read().unwrap_err();
        assert!(
            error.is::<Damaged>() && error.to_string().ends_with("bring it back"),
            "{error}"
        );
        std::fs::write(&path, without_digest(&sound)).unwrap();
        assert_eq!(read().unwrap().unwrap().words, content.words);

        // A newer one is whole, and is not read.
        write(&path, &Content { schema: 3, ..content }).unwrap();
        let error = read().unwrap_err();
        assert!(!error.is::<Damaged>(), "{error}");
        assert!(error.to_string().contains("schema 3 is not known"), "{error}");
    }
}
