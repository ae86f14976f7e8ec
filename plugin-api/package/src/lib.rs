//! Plugin packages: `manifest.toml` beside a library, and the folder that plugins are installed in.
//!
//! ```text
//! PLUGINS/plugins.lock                               which package of each plugin is in use, and who signed it
//!         org.example.contracts/SHA256/manifest.toml         SHA256 is the digest of this file,
//!                                     /libcontracts.so       which holds the digest of this one
//!                                     /manifest.toml.minisig
//! ```
//!
//! Nothing here loads code, so the daemon may use it: it links no loader.

mod disk;
mod error;
mod folder;
mod installed;
mod lockfile;
mod manifest;
mod package;
mod signature;

pub use error::PackageError;
pub use folder::{Change, Listed, PluginFolder};
pub use installed::Installed;
pub use lockfile::LOCK_FILE;
pub use manifest::{Limits, MANIFEST_FILE, Manifest, ManifestError};
pub use package::Package;
pub use signature::{Keys, SIGNATURE_FILE};
