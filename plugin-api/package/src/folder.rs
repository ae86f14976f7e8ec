//! The folder that plugins are installed in. Every change is one replacement of `plugins.lock`.

use crate::disk::{self, STAGING};
use crate::error::At;
use crate::lockfile::{Lock, LockedPackage, LockedPlugin};
use crate::package::TEXT_BYTES_MAX;
use crate::signature::{SIGNATURE_FILE, Verdict};
use crate::{Installed, Keys, MANIFEST_FILE, Package, PackageError};
use semver::Version;
use std::fs;
use std::path::{Path, PathBuf};
use wengu_failpoint::hit;

/// The folder, and the keys that are trusted.
#[derive(Debug, Clone)]
pub struct PluginFolder {
    dir: PathBuf,
    keys: Keys,
}

/// A plugin in a list.
#[derive(Debug)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Its version in use.
    pub version: String,
    /// False: an operator has disabled it.
    pub enabled: bool,
    /// The id of the key that signed the version in use; none: it was installed with `--allow-unsigned`.
    pub signed_by: Option<String>,
    /// Every installed version, in the order in which they were put to use.
    pub versions: Vec<String>,
    /// The version in use, or what is wrong with it. Its library is not read.
    pub current: Result<Installed, PackageError>,
}

/// A version that was put to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is in use now.
    pub installed: Installed,
    /// The version that was in use before, if it was another package.
    pub before: Option<String>,
}

impl PluginFolder {
    /// The plugins in `dir`, which need not exist, judged by `keys`.
    pub fn new(dir: PathBuf, keys: Keys) -> PluginFolder {
        PluginFolder { dir, keys }
    }

    /// Copies a package into the folder and puts it to use. The same package again repairs what was damaged.
    ///
    /// # Errors
    /// A package that no trusted key signed, unless `allow_unsigned`; with a signature that is false, always. Then
    /// nothing has changed.
    pub fn install(&self, package: &Package, allow_unsigned: bool) -> Result<Change, PackageError> {
        self.put(package, allow_unsigned, |_| Ok(()))
    }

    /// Installs a package if `allow` finds nothing against it in the lock, which nobody else changes meanwhile.
    fn put(
        &self,
        package: &Package,
        allow_unsigned: bool,
        allow: impl FnOnce(&Lock) -> Result<(), PackageError>,
    ) -> Result<Change, PackageError> {
        let signed_by = self.judge(package, allow_unsigned)?;
        let _guard = disk::lock(&self.dir)?;
        let mut lock = Lock::read(&self.dir)?;
        allow(&lock)?;
        self.sweep(&lock)?;
        let id = &package.manifest.id;
        let locked = LockedPackage {
            sha256: disk::sha256(&package.text),
            version: package.manifest.version.clone(),
            signed_by,
        };
        self.place(package, &locked)?;
        hit("install.placed");
        let before = lock.put(id, locked).map(|p| p.version);
        lock.write(&self.dir)?;
        hit("install.locked");
        let installed = self.open(self.locked(&lock, id)?)?;
        Ok(Change { installed, before })
    }

    /// Installs a package over an older version of the same plugin.
    ///
    /// # Errors
    /// As [`Self::install`], and where no older version is in use.
    pub fn upgrade(&self, package: &Package, allow_unsigned: bool) -> Result<Change, PackageError> {
        self.put(package, allow_unsigned, |lock| {
            let (id, offered) = (&package.manifest.id, &package.manifest.version);
            let current = &self.locked(lock, id)?.in_use().version;
            match (Version::parse(offered), Version::parse(current)) {
                (Ok(new), Ok(old)) if new > old => Ok(()),
                _ => Err(PackageError::NotNewer {
                    id: id.clone(),
                    current: current.clone(),
                    offered: offered.clone(),
                }),
            }
        })
    }

