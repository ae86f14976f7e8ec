//! What is remembered of each path: little, as there may be a million of them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ops::Bound;
use std::path::{Path, PathBuf};

/// Values by path. A folder's path is kept once for all that lies in it.
#[derive(Debug)]
pub(crate) struct Known<V> {
    folders: BTreeMap<PathBuf, BTreeMap<Box<OsStr>, V>>,
}

impl<V> Default for Known<V> {
    fn default() -> Self {
        Self {
            folders: BTreeMap::new(),
        }
    }
}

impl<V> Known<V> {
    pub fn get(&self, path: &Path) -> Option<&V> {
        let (folder, name) = parts(path);
        self.folders.get(folder)?.get(name)
    }

    pub fn insert(&mut self, path: &Path, value: V) {
        let (folder, name) = parts(path);
        let of_folder = match self.folders.get_mut(folder) {
            Some(of_folder) => of_folder,
            None => self.folders.entry(folder.to_owned()).or_default(),
        };
        match of_folder.get_mut(name) {
            Some(old) => *old = value,
            None => {
                of_folder.insert(name.into(), value);
            }
        }
    }

    pub fn remove(&mut self, path: &Path) {
        let (folder, name) = parts(path);
        let Some(of_folder) = self.folders.get_mut(folder) else {
            return;
        };
        of_folder.remove(name);
        if of_folder.is_empty() {
            self.folders.remove(folder);
        }
    }

    /// Names of what lies right in `folder`.
    pub fn names_in(&self, folder: &Path) -> impl Iterator<Item = &OsStr> {
        self.folders
            .get(folder)
            .into_iter()
            .flat_map(|names| names.keys())
            .map(|name| &**name)
    }

    /// `folder` and all folders below it in which something lies.
    pub fn folders_under<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = &'a Path> {
        // Paths are ordered by component, so that all of a folder's are neighbours.
        self.folders
            .range::<Path, _>((Bound::Included(folder), Bound::Unbounded))
            .map(|(path, _)| path.as_path())
            .take_while(move |path| path.starts_with(folder))
    }

    /// All paths that are `path` or lie below it.
    pub fn under<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = PathBuf> + 'a {
        let itself = self.get(path).map(|_| path.to_owned());
        let below = self
            .folders_under(path)
            .flat_map(|folder| self.names_in(folder).map(|name| folder.join(name)));
        itself.into_iter().chain(below)
    }
}

/// Only `/` and `..` have no name; neither is ever a file.
fn parts(path: &Path) -> (&Path, &OsStr) {
    let folder = path.parent().unwrap_or(Path::new(""));
    (folder, path.file_name().unwrap_or_default())
}
