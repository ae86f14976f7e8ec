//! The journal: numbered segment files of checksummed, chained frames. `FORMAT.md` has the bytes.

pub mod frame;
pub mod io;
pub mod scan;
#[cfg(test)]
mod tests;
pub mod write;

use crate::{StoreError, durable};
use std::fs;
use std::path::{Path, PathBuf};

/// Present when an fsync of the last segment failed. The kernel then holds pages as clean that never reached the
/// disk; this file lives in the same page cache, and so exactly as long as that lie can.
pub const SUSPECT: &str = "SUSPECT";

/// File name of a segment.
pub fn segment_name(number: u32) -> String {
    format!("{number:08}.wj")
}

/// The segments of a journal, in order: 1, 2, 3, with none missing.
pub fn segment_paths(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| StoreError::io("list", dir, e))? {
        let name = entry.map_err(|e| StoreError::io("list", dir, e))?.file_name();
        if name == SUSPECT || durable::is_temporary(&name) {
            continue;
        }
        let known = name
            .to_str()
            .filter(|n| n.len() == 11 && n.ends_with(".wj") && n[..8].parse::<u32>().is_ok());
        match known {
            Some(name) => names.push(name.to_string()),
            None => {
                return Err(StoreError::corrupt(
                    dir.join(name),
                    0,
                    "this file does not belong in a journal",
                ));
            }
        }
    }
    names.sort();
    for (name, number) in names.iter().zip(1..) {
        if *name != segment_name(number) {
            let missing = dir.join(segment_name(number));
            return Err(StoreError::corrupt(
                missing,
                0,
                format!("this segment is missing, {name} is there"),
            ));
        }
    }
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}
