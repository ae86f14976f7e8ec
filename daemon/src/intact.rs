//! Whether a version's directory is what was adopted. One that is not is named and never served, and nothing is learned from it.

use crate::engine::Engine;
use crate::learn::adopt::verify_version;
use anyhow::{Result, ensure};

/// Checks every file against the lineage, and the lineage, which nothing else vouches for, against the store.
pub fn check(engine: &Engine, domain: &str, id: &str) -> Result<()> {
    let dir = engine.layout.version(domain, id);
    let lineage = verify_version(&dir, engine.key())?;
    let version = engine.version(domain, id)?;
    let run = engine.run(domain, version.run)?;
    let manifest = engine.manifest(&run.manifest)?;
    let told = (&lineage.id, &lineage.domain, lineage.run, &lineage.parent);
    let known = (&version.id, &version.domain, version.run, &version.parent);
    // A number reads back as the very one that was written.
    let answers = (&lineage.labels, lineage.threshold);
    ensure!(
        told == known && lineage.manifest == run.manifest && answers == (&manifest.labels, manifest.threshold),
        "{}: it says other things than the store",
        dir.join("lineage.json").display()
    );
    Ok(())
}

/// What a damaged version in service is kept as, among what is degraded.
pub fn problem(domain: &str) -> String {
    format!("{domain}:version")
}

/// Takes the link away from a version in service that is damaged, and says so. True: it is intact.
pub fn serves(engine: &Engine, domain: &str, id: &str) -> Result<bool> {
    let key = problem(domain);
    let Err(why) = check(engine, domain, id) else {
        engine.live().degraded.remove(&key);
        return Ok(true);
    };
    let why = format!(
        "version {id} is damaged and is not served any more: {why:#}; put its files back from a backup and restart, or go \
         back with `wengu rollback {domain}`"
    );
    tracing::error!(domain, version = id, problem = why, "version_damaged");
    engine.live().degraded.insert(key, why);
    engine.unpublish(domain).map(|()| false)
}
