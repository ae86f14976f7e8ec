//! Plugin packages: `manifest.toml` beside a library, and the folder that plugins are installed in.
//!
//! ```text
//! PLUGINS/org.example.contracts/1.0.0-0123456789ab/manifest.toml   with sha256
//!                                                 /libcontracts.so
//! PLUGINS/org.example.contracts/current -> 1.0.0-0123456789ab
//! ```
//!
//! Nothing here loads code, so the daemon may use it: it links no loader.

mod install;
mod manifest;

pub use install::{Installed, Listed, PackageError, find, install, list, remove};
pub use manifest::{Limits, MANIFEST_FILE, Manifest, ManifestError};