    /// Puts an installed version to use again: the one before the one in use, or the latest of `version`. A version
    /// that is damaged or no longer trusted is not put to use.
    ///
    /// # Errors
    /// No such version, or one that cannot be used; then nothing has changed.
    pub fn rollback(&self, id: &str, version: Option<&str>) -> Result<Change, PackageError> {
        let _guard = disk::lock(&self.dir)?;
        let mut lock = Lock::read(&self.dir)?;
        let plugin = self.locked(&lock, id)?;
        let Some(to) = plugin.back_to(version) else {
            return Err(PackageError::NoVersion {
                id: id.to_owned(),
                what: match version {
                    Some(version) => format!("other version {version}"),
                    None => "version before the one in use".into(),
                },
                installed: plugin.versions(),
            });
        };
        let before = Some(plugin.in_use().version.clone());
        let installed = self.open_package(id, to)?;
        installed.verified_library()?;
        if let Some(plugin) = lock.plugin_mut(id) {
            plugin.current.clone_from(&installed.package_sha256);
        }
        lock.write(&self.dir)?;
        Ok(Change { installed, before })
    }

    /// Allows or forbids the use of a plugin. Returns whether that changed anything.
    ///
    /// # Errors
    /// No such plugin, or a folder that cannot be written.
    pub fn set_enabled(&self, id: &str, enabled: bool) -> Result<bool, PackageError> {
        let _guard = disk::lock(&self.dir)?;
        let mut lock = Lock::read(&self.dir)?;
        self.locked(&lock, id)?;
        match lock.plugin_mut(id) {
            Some(plugin) if plugin.enabled != enabled => plugin.enabled = enabled,
            _ => return Ok(false),
        }
        lock.write(&self.dir)?;
        Ok(true)
    }

    /// Removes all versions of a plugin. A host that runs it goes on: it holds its own copy of the library.
    ///
    /// # Errors
    /// No such plugin, or a folder that cannot be written.
    pub fn remove(&self, id: &str) -> Result<(), PackageError> {
        let _guard = disk::lock(&self.dir)?;
        let mut lock = Lock::read(&self.dir)?;
        self.locked(&lock, id)?;
        lock.plugins.retain(|p| p.id != id);
        lock.write(&self.dir)?;
        self.sweep(&lock)
    }

    /// All plugins, by id.
    ///
    /// # Errors
    /// A lock that cannot be read. A folder that does not exist holds no plugins.
    pub fn list(&self) -> Result<Vec<Listed>, PackageError> {
        let lock = Lock::read(&self.dir)?;
        let listed = |p: &LockedPlugin| Listed {
            id: p.id.clone(),
            version: p.in_use().version.clone(),
            enabled: p.enabled,
            signed_by: p.in_use().signed_by.clone(),
            versions: p.versions(),
            current: self.open(p),
        };
        Ok(lock.plugins.iter().map(listed).collect())
    }

    /// The plugins whose version in use was installed with `--allow-unsigned`, as `ID VERSION`. Reads the lock alone.
    ///
    /// # Errors
    /// A lock that cannot be read.
    pub fn unsigned(&self) -> Result<Vec<String>, PackageError> {
        let lock = Lock::read(&self.dir)?;
        let unsigned = lock.plugins.iter().filter(|p| p.in_use().signed_by.is_none());
        Ok(unsigned.map(|p| format!("{} {}", p.id, p.in_use().version)).collect())
    }

    /// The version in use, whether the plugin is enabled or not. Its signature is judged by today's keys.
    ///
    /// # Errors
    /// No such plugin, or one that is not what was installed or not trusted any more.
    pub fn find(&self, id: &str) -> Result<Installed, PackageError> {
        let lock = Lock::read(&self.dir)?;
        self.open(self.locked(&lock, id)?)
    }

    /// The version to load.
    ///
    /// # Errors
    /// As [`Self::find`], and a plugin that is disabled.
    pub fn usable(&self, id: &str) -> Result<Installed, PackageError> {
        let lock = Lock::read(&self.dir)?;
        let plugin = self.locked(&lock, id)?;
        match plugin.enabled {
            true => self.open(plugin),
            false => Err(PackageError::Disabled(id.to_owned())),
        }
    }

