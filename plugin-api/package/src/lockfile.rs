//! `plugins.lock`: which version of which plugin is in use, whose bytes they are, and what was in use before.

use crate::PackageError;
use crate::disk;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file's name in the plugins folder.
pub const LOCK_FILE: &str = "plugins.lock";
const SCHEMA: u32 = 2;
const LOCK_BYTES_MAX: u64 = 16 << 20;
/// What the file begins with; then comes the digest of all that follows the line.
const HEADER: &str =
    "# Written by `wengu plugin`: a change by hand is refused. Every load is checked against it.\n# sha256 ";
/// What it began with before it had a digest. Such a file is read, and is replaced with the next change.
const UNSEALED_HEADER: &str = "# Written by `wengu plugin`. Every load is checked against it.\n";
const UNSEALED_SCHEMA: u32 = 1;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lock {
    schema: u32,
    #[serde(default, rename = "plugin", skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<LockedPlugin>,
}

/// One plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockedPlugin {
    pub id: String,
    /// False: an operator has disabled it.
    pub enabled: bool,
    /// Digest of the package in use; one of `packages`.
    pub current: String,
    /// In the order in which they were put to use, without repeats; the current one may stand anywhere.
    #[serde(rename = "package")]
    pub packages: Vec<LockedPackage>,
}

/// One installed version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockedPackage {
    /// SHA-256 of the manifest, which holds that of the library: the package's digest and its folder's name.
    pub sha256: String,
    pub version: String,
    /// The id of the key that signed it; none: installed unsigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}

impl Default for Lock {
    fn default() -> Self {
        Lock {
            schema: SCHEMA,
            plugins: Vec::new(),
        }
    }
}

impl Lock {
    /// Reads the file; one that is not there says that nothing is installed.
    pub fn read(plugins_dir: &Path) -> Result<Lock, PackageError> {
        let path = plugins_dir.join(LOCK_FILE);
        let refuse = |why: String| PackageError::Lock {
            path: path.clone(),
            why,
        };
        let bytes = match disk::read(&path, LOCK_BYTES_MAX) {
            Err(PackageError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Lock::default());
            }
            other => other?,
        };
        let text = String::from_utf8(bytes).map_err(|e| refuse(e.to_string()))?;
        let (body, schema) = unseal(&text).map_err(|why| refuse(why.into()))?;
        let mut lock: Lock = toml::from_str(body).map_err(|e| refuse(e.to_string()))?;
        if lock.schema != schema {
            return Err(refuse(format!(
                "its schema is {}, this version of wengu knows {schema}",
                lock.schema
            )));
        }
        lock.schema = SCHEMA;
        for plugin in &lock.plugins {
            if plugin.package(&plugin.current).is_none() {
                return Err(refuse(format!(
                    "the current package of {} is not listed in it",
                    plugin.id
                )));
            }
        }
        Ok(lock)
    }

    /// Replaces the file.
    pub fn write(&self, plugins_dir: &Path) -> Result<(), PackageError> {
        let text = toml::to_string(self).expect("a lock can be written as TOML");
        let digest = disk::sha256(text.as_bytes());
        disk::replace(plugins_dir, LOCK_FILE, format!("{HEADER}{digest}\n{text}").as_bytes())
    }

    pub fn plugin(&self, id: &str) -> Option<&LockedPlugin> {
        self.plugins.iter().find(|p| p.id == id)
    }

    pub fn plugin_mut(&mut self, id: &str) -> Option<&mut LockedPlugin> {
        self.plugins.iter_mut().find(|p| p.id == id)
    }

    /// Puts a package to use. Returns the version that was in use before, if it was another.
    pub fn put(&mut self, id: &str, package: LockedPackage) -> Option<LockedPackage> {
        let Some(plugin) = self.plugin_mut(id) else {
            self.plugins.push(LockedPlugin {
                id: id.to_owned(),
                enabled: true,
                current: package.sha256.clone(),
                packages: vec![package],
            });
            self.plugins.sort_by(|a, b| a.id.cmp(&b.id));
            return None;
        };
        let before = plugin.in_use().clone();
        plugin.current = package.sha256.clone();
        if before.sha256 == package.sha256 {
            // Whoever vouches for it may have changed.
            plugin.packages.retain(|p| p.sha256 != package.sha256);
            plugin.packages.push(package);
            return None;
        }
        // What stands behind the package in use was rolled back: the new one follows the one in use.
        plugin.packages.retain(|p| p.sha256 != package.sha256);
        let at = 1 + plugin
            .packages
            .iter()
            .position(|p| p.sha256 == before.sha256)
            .expect("checked when read");
        plugin.packages.insert(at, package);
        Some(before)
    }
}

impl LockedPlugin {
    pub fn package(&self, sha256: &str) -> Option<&LockedPackage> {
        self.packages.iter().find(|p| p.sha256 == sha256)
    }

    pub fn in_use(&self) -> &LockedPackage {
        self.package(&self.current).expect("checked when read")
    }

