//! The key of `[encryption]`, and what is sealed with it beside the store: the files of a version directory that hold text or
//! name cases, and what came over the API. What the trainer reads is never sealed, since it has no key.

use crate::digest;
use crate::layout::Layout;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Seek};
use std::path::Path;
use std::sync::Arc;
use wengu_config::{Config, Problem, Source};
use wengu_seal::{Key, KeyError, Opener, SealError, is_sealed, key_of};
use wengu_store::{StoreError, durable};

/// The remembered examples, one a line.
pub const EXAMPLES: &str = "memory/examples.jsonl";
/// The judgement, with the items' cases.
pub const EVALUATION: &str = "evaluation.json";
/// What is sealed in a version directory.
const SEALED: [&str; 2] = [EXAMPLES, EVALUATION];
/// What came over the API is sealed as.
const FEEDBACK: &str = "feedback";
/// Before the digest of what came over the API and is not sealed.
const BEGINNING: &[u8] = b"blake3 ";
/// Hex digits of a BLAKE3.
const DIGEST_LENGTH: usize = 64;

/// None: a credential without its folder.
fn of_source(source: &Source) -> Option<Result<Key, KeyError>> {
    let of_systemd = matches!(source, Source::Credential(_));
    source.file().map(|file| Key::read(&file, of_systemd))
}

/// The key that the configuration names; None: it names none.
///
/// # Errors
/// It cannot be read, others may read it, or it is no key.
pub fn key(config: &Config) -> Result<Option<Arc<Key>>> {
    let Some(source) = &config.encryption else {
        return Ok(None);
    };
    let key = of_source(source).context(
        "the key of [encryption] is in a credential, and systemd gave this process none: \
         `systemd-run --pty -p User=wengu -p LoadCredential=NAME:FILE wengu …` does",
    )?;
    Ok(Some(Arc::new(key?)))
}

/// A key that cannot be used. Of a credential without its folder nothing is known: a person asks outside the unit.
pub fn check(config: &Config) -> Vec<Problem> {
    let Some(source) = &config.encryption else {
        return Vec::new();
    };
    let at = match source {
        Source::Credential(_) => "encryption.key_credential",
        _ => "encryption.key_file",
    };
    match of_source(source) {
        None | Some(Ok(_)) => Vec::new(),
        Some(Err(error)) => {
            let remedy = "`wengu key new FILE` makes a new one; a store that is encrypted needs its own";
            vec![config.error_at(at, error.to_string(), remedy)]
        }
    }
}

/// Whether an error says that the key is not the one that is needed, or is missing.
pub fn is_about_key(error: &anyhow::Error) -> bool {
    error.is::<KeyError>()
        || error.downcast_ref().is_some_and(StoreError::is_about_key)
        || error.downcast_ref().is_some_and(|error: &SealError| !error.is_damage())
}

/// Writes a file of a version directory.
pub fn write(dir: &Path, name: &str, key: Option<&Key>, bytes: &[u8]) -> Result<()> {
    let path = dir.join(name);
    let written = match key {
        None => fs::write(&path, bytes),
        Some(key) => wengu_seal::seal(key, &context(name), bytes).and_then(|sealed| fs::write(&path, sealed)),
    };
    written.with_context(|| path.display().to_string())
}

/// Reads a file of a version directory. None: there is none.
pub fn read(dir: &Path, name: &str, key: Option<&Key>) -> Result<Option<Vec<u8>>> {
    let path = dir.join(name);
    let bytes = match fs::read(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.with_context(|| path.display().to_string())?,
    };
    let opened = match key {
        Some(key) => wengu_seal::open(key, &context(name), &bytes),
        None if is_sealed(&bytes) => {
            return Err(
                key_of(&bytes).map_or_else(anyhow::Error::from, |key| StoreError::KeyNeeded { path, key }.into())
            );
        }
        None => return Ok(Some(bytes)),
    };
    opened.map(Some).with_context(|| path.display().to_string())
}

/// SHA-256 of a file of a version directory; of one that is sealed, of what was sealed. So a lineage is the same with any
/// key, and a change of keys leaves it as it is.
pub fn sha256(dir: &Path, name: &str, key: Option<&Key>) -> Result<String> {
    let path = dir.join(name);
    if SEALED.contains(&name) {
        let bytes = read(dir, name, key)?.with_context(|| format!("{} is missing", path.display()))?;
        return Ok(digest::sha256(&bytes));
    }
    digest::sha256_file(&path).with_context(|| path.display().to_string())
}

fn context(name: &str) -> String {
    format!("version/{name}")
}

/// What came over the API, as it is kept until it is read: sealed, or behind a line with its digest.
pub fn feedback(key: Option<&Key>, line: &[u8]) -> io::Result<Vec<u8>> {
    match key {
        None => Ok([BEGINNING, blake3::hash(line).to_hex().as_bytes(), b"\n", line].concat()),
        Some(key) => wengu_seal::seal(key, FEEDBACK, line),
    }
}

/// What came over the API is not what was kept.
#[derive(Debug, thiserror::Error)]
#[error("it does not match its checksum: it was damaged, cut short or changed by hand")]
struct NotAsKept;