    fn judge(&self, package: &Package, allow_unsigned: bool) -> Result<Option<String>, PackageError> {
        let (id, version) = (package.manifest.id.clone(), package.manifest.version.clone());
        let Some(signature) = &package.signature else {
            return match allow_unsigned {
                true => Ok(None),
                false => Err(PackageError::Unsigned { id, version }),
            };
        };
        match self.keys.judge(&package.text, signature) {
            Verdict::By(key) => Ok(Some(key)),
            Verdict::Unknown(_) if allow_unsigned => Ok(None),
            Verdict::Unknown(key) => Err(PackageError::UnknownKey { id, version, key }),
            Verdict::Bad(why) => Err(PackageError::BadSignature {
                path: package.origin.clone(),
                signature: package.origin.with_file_name(SIGNATURE_FILE),
                why,
            }),
        }
    }

    /// Writes the package's folder, unless it is there and whole.
    fn place(&self, package: &Package, locked: &LockedPackage) -> Result<(), PackageError> {
        let id_dir = self.dir.join(&package.manifest.id);
        disk::make_dir(&id_dir)?;
        disk::sync_dir(&self.dir)?;
        let dir = id_dir.join(&locked.sha256);
        let whole = || self.open_package(&package.manifest.id, locked)?.verified_library();
        if whole().is_ok() {
            return Ok(());
        }
        let staging = self.dir.join(format!("{STAGING}{}", locked.sha256));
        disk::make_dir(&staging)?;
        disk::write_new(&staging.join(&package.manifest.file), &package.library, 0o500)?;
        disk::write_new(&staging.join(MANIFEST_FILE), &package.text, 0o400)?;
        if let Some(signature) = &package.signature {
            disk::write_new(&staging.join(SIGNATURE_FILE), signature.as_bytes(), 0o400)?;
        }
        disk::sync_dir(&staging)?;
        hit("install.staged");
        if dir.exists() {
            // Damaged: out of the way under a name that the next sweep removes.
            let old = self.dir.join(format!("{STAGING}old-{}", locked.sha256));
            fs::rename(&dir, &old).at("could not move away", &dir)?;
        }
        fs::rename(&staging, &dir).at("could not move into place", &dir)?;
        disk::sync_dir(&id_dir)
    }

    fn locked<'a>(&self, lock: &'a Lock, id: &str) -> Result<&'a LockedPlugin, PackageError> {
        lock.plugin(id).ok_or_else(|| PackageError::NotInstalled {
            id: id.to_owned(),
            dir: self.dir.clone(),
            installed: lock.plugins.iter().map(|p| p.id.clone()).collect(),
        })
    }

    fn open(&self, plugin: &LockedPlugin) -> Result<Installed, PackageError> {
        self.open_package(&plugin.id, plugin.in_use())
    }

    fn open_package(&self, id: &str, locked: &LockedPackage) -> Result<Installed, PackageError> {
        let dir = self.dir.join(id).join(&locked.sha256);
        let (mut installed, text) = Installed::open_with_text(&dir, &locked.sha256)?;
        if locked.signed_by.is_some() {
            let (path, signature) = (dir.join(MANIFEST_FILE), dir.join(SIGNATURE_FILE));
            let signed = disk::read(&signature, TEXT_BYTES_MAX)?;
            match self.keys.judge(&text, &String::from_utf8_lossy(&signed)) {
                Verdict::By(key) => installed.signed_by = Some(key),
                Verdict::Unknown(key) => {
                    return Err(PackageError::UnknownKey {
                        id: id.to_owned(),
                        version: locked.version.clone(),
                        key,
                    });
                }
                Verdict::Bad(why) => return Err(PackageError::BadSignature { path, signature, why }),
            }
        }
        Ok(installed)
    }

    /// Removes what a crash left: staged work, and folders that the lock does not name.
    fn sweep(&self, lock: &Lock) -> Result<(), PackageError> {
        for path in entries(&self.dir)? {
            let name = file_name(&path);
            match lock.plugin(&name) {
                _ if name.starts_with(STAGING) => disk::remove(&path)?,
                _ if name.starts_with('.') || !path.is_dir() => {}
                None => disk::remove(&path)?,
                Some(plugin) => {
                    for version in entries(&path)? {
                        if plugin.package(&file_name(&version)).is_none() {
                            disk::remove(&version)?;
                        }
                    }
                }
            }
        }
        disk::sync_dir(&self.dir)
    }
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, PackageError> {
    let entries = fs::read_dir(dir).at("could not list", dir)?;
    entries.map(|e| e.map(|e| e.path()).at("could not list", dir)).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
