use crate::{MANIFEST_FILE, Manifest, ManifestError};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

/// Largest library that is installed or loaded.
const LIBRARY_BYTES_MAX: u64 = 512 << 20;
/// Points to the version in use.
const CURRENT: &str = "current";
/// Work in progress lies under names with this prefix, on the same file system as its destination.
const STAGING: &str = ".staging-";

/// A plugin as it is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The folder of this version.
    pub dir: PathBuf,
    /// Its manifest, with `sha256`.
    pub manifest: Manifest,
}

/// A plugin in a list.
#[derive(Debug)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Its current version, or what is wrong with it.
    pub current: Result<Installed, PackageError>,
}

/// What can go wrong with the plugins folder.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A file could not be read or written.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The manifest is not right.
    #[error("{path}: {source}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        source: ManifestError,
    },
    /// The library is not the one that the manifest means.
    #[error("{path} has sha256 {actual}, its manifest says {expected}: install it again from a trusted source")]
    Digest {
        /// The library.
        path: PathBuf,
        /// Of the bytes.
        actual: String,
        /// In the manifest.
        expected: String,
    },
    /// An installed manifest must say which bytes it means.
    #[error("{0}: an installed manifest must have sha256; install the plugin again")]
    NoDigest(PathBuf),
    /// No plugin library is that large.
    #[error("{path} has {bytes} bytes, more than the limit of {LIBRARY_BYTES_MAX}")]
    TooLarge {
        /// The library.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// There is no such plugin.
    #[error("no plugin {id:?} in {dir}; installed: {}", if .installed.is_empty() { "none".into() } else { .installed.join(", ") })]
    NotInstalled {
        /// What was asked for.
        id: String,
        /// Where.
        dir: PathBuf,
        /// What is there.
        installed: Vec<String>,
    },
}

trait At<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T, PackageError>;
}
impl<T> At<T> for io::Result<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T, PackageError> {
        self.map_err(|source| PackageError::Io {
            doing,
            path: path.to_owned(),
            source,
        })
    }
}

impl Installed {
    /// Opens the folder of an installed version.
    ///
    /// # Errors
    /// A manifest that is missing, wrong or without sha256.
    pub fn open(dir: &Path) -> Result<Installed, PackageError> {
        let path = dir.join(MANIFEST_FILE);
        let manifest = read_manifest(&path)?;
        match manifest.sha256 {
            Some(_) => Ok(Installed {
                dir: dir.to_owned(),
                manifest,
            }),
            None => Err(PackageError::NoDigest(path)),
        }
    }

    /// The library.
    pub fn library(&self) -> PathBuf {
        self.dir.join(&self.manifest.file)
    }

    /// The library's bytes, which have the manifest's sha256.
    ///
    /// # Errors
    /// A library that cannot be read or has other bytes.
    pub fn verified_library(&self) -> Result<Vec<u8>, PackageError> {
        let path = self.library();
        let bytes = read_library(&path)?;
        let expected = self
            .manifest
            .sha256
            .as_ref()
            .ok_or_else(|| PackageError::NoDigest(self.dir.clone()))?;
        verify(&path, &bytes, expected)?;
        Ok(bytes)
    }
}

/// Installs a plugin: copies the library and a manifest with its sha256 into
/// `plugins_dir/ID/VERSION-SHA12/` and makes it the current version. `library` is where the library is now; without it,
/// it is the manifest's `file` beside the manifest. Installing the same bytes again changes nothing.
///
/// # Errors
/// A manifest or library that is not right, or a folder that cannot be written; then nothing has changed.
pub fn install(manifest: &Path, library: Option<&Path>, plugins_dir: &Path) -> Result<Installed, PackageError> {
    let mut package = read_manifest(manifest)?;
    let beside = manifest.with_file_name(&package.file);
    let library = library.unwrap_or(&beside);
    let bytes = read_library(library)?;
    if let Some(expected) = &package.sha256 {
        verify(library, &bytes, expected)?;
    }
    let sha256 = hex_digest(&bytes);
    let version_name = format!("{}-{}", package.version, &sha256[..12]);
    package.sha256 = Some(sha256);

    let _lock = lock(plugins_dir)?;
    sweep(plugins_dir)?;
    let id_dir = plugins_dir.join(&package.id);
    make_dir(&id_dir)?;
    sync_dir(plugins_dir)?;
    let dir = id_dir.join(&version_name);
    let same = Installed::open(&dir).is_ok_and(|i| i.manifest == package && i.verified_library().is_ok());
    if !same {
        let staging = plugins_dir.join(format!("{STAGING}{version_name}"));
        make_dir(&staging)?;
        write_synced(&staging.join(&package.file), &bytes, 0o500)?;
        let text = toml::to_string(&package).expect("a manifest can be written as TOML");
        write_synced(&staging.join(MANIFEST_FILE), text.as_bytes(), 0o400)?;
        sync_dir(&staging)?;
        if dir.exists() {
            // Damaged, since it was not the same: out of the way under a name that the next sweep removes.
            let old = plugins_dir.join(format!("{STAGING}old-{version_name}"));
            fs::rename(&dir, &old).at("could not move away", &dir)?;
        }
        fs::rename(&staging, &dir).at("could not move into place", &dir)?;
        sync_dir(&id_dir)?;
    }
    let pointer = plugins_dir.join(format!("{STAGING}{CURRENT}"));
    symlink(&version_name, &pointer).at("could not make", &pointer)?;
    let current = id_dir.join(CURRENT);
    fs::rename(&pointer, &current).at("could not replace", &current)?;
    sync_dir(&id_dir)?;
    sweep(plugins_dir)?;
    Ok(Installed { dir, manifest: package })
}

