//! The first files of a new plugin: they build, install and label as they are, and hold all they need but a compiler.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// With the SDK, which is put beside it.
    Rust,
    /// With the header alone.
    C,
}

/// Why there is no new plugin.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The name becomes part of an id, of a crate's name and of a library's.
    #[error("{0:?} cannot be a plugin's name: use a-z, 0-9 and -, a letter first, 40 at most")]
    Name(String),
    /// Something is there already, or nothing can be written.
    #[error("could not make {path}: {source}")]
    Io {
        /// What.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A path in the new folder, and the text of the file.
type File = (&'static str, &'static str);

const RUST: [File; 6] = [
    ("Cargo.toml", include_str!("../files/rust/Cargo.toml.in")),
    ("Makefile", include_str!("../files/rust/Makefile.in")),
    ("README.md", include_str!("../files/README.md.in")),
    ("manifest.toml", include_str!("../files/manifest.toml.in")),
    ("src/lib.rs", include_str!("../files/rust/lib.rs.in")),
    (".gitignore", "/target\n/*.so\n"),
];

const C: [File; 5] = [
    ("Makefile", include_str!("../files/c/Makefile.in")),
    ("README.md", include_str!("../files/README.md.in")),
    ("manifest.toml", include_str!("../files/manifest.toml.in")),
    ("plugin.c", include_str!("../files/c/plugin.c.in")),
    (".gitignore", "/*.so\n"),
];

const HEADER: [File; 2] = [
    ("include/wengu_plugin.h", include_str!("../../include/wengu_plugin.h")),
    (
        "include/wengu_plugin.version",
        include_str!("../../include/wengu_plugin.version"),
    ),
];

/// The SDK as it is in this version of wengu. Its manifest alone is another: it stands outside of the workspace.
const SDK: [File; 12] = [
    (
        "vendor/wengu-plugin/Cargo.toml",
        include_str!("../files/rust/sdk-Cargo.toml.in"),
    ),
    ("vendor/wengu-plugin/src/abi.rs", include_str!("../../src/abi.rs")),
    ("vendor/wengu-plugin/src/error.rs", include_str!("../../src/error.rs")),
    ("vendor/wengu-plugin/src/export.rs", include_str!("../../src/export.rs")),
    ("vendor/wengu-plugin/src/host.rs", include_str!("../../src/host.rs")),
    ("vendor/wengu-plugin/src/lib.rs", include_str!("../../src/lib.rs")),
    (
        "vendor/wengu-plugin/src/patterns.rs",
        include_str!("../../src/patterns.rs"),
    ),
    (
        "vendor/wengu-plugin/src/patterns/spans.rs",
        include_str!("../../src/patterns/spans.rs"),
    ),
    (
        "vendor/wengu-plugin/src/segments.rs",
        include_str!("../../src/segments.rs"),
    ),
    ("vendor/wengu-plugin/src/types.rs", include_str!("../../src/types.rs")),
    ("vendor/wengu-plugin/LICENSE-MIT", include_str!("../../../LICENSE-MIT")),
    (
        "vendor/wengu-plugin/LICENSE-APACHE",
        include_str!("../../../LICENSE-APACHE"),
    ),
];

/// Writes a new plugin into `folder`, which is made. Returns the plugin's id.
///
/// # Errors
/// A name that cannot be one, or a folder that is there already or cannot be written.
pub fn write(name: &str, language: Language, folder: &Path) -> Result<String, TemplateError> {
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !starts_well || name.len() > 40 || !name.chars().all(rest) {
        return Err(TemplateError::Name(name.to_owned()));
    }
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| TemplateError::Io { path, source }
    };
    let id = format!("org.example.{name}");
    let library = format!("lib{}.so", name.replace('-', "_"));
    fs::create_dir(folder).map_err(at(folder))?;
    let (own, shared): (&[File], &[File]) = match language {
        Language::Rust => (&RUST, &SDK),
        Language::C => (&C, &HEADER),
    };
    for (index, (path, text)) in own.iter().chain(shared).enumerate() {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(at(parent))?;
        }
        // What is shared is copied as it is.
        let text = match index < own.len() {
            true => text
                .replace("{{name}}", name)
                .replace("{{id}}", &id)
                .replace("{{library}}", &library),
            false => (*text).to_owned(),
        };
        fs::write(&path, text).map_err(at(&path))?;
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_of_the_sdk_goes_along() {
        check(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("../src"),
            "vendor/wengu-plugin/src",
        );
    }

    fn check(sources: &Path, folder: &str) {
        for source in fs::read_dir(sources).unwrap() {
            let source = source.unwrap();
            let path = format!("{folder}/{}", source.file_name().into_string().unwrap());
            match source.path().is_dir() {
                true => check(&source.path(), &path),
                false => assert!(SDK.iter().any(|(there, _)| *there == path), "{path}"),
            }
        }
    }

    #[test]
    fn names_that_could_not_be_built_are_refused_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let long = "a".repeat(41);
        for name in ["", "Ward", "病历", "1st", "-x", "a b", "../x", long.as_str()] {
            let refused = write(name, Language::C, &dir.path().join("x"));
            assert!(matches!(refused, Err(TemplateError::Name(_))), "{name}");
        }
        let there = write("ward", Language::C, dir.path());
        assert!(matches!(there, Err(TemplateError::Io { .. })));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(
            write("ward-7", Language::Rust, &dir.path().join("w")).unwrap(),
            "org.example.ward-7"
        );
        for file in fs::read_dir(dir.path().join("w")).unwrap() {
            let path = file.unwrap().path();
            if path.is_file() {
                assert!(!fs::read_to_string(path).unwrap().contains("{{"));
            }
        }
    }
}