/// Whether an error says that what was delivered is not what was kept.
pub fn is_damage(error: &anyhow::Error) -> bool {
    let inner = |cause: &(dyn std::error::Error + 'static)| {
        let inner = cause.downcast_ref::<io::Error>()?.get_ref()?;
        let sealed = inner.downcast_ref::<SealError>().is_some_and(SealError::is_damage);
        (sealed || inner.is::<NotAsKept>()).then_some(())
    };
    error.chain().any(|cause| inner(cause).is_some())
}

/// Takes the line with the digest off what it is of.
fn as_kept(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let line = bytes
        .strip_prefix(BEGINNING)
        .and_then(|rest| rest.split_at_checked(DIGEST_LENGTH));
    let line = line.and_then(|(digest, rest)| Some((digest, rest.strip_prefix(b"\n")?)));
    match line {
        Some((digest, line)) if blake3::hash(line).to_hex().as_bytes() == digest => Ok(line.to_vec()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, NotAsKept)),
    }
}

/// The bytes of a delivered file. One that came over the API is as [`feedback`] keeps it; it may have come before there was a key.
pub fn delivered<'f>(
    layout: &Layout,
    key: Option<&Key>,
    path: &Path,
    mut file: &'f File,
) -> io::Result<Box<dyn Read + 'f>> {
    if !path.starts_with(layout.all_feedback()) {
        return Ok(Box::new(file));
    }
    let mut beginning = Vec::new();
    file.take(8).read_to_end(&mut beginning)?;
    file.rewind()?;
    match key {
        Some(key) if is_sealed(&beginning) => Ok(Box::new(Opener::new(key, FEEDBACK, file)?)),
        _ => {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(Box::new(Cursor::new(as_kept(&bytes)?)))
        }
    }
}

/// Seals what lies beside the store and is not sealed with this key. Returns how many files that were.
pub fn encrypt(layout: &Layout, key: &Key, old: Option<&Key>) -> Result<u64> {
    let mut sealed = 0;
    for domain in folders(&layout.all_versions())? {
        for version in folders(&domain)? {
            for name in SEALED {
                let path = version.join(name);
                if path.exists() {
                    durable::remove_temporaries(path.parent().context("a file is in a folder")?)?;
                    sealed += u64::from(encrypt_file(&path, &context(name), key, old)?);
                }
            }
        }
    }
    for domain in folders(&layout.all_feedback())? {
        durable::remove_temporaries(&domain)?;
        for entry in fs::read_dir(&domain)? {
            let path = entry?.path();
            if path.is_file() {
                sealed += u64::from(encrypt_file(&path, FEEDBACK, key, old)?);
            }
        }
    }
    Ok(sealed)
}

/// Replaces a file by its sealed self, unless it is that already. JSON never looks like a sealed file.
fn encrypt_file(path: &Path, context: &str, key: &Key, old: Option<&Key>) -> Result<bool> {
    let named = || path.display().to_string();
    let bytes = fs::read(path).with_context(named)?;
    let plain = match is_sealed(&bytes) {
        false if context == FEEDBACK => as_kept(&bytes).with_context(named)?,
        false => bytes,
        true => {
            let found = key_of(&bytes).with_context(named)?;
            let Some(opener) = [Some(key), old].into_iter().flatten().find(|key| key.id() == found) else {
                bail!(
                    "{}: it is sealed with the key {found}; name that with --old-key-file",
                    named()
                );
            };
            let plain = wengu_seal::open(opener, context, &bytes).with_context(named)?;
            if found == key.id() {
                return Ok(false);
            }
            plain
        }
    };
    durable::write_file(path, &wengu_seal::seal(key, context, &plain)?).with_context(named)?;
    Ok(true)
}

/// The folders in a folder, without links to some; none where it is missing.
fn folders(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| dir.display().to_string())?,
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_over_the_api_is_read_as_it_was_kept_or_said_to_be_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let folder = layout.feedback("contracts");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.jsonl");
        let line = "{\"text\":\"因本合同引起的争议\",\"label\":\"Governing Law\"}\n".as_bytes();
        let read = |key: Option<&Key>| -> Result<Vec<u8>> {
            let mut bytes = Vec::new();
            delivered(&layout, key, &path, &File::open(&path)?)?.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let key_file = dir.path().join("key");
        fs::write(&key_file, wengu_seal::generate().unwrap().as_str()).unwrap();
        fs::set_permissions(&key_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let key = Key::read(&key_file, false).unwrap();
        let plain = feedback(None, line).unwrap();
        for (kept, key) in [
            (plain.clone(), None),
            (plain, Some(&key)),
            (feedback(Some(&key), line).unwrap(), Some(&key)),
        ] {
            fs::write(&path, &kept).unwrap();
            assert_eq!(read(key).unwrap(), line);
            for (how, bad) in crate::checked::damages(&kept) {
                fs::write(&path, bad).unwrap();
                let error = read(key).expect_err(&how);
                // A header that names another key or format is no damage that can be told from one that does.
                let is_header = error.chain().any(|cause| cause.to_string().contains("sealed"));
                assert!(is_damage(&error) || is_header, "{how}: {error:#}");
            }
        }
        // A file of a watched folder is what it is.
        let path = dir.path().join("inbox.jsonl");
        fs::write(&path, line).unwrap();
        let mut bytes = Vec::new();
        delivered(&layout, None, &path, &File::open(&path).unwrap())
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        assert_eq!(bytes, line);
    }
}
