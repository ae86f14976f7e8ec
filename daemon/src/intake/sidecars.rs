//! What lies beside a case file and belongs to it: labels, names of classes, the description of a data set.

use super::take::file_key;
use crate::clock::now_ms;
use crate::engine::Engine;
use anyhow::Result;
use std::io::Read;
use std::path::{Path, PathBuf};
use wengu_config::Domain;
use wengu_store::Batch;
use wengu_store::records::{FileRecord, FileState, Sidecar};

/// A sidecar larger than this is no sidecar.
const MAX_SIDECAR_BYTES: u64 = 1 << 20;
/// Enough to see what a README.md is about.
const BEGINNING_BYTES: u64 = 64 << 10;

/// Those of a case file, as they are now.
pub(super) fn read_sidecars(engine: &Engine, domain: &Domain, path: &Path) -> Result<Vec<Sidecar>> {
    let Some(name) = path.file_name().map(|n| n.to_string_lossy().into_owned()) else {
        return Ok(Vec::new());
    };
    let mut sidecars = Vec::new();
    let beside = wengu_intake::sidecar_names(&name).map(|name| (path.with_file_name(&name), name));
    let candidates = beside.into_iter().chain(class_names_of(domain, path));
    for (candidate_path, candidate) in candidates {
        let Ok((file, snapshot)) = wengu_watch::open_regular(&candidate_path) else {
            continue;
        };
        if snapshot.size <= MAX_SIDECAR_BYTES {
            let (content, _) = engine.store.objects().put_reader(&file, MAX_SIDECAR_BYTES)?;
            sidecars.push(Sidecar {
                name: candidate,
                content,
            });
        }
    }
    Ok(sidecars)
}

/// Where the names of a table's classes would be: in its folder or the one around it, as far as it is watched.
fn class_names_of(domain: &Domain, path: &Path) -> Option<(PathBuf, String)> {
    use wengu_intake::Format;
    let is_table = |format| {
        matches!(
            format,
            Format::Json | Format::JsonLines | Format::Csv | Format::Tsv | Format::Parquet
        )
    };
    Format::of(path.to_str()?).filter(|&format| is_table(format))?;
    let is_watched = |folder: &&Path| domain.watch.iter().any(|root| folder.starts_with(root));
    let folders = path.ancestors().skip(1).take(2).take_while(is_watched);
    let mut places = folders.map(|folder| folder.join(wengu_intake::CLASS_NAMES_FILE));
    let found = places.find(|place| place.is_file())?;
    Some((found, wengu_intake::CLASS_NAMES_FILE.to_owned()))
}

/// How a file begins; nothing where it cannot be read.
pub fn beginning(path: &Path) -> Vec<u8> {
    let mut beginning = Vec::new();
    if let Ok((file, _)) = wengu_watch::open_regular(path) {
        let _ = file.take(BEGINNING_BYTES).read_to_end(&mut beginning);
    }
    beginning
}

/// The description of a data set came, or changed. Returns the keys of the files that have to be read again.
pub fn description_arrived(engine: &Engine, domain: &Domain, description: &Path) -> Result<Vec<String>> {
    let Some(folder) = description.parent() else {
        return Ok(Vec::new());
    };
    let mut keys = Vec::new();
    let mut beside = Vec::new();
    engine.store.each(&format!("{}/", domain.name), |_, file: FileRecord| {
        let path = file.location();
        if path.ancestors().skip(1).take(2).any(|around| around == folder) {
            beside.push(path);
        }
    })?;
    for path in beside {
        keys.extend(sidecar_arrived(engine, domain, &path)?);
    }
    Ok(keys)
}

/// A sidecar came after its case file, or changed. Returns the case file's key if it has to be read again.
pub fn sidecar_arrived(engine: &Engine, domain: &Domain, main: &Path) -> Result<Option<String>> {
    let sidecars = read_sidecars(engine, domain, main)?;
    let _lock = engine.lock(&domain.name);
    let key = file_key(&domain.name, main);
    let Some(mut record) = engine.store.get::<FileRecord>(&key)? else {
        return Ok(None);
    };
    if record.sidecars == sidecars || record.content.is_none() {
        return Ok(None);
    }
    record.sidecars = sidecars;
    record.revision += 1;
    record.state = FileState::Ingested;
    record.updated_ms = now_ms();
    engine
        .store
        .commit(Batch::new("file.sidecar").at(record.updated_ms).put(&key, &record)?)?;
    Ok(Some(key))
}
