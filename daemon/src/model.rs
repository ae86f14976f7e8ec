//! Base model folders, and the programs that belong to wengu.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wengu_protocol::job::BaseModel;

/// Files of a Hugging Face folder that decide what the model computes.
const FILES: [&str; 4] = [
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "1_Pooling/config.json",
];

/// The folder with the digests of its files, for a job.
pub fn describe(path: &Path) -> Result<BaseModel> {
    let mut sha256 = BTreeMap::new();
    for name in FILES {
        let file = path.join(name);
        match crate::digest::sha256_file(&file) {
            Ok(digest) => {
                sha256.insert(name.to_string(), digest);
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && name.starts_with("1_Pooling") => {}
            Err(e) => return Err(e).with_context(|| file.display().to_string()),
        }
    }
    Ok(BaseModel {
        path: path.to_path_buf(),
        sha256,
    })
}

/// A program of wengu's: beside this one, or on PATH.
pub fn sibling(name: &str) -> Result<PathBuf> {
    let exe = std::env::current_exe().context("finding this program's own path failed")?;
    let mut places: Vec<PathBuf> = exe.parent().map(|dir| dir.join(name)).into_iter().collect();
    if let Some(path) = std::env::var_os("PATH") {
        places.extend(std::env::split_paths(&path).map(|dir| dir.join(name)));
    }
    match places.into_iter().find(|p| p.is_file()) {
        Some(found) => Ok(found),
        None => bail!(
            "{name} is neither beside {} nor on PATH; install it there",
            exe.display()
        ),
    }
}
