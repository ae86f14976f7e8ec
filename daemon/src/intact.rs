//! Whether a version's directory is what was adopted. One that is not is named and never served, and nothing is learned from it.

use crate::engine::Engine;
use crate::learn::adopt::verify_version;
use anyhow::{Context, Result, ensure};

/// Checks every file against the lineage, and the lineage, which nothing else vouches for, against the store.
pub fn check(engine: &Engine, domain: &str, id: &str) -> Result<()> {
    let dir = engine.layout.version(domain, id);
    let lineage = verify_version(&dir, engine.key())?;
    let version = engine.version(domain, id)?;
    let run = engine.run(domain, version.run)?;
    let manifest = engine.manifest(&run.manifest)?;
    let told = (&lineage.id, &lineage.domain, lineage.run, &lineage.parent);
    let known = (&version.id, &version.domain, version.run, &version.parent);
    ensure!(
        told == known && lineage.manifest == run.manifest && lineage.labels == manifest.labels,
        "{}: it says other things than the store",
        dir.join("lineage.json").display()
    );
    Ok(())
}

/// Takes the link away from a version in service that is damaged, and says so. True: it is intact.
pub fn serves(engine: &Engine, domain: &str, id: &str) -> Result<bool> {
    let key = format!("{domain}:version");
    let Err(why) = check(engine, domain, id) else {
        engine.live().degraded.remove(&key);
        return Ok(true);
    };
    let problem = format!(
        "version {id} is damaged and is not served any more: {why:#}; put its files back from a backup and restart, or go \
         back with `wengu rollback {domain}`"
    );
    tracing::error!(domain, version = id, problem, "version_damaged");
    engine.live().degraded.insert(key, problem);
    let link = engine.layout.current(domain);
    match std::fs::remove_file(&link) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).with_context(|| link.display().to_string()),
        _ => Ok(false),
    }
}
