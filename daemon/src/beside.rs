//! What lies beside the store and belongs to it: versions, plugins, and what forgetting keeps. It is checked with it, goes along in its
//! backups, and is there again before it is.

use crate::forget;
use crate::layout::Layout;
use crate::learn::adopt::verify_version;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs::read_dir;
use std::path::{Path, PathBuf};
use wengu_store::backup::Saved;
use wengu_store::records::VersionRecord;
use wengu_store::{BackupReport, Beside, Store, StoreError};

/// An order under way says what is to be forgotten.
const LEFT_OUT: &str = "forget/orders";

/// What is not as it was written, for people.
///
/// # Errors
/// The store, or a folder, cannot be read.
pub fn problems(store: &Store, layout: &Layout) -> Result<Vec<String>> {
    let mut problems = forget::problems(&layout.forget())?;
    let key = store.objects().key().map(AsRef::as_ref);
    for (at, version) in store.scan::<VersionRecord>("")? {
        let dir = layout.version(&version.domain, &version.id);
        // A version that has to go loses its record first.
        if let Err(error) = verify_version(&dir, key)
            && store.get::<VersionRecord>(&at)?.is_some()
        {
            problems.push(format!("version {} of {}: {error:#}", version.id, version.domain));
        }
    }
    Ok(problems)
}

/// Writes a backup of the store and of what lies beside it, and reads it again.
///
/// # Errors
/// Something is there already, cannot be read or written, or is damaged.
pub fn save(store: &Store, layout: &Layout, to: &Path) -> Result<BackupReport> {
    let last_seq = store.last_seq();
    Ok(store.backup(to, last_seq, &files(store, layout)?)?)
}

/// What goes along in a backup of the store.
fn files(store: &Store, layout: &Layout) -> Result<Vec<Beside>> {
    let mut folders: Vec<PathBuf> = vec![layout.plugins(), layout.forget()];
    for (_, version) in store.scan::<VersionRecord>("")? {
        folders.push(layout.version(&version.domain, &version.id));
    }
    let mut files = Vec::new();
    for folder in folders.into_iter().filter(|folder| folder.exists()) {
        collect(layout.root(), &folder, &mut files)?;
    }
    Ok(files)
}

/// The regular files below, but for what is being made.
fn collect(root: &Path, folder: &Path, files: &mut Vec<Beside>) -> Result<()> {
    for entry in read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
        if entry.file_name().as_encoded_bytes().starts_with(b".") || name == LEFT_OUT {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, files)?;
        } else if kind.is_file() {
            files.push(Beside { from: path, name });
        }
    }
    Ok(())
}

/// What was beside the store of a backup: what was made of it, and what was there already and stays as it is.
#[derive(Debug, Default)]
pub struct Restored {
    /// Folders, as the layout has them.
    pub made: Vec<String>,
    /// The same.
    pub kept: Vec<String>,
}

/// Puts back what a backup has: a version, all plugins and what forgetting keeps are each there in whole or not.
///
/// # Errors
/// It cannot be read or written.
pub fn restore(saved: &Saved, layout: &Layout) -> Result<Restored, StoreError> {
    // Each with a file below it.
    let whole = |name: &Path| -> Option<PathBuf> {
        let parts = [("versions", 3), ("plugins", 1), ("forget", 1)];
        let (_, parts) = parts.into_iter().find(|(first, _)| name.starts_with(first))?;
        (name.components().count() > parts).then(|| name.components().take(parts).collect())
    };
    let mut folders = BTreeSet::new();
    for (name, path) in saved.files() {
        folders.insert(whole(name).ok_or_else(|| StoreError::BackupDamaged {
            path,
            what: "nothing that lies beside a store is called so".into(),
        })?);
    }
    let mut restored = Restored::default();
    for folder in folders {
        let to = layout.root().join(&folder);
        let shown = folder.display().to_string();
        if read_dir(&to).is_ok_and(|mut there| there.next().is_some()) {
            restored.kept.push(shown);
        } else {
            saved.restore(&folder, &to)?;
            restored.made.push(shown);
        }
    }
    Ok(restored)
}
