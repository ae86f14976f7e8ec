use crate::ManifestError;
use crate::package::LIBRARY_BYTES_MAX;
use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong with a package or the plugins folder.
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
    /// A file is not the one that was installed, or that its manifest means.
    #[error("{path} has sha256 {actual}, {by} says {expected}: install it again from a trusted source")]
    Digest {
        /// The file.
        path: PathBuf,
        /// Of the bytes.
        actual: String,
        /// Who names another: the manifest, plugins.lock.
        by: &'static str,
        /// In there.
        expected: String,
    },
    /// An installed or signed manifest must say which bytes it means.
    #[error("{0} has no sha256 of its library: make the package with `wengu plugin pack`")]
    NoDigest(PathBuf),
    /// A file is larger than any such file is.
    #[error("{path} has more than {limit} bytes; the limit for a library is {LIBRARY_BYTES_MAX}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What it may have.
        limit: u64,
    },
    /// Nothing that can be installed lies there.
    #[error("{path} is no plugin package: {why}")]
    NoPackage {
        /// What was named.
        path: PathBuf,
        /// What is missing or too much.
        why: String,
    },
    /// The package has no signature, and none of its bytes is vouched for.
    #[error(
        "{id} {version} is not signed: ask its author for manifest.toml.minisig, or install it as it is with --allow-unsigned"
    )]
    Unsigned {
        /// The plugin.
        id: String,
        /// Its version.
        version: String,
    },
    /// The signature is by a key that the configuration does not name.
    #[error(
        "{id} {version} is signed by key {key}, which is not among `[plugins] keys` of the configuration: add the \
         author's public key there if you trust it"
    )]
    UnknownKey {
        /// The plugin.
        id: String,
        /// Its version.
        version: String,
        /// The key's id, as minisign prints it.
        key: String,
    },
    /// The signature does not fit the manifest, or is no signature.
    #[error("{path} is not signed as {signature} says: {why}; do not use this package")]
    BadSignature {
        /// The manifest.
        path: PathBuf,
        /// Its signature.
        signature: PathBuf,
        /// In the words of the check.
        why: String,
    },
    /// `plugins.lock` cannot be understood.
    #[error("{path} cannot be read: {why}; restore it from a backup, or remove it and install the plugins again")]
    Lock {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
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
    /// An operator has disabled it.
    #[error("plugin {0} is disabled; `wengu plugin enable {0}` brings it back")]
    Disabled(String),
    /// There is no version to go to.
    #[error("{id} has no {what}; installed: {}", .installed.join(", "))]
    NoVersion {
        /// The plugin.
        id: String,
        /// What was asked for.
        what: String,
        /// Its versions, oldest first.
        installed: Vec<String>,
    },
    /// An upgrade must be newer.
    #[error("{id} {current} is in use, and {offered} is not newer; `wengu plugin install` takes any version")]
    NotNewer {
        /// The plugin.
        id: String,
        /// In use.
        current: String,
        /// In the package.
        offered: String,
    },
}

pub(crate) trait At<T> {
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
