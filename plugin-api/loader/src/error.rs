use wengu_plugin::{Error, abi};
use wengu_plugin_package::PackageError;

/// Why a plugin is not loaded: the check that failed, with both sides' values.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The library cannot be read, or has other bytes than its manifest says.
    #[error("{0}")]
    Digest(#[from] PackageError),
    /// The dynamic linker refused it.
    #[error("the library cannot be opened: {0}")]
    Open(String),
    /// It is no plugin, or one of another major version.
    #[error("the library has no symbol wengu_entry_v1, so it is no plugin for ABI {major}.x: {linker}", major = abi::ABI_MAJOR)]
    Symbol {
        /// The dynamic linker's words.
        linker: String,
    },
    /// A struct is smaller than version 1.0 of it, or a pointer in it is null.
    #[error("{what}: the library says {found}, version 1.0 has {wanted}")]
    Size {
        /// Which struct or field.
        what: &'static str,
        /// What the library says.
        found: String,
        /// What it must be at least.
        wanted: String,
    },
    /// Built for another major version. Nothing else of the table was read.
    #[error("the library is built for ABI {found}, this host knows ABI {known}.x: build the plugin again", known = abi::ABI_MAJOR)]
    Major {
        /// What the library says.
        found: u32,
    },
    /// The library is not the plugin that its manifest describes.
    #[error("`{field}` is {library:?} in the library and {manifest:?} in its manifest")]
    Descriptor {
        /// Which field.
        field: &'static str,
        /// In the library.
        library: String,
        /// In the manifest.
        manifest: String,
    },
    /// A capability that the manifest promises is missing or incomplete.
    #[error("the manifest provides {id}, the library {found}")]
    Extension {
        /// Which capability.
        id: String,
        /// What is wrong with the library's table.
        found: String,
    },
    /// `create` failed.
    #[error("create() failed: {0}")]
    Create(Error),
    /// Labels, functions, metrics or terms cannot be used.
    #[error("{list}(): {error}")]
    Lists {
        /// Which list.
        list: &'static str,
        /// What is wrong with it.
        error: Error,
    },
}

impl LoadError {
    /// The check that failed, in a word.
    pub fn check(&self) -> &'static str {
        match self {
            LoadError::Digest(_) => "digest",
            LoadError::Open(_) => "open",
            LoadError::Symbol { .. } => "symbol",
            LoadError::Size { .. } => "size",
            LoadError::Major { .. } => "major",
            LoadError::Descriptor { .. } => "descriptor",
            LoadError::Extension { .. } => "extension",
            LoadError::Create(_) => "create",
            LoadError::Lists { .. } => "lists",
        }
    }
}