/// All plugins, by id, each with its current version or with what is wrong with it.
///
/// # Errors
/// A folder that cannot be read. A folder that does not exist holds no plugins.
pub fn list(plugins_dir: &Path) -> Result<Vec<Listed>, PackageError> {
    let ids = ids(plugins_dir)?;
    Ok(ids
        .into_iter()
        .map(|id| Listed {
            current: open_current(&plugins_dir.join(&id)),
            id,
        })
        .collect())
}

/// The current version of a plugin.
///
/// # Errors
/// No such plugin, or one whose manifest is not right.
pub fn find(plugins_dir: &Path, id: &str) -> Result<Installed, PackageError> {
    let installed = ids(plugins_dir)?;
    if !installed.iter().any(|i| i == id) {
        return Err(PackageError::NotInstalled {
            id: id.to_owned(),
            dir: plugins_dir.to_owned(),
            installed,
        });
    }
    open_current(&plugins_dir.join(id))
}

/// Removes all versions of a plugin. A host that runs it goes on: it holds its own copy of the library.
///
/// # Errors
/// No such plugin, or a folder that cannot be written.
pub fn remove(plugins_dir: &Path, id: &str) -> Result<(), PackageError> {
    let installed = ids(plugins_dir)?;
    if !installed.iter().any(|i| i == id) {
        return Err(PackageError::NotInstalled {
            id: id.to_owned(),
            dir: plugins_dir.to_owned(),
            installed,
        });
    }
    let _lock = lock(plugins_dir)?;
    sweep(plugins_dir)?;
    let dir = plugins_dir.join(id);
    // Renamed first, so that a plugin is either there or not.
    fs::rename(&dir, plugins_dir.join(format!("{STAGING}removed"))).at("could not remove", &dir)?;
    sync_dir(plugins_dir)?;
    sweep(plugins_dir)
}

fn open_current(id_dir: &Path) -> Result<Installed, PackageError> {
    let pointer = id_dir.join(CURRENT);
    let version = fs::read_link(&pointer).at("could not read", &pointer)?;
    Installed::open(&id_dir.join(version))
}

fn ids(plugins_dir: &Path) -> Result<Vec<String>, PackageError> {
    let entries = match fs::read_dir(plugins_dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.at("could not list", plugins_dir)?,
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry.at("could not list", plugins_dir)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && entry.path().is_dir() {
            ids.push(name);
        }
    }
    ids.sort();
    Ok(ids)
}

fn read_manifest(path: &Path) -> Result<Manifest, PackageError> {
    let text = fs::read_to_string(path).at("could not read", path)?;
    Manifest::parse(&text).map_err(|source| PackageError::Manifest {
        path: path.to_owned(),
        source,
    })
}

fn read_library(path: &Path) -> Result<Vec<u8>, PackageError> {
    let file = File::open(path).at("could not open", path)?;
    let mut bytes = Vec::new();
    file.take(LIBRARY_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .at("could not read", path)?;
    match bytes.len() as u64 {
        n if n > LIBRARY_BYTES_MAX => Err(PackageError::TooLarge {
            path: path.to_owned(),
            bytes: n,
        }),
        _ => Ok(bytes),
    }
}

fn verify(path: &Path, bytes: &[u8], expected: &str) -> Result<(), PackageError> {
    let actual = hex_digest(bytes);
    match actual == expected {
        true => Ok(()),
        false => Err(PackageError::Digest {
            path: path.to_owned(),
            actual,
            expected: expected.to_owned(),
        }),
    }
}

fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// One writer at a time, so that whatever lies under a staging name at the start was left by a crash.
fn lock(plugins_dir: &Path) -> Result<File, PackageError> {
    make_dir(plugins_dir)?;
    let path = plugins_dir.join(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path);
    let file = file.at("could not open", &path)?;
    file.lock().at("could not lock", &path)?;
    Ok(file)
}

fn sweep(plugins_dir: &Path) -> Result<(), PackageError> {
    for entry in fs::read_dir(plugins_dir).at("could not list", plugins_dir)? {
        let path = entry.at("could not list", plugins_dir)?.path();
        if path
            .file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with(STAGING))
        {
            let removed = match path.symlink_metadata().is_ok_and(|m| m.is_dir()) {
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            };
            removed.at("could not remove", &path)?;
        }
    }
    sync_dir(plugins_dir)
}

fn make_dir(path: &Path) -> Result<(), PackageError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .at("could not make", path)
}

fn write_synced(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PackageError> {
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(mode)
        .open(path)
        .at("could not make", path)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .at("could not write", path)
}

fn sync_dir(path: &Path) -> Result<(), PackageError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .at("could not sync", path)
}
