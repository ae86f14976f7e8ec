//! A package as an author hands it over: `manifest.toml`, the library, and the manifest's signature.

use crate::disk;
use crate::error::At;
use crate::signature::SIGNATURE_FILE;
use crate::{MANIFEST_FILE, Manifest, PackageError};
use flate2::read::GzDecoder;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest library that is installed or loaded.
pub(crate) const LIBRARY_BYTES_MAX: u64 = 512 << 20;
/// Largest manifest or signature.
pub(crate) const TEXT_BYTES_MAX: u64 = 1 << 20;

/// A package in memory: what is checked is what is installed.
#[derive(Debug)]
pub struct Package {
    /// Where the manifest lies, for messages.
    pub(crate) origin: PathBuf,
    /// The manifest's bytes, as signed.
    pub(crate) text: Vec<u8>,
    /// The same, read, with the library's `sha256`.
    pub(crate) manifest: Manifest,
    pub(crate) signature: Option<String>,
    pub(crate) library: Vec<u8>,
}

impl Package {
    /// Reads a package from a folder, from a `.tar.gz` of one, or from a library or manifest in one. `library` is a
    /// library elsewhere: an author's build, which cargo puts far from the manifest.
    ///
    /// # Errors
    /// What is missing, unreadable or not what the manifest means.
    pub fn read(path: &Path, library: Option<&Path>) -> Result<Package, PackageError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            Package::from_folder(path, library)
        } else if name == MANIFEST_FILE {
            Package::from_folder(parent(path), library)
        } else if name.ends_with(".so") && library.is_none() {
            Package::from_folder(parent(path), Some(path))
        } else if (name.ends_with(".tar.gz") || name.ends_with(".tgz")) && library.is_none() {
            Package::from_archive(path)
        } else {
            // Tells what the system says of a path that is not there.
            path.metadata().at("could not open", path)?;
            let why = "name a folder with manifest.toml, a .tar.gz of one, or the .so in one".into();
            Err(PackageError::NoPackage {
                path: path.to_owned(),
                why,
            })
        }
    }

    fn from_folder(folder: &Path, library: Option<&Path>) -> Result<Package, PackageError> {
        let path = folder.join(MANIFEST_FILE);
        if !path.is_file() {
            return Err(PackageError::NoPackage {
                path: folder.to_owned(),
                why: format!("it has no {MANIFEST_FILE}"),
            });
        }
        let text = disk::read(&path, TEXT_BYTES_MAX)?;
        let manifest = parse(&path, &text)?;
        let beside = folder.join(&manifest.file);
        let library_path = library.unwrap_or(&beside);
        let library = disk::read(library_path, LIBRARY_BYTES_MAX)?;
        let signature = match disk::read(&folder.join(SIGNATURE_FILE), TEXT_BYTES_MAX) {
            Err(PackageError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => None,
            other => Some(String::from_utf8_lossy(&other?).into_owned()),
        };
        Package::new(path, text, manifest, signature, library_path, library)
    }

    /// Takes the three files out of the archive by name, into memory: nothing in it can name a place to write to.
    fn from_archive(path: &Path) -> Result<Package, PackageError> {
        let no_package = |why: String| PackageError::NoPackage {
            path: path.to_owned(),
            why,
        };
        let (mut text, mut signature, mut libraries) = (None, None, Vec::new());
        let file = File::open(path).at("could not open", path)?;
        // Twice the largest library: an archive that unpacks to more is refused while it is read.
        let mut archive = tar::Archive::new(GzDecoder::new(file).take(2 * LIBRARY_BYTES_MAX));
        for entry in archive.entries().at("could not read", path)? {
            let mut entry = entry.at("could not read", path)?;
            let entry_path = entry.path().at("could not read", path)?.into_owned();
            let name = entry_path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let limit = match name.as_str() {
                MANIFEST_FILE | SIGNATURE_FILE => TEXT_BYTES_MAX,
                _ if name.ends_with(".so") => LIBRARY_BYTES_MAX,
                _ => continue,
            };
            if !entry.header().entry_type().is_file() || entry_path.components().count() > 2 {
                return Err(no_package(format!(
                    "{} is no file of its top folder",
                    entry_path.display()
                )));
            }
            let mut bytes = Vec::new();
            (&mut entry)
                .take(limit + 1)
                .read_to_end(&mut bytes)
                .at("could not read", path)?;
            if bytes.len() as u64 > limit {
                return Err(PackageError::TooLarge {
                    path: path.join(&entry_path),
                    limit,
                });
            }
            let twice = match name.as_str() {
                MANIFEST_FILE => text.replace(bytes).is_some(),
                SIGNATURE_FILE => signature
                    .replace(String::from_utf8_lossy(&bytes).into_owned())
                    .is_some(),
                _ => {
                    libraries.push((name.clone(), bytes));
                    libraries.len() > 1
                }
            };
            if twice {
                return Err(no_package(format!("it has more than one {name} or library")));
            }
        }
        let text = text.ok_or_else(|| no_package(format!("it has no {MANIFEST_FILE}")))?;
        let origin = path.join(MANIFEST_FILE);
        let manifest = parse(&origin, &text)?;
        let library = libraries.into_iter().find(|(name, _)| *name == manifest.file);
        let (name, library) = library.ok_or_else(|| no_package(format!("it has no {}", manifest.file)))?;
        Package::new(origin, text, manifest, signature, &path.join(name), library)
    }

    fn new(
        origin: PathBuf,
        mut text: Vec<u8>,
        mut manifest: Manifest,
        signature: Option<String>,
        library_path: &Path,
        library: Vec<u8>,
    ) -> Result<Package, PackageError> {
        match &manifest.sha256 {
            Some(expected) => disk::verify(library_path, &library, expected, "its manifest")?,
            // A signature of a manifest that names no bytes vouches for none.
            None if signature.is_some() => return Err(PackageError::NoDigest(origin)),
            None => {
                manifest.sha256 = Some(disk::sha256(&library));
                text = write(&manifest);
            }
        }
        Ok(Package {
            origin,
            text,
            manifest,
            signature,
            library,
        })
    }

    /// The manifest, with the library's `sha256`.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Writes the package into a new folder, ready to be signed: the manifest now names the library's bytes.
    ///
    /// # Errors
    /// A folder that is there already or cannot be written.
    pub fn write_to(&self, folder: &Path) -> Result<(), PackageError> {
        std::fs::create_dir(folder).at("could not make", folder)?;
        disk::write_new(&folder.join(&self.manifest.file), &self.library, 0o755)?;
        disk::write_new(&folder.join(MANIFEST_FILE), &self.text, 0o644)?;
        disk::sync_dir(folder)
    }
}

pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Manifest, PackageError> {
    let text = std::str::from_utf8(bytes).map_err(|e| PackageError::NoPackage {
        path: path.to_owned(),
        why: format!("it is not UTF-8: {e}"),
    })?;
    Manifest::parse(text).map_err(|source| PackageError::Manifest {
        path: path.to_owned(),
        source,
    })
}

fn write(manifest: &Manifest) -> Vec<u8> {
    toml::to_string(manifest)
        .expect("a manifest can be written as TOML")
        .into_bytes()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
