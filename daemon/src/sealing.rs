//! The key of `[encryption]`, and what is sealed with it beside the store: the files of a version directory that hold text or
//! name cases, and what came over the API. What the trainer reads is never sealed, since it has no key.

use crate::digest;
use crate::layout::Layout;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::{self, Read, Seek};
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

/// What came over the API, as it is kept until it is read.
pub fn feedback(key: Option<&Key>, line: Vec<u8>) -> io::Result<Vec<u8>> {
    match key {
        None => Ok(line),
        Some(key) => wengu_seal::seal(key, FEEDBACK, &line),
    }
}

/// The bytes of a delivered file. One that came over the API is sealed, unless it came before there was a key.
pub fn delivered<'f>(
    layout: &Layout,
    key: Option<&Key>,
    path: &Path,
    mut file: &'f File,
) -> io::Result<Box<dyn Read + 'f>> {
    let Some(key) = key.filter(|_| path.starts_with(layout.all_feedback())) else {
        return Ok(Box::new(file));
    };
    let mut beginning = Vec::new();
    file.take(8).read_to_end(&mut beginning)?;
    file.rewind()?;
    match is_sealed(&beginning) {
        true => Ok(Box::new(Opener::new(key, FEEDBACK, file)?)),
        false => Ok(Box::new(file)),
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
