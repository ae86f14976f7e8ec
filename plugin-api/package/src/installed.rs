use crate::disk;
use crate::package::{LIBRARY_BYTES_MAX, TEXT_BYTES_MAX, parse};
use crate::{MANIFEST_FILE, Manifest, PackageError};
use std::path::{Path, PathBuf};

/// A plugin as it is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The folder of this version.
    pub dir: PathBuf,
    /// Its manifest, with `sha256`.
    pub manifest: Manifest,
    /// SHA-256 of the manifest, and through it of the library: the digest of the package.
    pub package_sha256: String,
    /// The id of the trusted key that signed it; none: installed with `--allow-unsigned`.
    pub signed_by: Option<String>,
}

impl Installed {
    /// Opens the folder of an installed version, whose manifest must have the digest `package_sha256`. Who signed it is
    /// not judged here: that is what the digest was made for.
    ///
    /// # Errors
    /// A manifest that is missing, another, wrong or without sha256.
    pub fn open(dir: &Path, package_sha256: &str) -> Result<Installed, PackageError> {
        Installed::open_with_text(dir, package_sha256).map(|(installed, _)| installed)
    }

    /// The same, with the bytes of the manifest that was read: a signature is judged over these and no others.
    pub(crate) fn open_with_text(dir: &Path, package_sha256: &str) -> Result<(Installed, Vec<u8>), PackageError> {
        let path = dir.join(MANIFEST_FILE);
        let text = disk::read(&path, TEXT_BYTES_MAX)?;
        disk::verify(&path, &text, package_sha256, "plugins.lock")?;
        let manifest = parse(&path, &text)?;
        if manifest.sha256.is_none() {
            return Err(PackageError::NoDigest(path));
        }
        let installed = Installed {
            dir: dir.to_owned(),
            manifest,
            package_sha256: package_sha256.to_owned(),
            signed_by: None,
        };
        Ok((installed, text))
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
        let bytes = disk::read(&path, LIBRARY_BYTES_MAX)?;
        let expected = self.manifest.sha256.as_ref();
        let expected = expected.ok_or_else(|| PackageError::NoDigest(self.dir.clone()))?;
        disk::verify(&path, &bytes, expected, "its manifest")?;
        Ok(bytes)
    }
}