    pub fn versions(&self) -> Vec<String> {
        self.packages.iter().map(|p| p.version.clone()).collect()
    }

    /// What to go back to: the package that was in use before the one in use, or the latest one of `version`.
    pub fn back_to(&self, version: Option<&str>) -> Option<&LockedPackage> {
        let current = self.packages.iter().position(|p| p.sha256 == self.current)?;
        match version {
            None => current.checked_sub(1).map(|before| &self.packages[before]),
            Some(version) => {
                let others = self.packages.iter().filter(|p| p.sha256 != self.current);
                others.rev().find(|p| p.version == version)
            }
        }
    }
}

/// What the file says, once it is known to be what was written, with the schema that it must have. Every byte is held
/// against something: the header against itself, all that follows against the digest.
fn unseal(text: &str) -> Result<(&str, u32), &'static str> {
    if text.starts_with(UNSEALED_HEADER) {
        return Ok((text, UNSEALED_SCHEMA));
    }
    let sealed = text
        .strip_prefix(HEADER)
        .ok_or("it does not begin as what wengu writes")?;
    let (digest, body) = sealed.split_once('\n').ok_or("it ends within its checksum")?;
    match disk::sha256(body.as_bytes()) == digest {
        true => Ok((body, SCHEMA)),
        false => Err("its checksum does not match: it was damaged, cut short or changed by hand"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(version: &str) -> LockedPackage {
        LockedPackage {
            sha256: format!("digest of {version}"),
            version: version.into(),
            signed_by: None,
        }
    }

    #[test]
    fn going_back_and_forth_keeps_the_order_of_use() {
        let mut lock = Lock::default();
        for version in ["1", "2", "3"] {
            lock.put("a.b", package(version));
        }
        let go_back = |lock: &mut Lock, version: Option<&str>| {
            let plugin = lock.plugin_mut("a.b").unwrap();
            let to = plugin.back_to(version).map(|p| p.sha256.clone());
            to.map(|to| plugin.current = to).is_some()
        };
        assert!(go_back(&mut lock, None) && go_back(&mut lock, None));
        assert_eq!(lock.plugin("a.b").unwrap().in_use().version, "1");
        assert!(!go_back(&mut lock, None), "nothing was in use before");
        assert!(go_back(&mut lock, Some("3")), "also forward, by name");
        assert!(go_back(&mut lock, Some("1")));
        assert_eq!(lock.put("a.b", package("4")).unwrap().version, "1");
        assert!(go_back(&mut lock, None));
        assert_eq!(
            lock.plugin("a.b").unwrap().in_use().version,
            "1",
            "4 was put to use after 1"
        );
        assert_eq!(lock.put("a.b", package("1")), None);
        assert_eq!(lock.plugin("a.b").unwrap().versions().len(), 4);
    }

    #[test]
    fn a_lock_survives_writing_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Lock::read(dir.path()).unwrap(), Lock::default());
        let mut lock = Lock::default();
        lock.put("z.z", package("1"));
        lock.put("a.b", package("1"));
        lock.write(dir.path()).unwrap();
        assert_eq!(Lock::read(dir.path()).unwrap(), lock);
        assert_eq!(lock.plugins[0].id, "a.b");
        let path = dir.path().join(LOCK_FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        let body = text.splitn(3, '\n').last().unwrap();
        for (from, to, says) in [
            ("schema = 2", "schema = 3", "its schema is 3"),
            ("digest of 1", "\"", "cannot be read"),
            ("current = \"digest of 1\"", "current = \"x\"", "not listed"),
        ] {
            let body = body.replacen(from, to, 1);
            let digest = disk::sha256(body.as_bytes());
            std::fs::write(&path, format!("{HEADER}{digest}\n{body}")).unwrap();
            let error = Lock::read(dir.path()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_lock_from_before_the_digest_is_read_and_gets_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOCK_FILE);
        let digest = "0".repeat(64);
        let package = format!("[[plugin.package]]\nsha256 = \"{digest}\"\nversion = \"1\"\n");
        let plugin = format!("[[plugin]]\nid = \"a.b\"\nenabled = true\ncurrent = \"{digest}\"\n\n{package}");
        let body = format!("schema = 1\n\n{plugin}");
        std::fs::write(&path, format!("{UNSEALED_HEADER}{body}")).unwrap();
        let lock = Lock::read(dir.path()).unwrap();
        assert_eq!(lock.plugin("a.b").unwrap().in_use().version, "1");
        lock.write(dir.path()).unwrap();
        assert_eq!(Lock::read(dir.path()).unwrap(), lock);
        // Neither layout passes for the other.
        let sealed = std::fs::read_to_string(&path).unwrap();
        let body = sealed.splitn(3, '\n').last().unwrap();
        std::fs::write(&path, format!("{UNSEALED_HEADER}{body}")).unwrap();
        assert!(Lock::read(dir.path()).is_err());
    }
}
