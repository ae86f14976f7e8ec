//! Forgetting on purpose: a file, or all files of a case, is taken out of everything that this daemon wrote, what had
//! learned it is trained again without it, and a signed receipt says so.
//!
//! ```text
//! forget/tombstones.json       marks of what was forgotten: it is refused when it comes again
//! forget/orders/ID.json        what an order is about, in clear; removed when it is done
//! forget/receipts/ID.json      what was done, with ID.json.minisig
//! forget/signing.key, .pub     the key of the receipts, made with the first
//! ```
//!
//! Tombstones and orders carry a checksum. One that is damaged is named, and nothing is begun or erased by it.
//!
//! The folder is beside the store, so a store that is restored from a backup meets the marks of what was forgotten since,
//! and loses it again ([`recover`]). The work is the runner's, so nothing trains meanwhile; each step can be repeated, and
//! [`record::ForgetRecord`] says which is next.

mod asking;
mod erase;
mod history;
mod order;
pub mod receipt;
pub mod record;
mod redo;
mod scope;
mod steps;
mod target;
mod tombstones;
mod versions;

pub use asking::{again, ask, recover};
pub use erase::hash_of;
pub use order::Order;
pub use steps::work;
pub use target::TargetFile;
pub use tombstones::Tombstones;

use crate::checked::Damaged;
use crate::engine::Engine;
use anyhow::{Context, Result, ensure};
use record::ForgetRecord;
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use wengu_store::Hash;
use wengu_store::records::Seen;

const ORDERS: &str = "orders";

/// What in a `forget/` folder is not as it was written, for people.
///
/// # Errors
/// It cannot be read.
pub fn problems(folder: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let mut damaged = |error: anyhow::Error| {
        let told = error.downcast::<Damaged>()?;
        problems.push(told.to_string());
        Ok::<(), anyhow::Error>(())
    };
    Tombstones::load(folder).map(drop).or_else(&mut damaged)?;
    Order::all(&folder.join(ORDERS)).map(drop).or_else(&mut damaged)?;
    problems.extend(receipt::problems(folder)?);
    Ok(problems)
}

/// What the daemon knows of forgetting while it runs.
pub struct Forgetting {
    folder: PathBuf,
    tombstones: Mutex<Tombstones>,
    /// Files that lie in a watched folder and are refused. Their names are nowhere else: writing them down would undo
    /// the forgetting.
    refused: Mutex<BTreeMap<PathBuf, Refused>>,
    /// Somebody has asked, and the runner has not seen it yet: whatever it trains waits.
    asked: AtomicBool,
    /// One order is taken at a time.
    asking: Mutex<()>,
}

/// A file that is refused.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Its domain.
    pub domain: String,
    /// Why, for people.
    pub why: String,
    /// The file as it was: the same again is refused without being read.
    pub seen: Option<Seen>,
}

impl Forgetting {
    /// Reads a `forget/` folder, or what will be one.
    pub fn open(folder: PathBuf) -> Result<Forgetting> {
        Ok(Forgetting {
            tombstones: Mutex::new(Tombstones::load(&folder)?),
            folder,
            refused: Mutex::default(),
            asked: AtomicBool::new(false),
            asking: Mutex::default(),
        })
    }

    /// Where everything is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn orders(&self) -> PathBuf {
        self.folder.join(ORDERS)
    }

    fn tombstones(&self) -> MutexGuard<'_, Tombstones> {
        self.tombstones.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Refused>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything was ever forgotten.
    pub fn is_empty(&self) -> bool {
        self.tombstones().all().is_empty()
    }

    /// Why these bytes are refused, if they are.
    pub fn refuses_content(&self, content: &Hash) -> Option<String> {
        let tombstones = self.tombstones();
        let id = tombstones.of_content(content)?;
        Some(format!(
            "forgotten: these bytes were forgotten on purpose ({id}) and are not taken again"
        ))
    }

    /// Why records of this case are refused, if they are.
    pub fn refuses_case(&self, case: &str) -> Option<String> {
        let tombstones = self.tombstones();
        let id = tombstones.of_case(case)?;
        Some(format!(
            "forgotten: it holds records of a case that was forgotten on purpose ({id}); take them out and deliver it again"
        ))
    }

    /// Remembers, until the daemon stops, that a file is refused.
    pub fn refuse(&self, domain: &str, path: &Path, why: String, seen: Option<Seen>) {
        let domain = domain.to_owned();
        tracing::warn!(domain, "forgotten_file_refused");
        self.refused().insert(path.to_path_buf(), Refused { domain, why, seen });
    }

    /// Why this very file was refused already.
    pub fn has_refused(&self, path: &Path, seen: &Seen) -> Option<String> {
        let refused = self.refused();
        let known = refused.get(path).filter(|refused| refused.seen.as_ref() == Some(seen));
        known.map(|refused| refused.why.clone())
    }

    /// The files that are refused and still there.
    pub fn all_refused(&self) -> Vec<(PathBuf, Refused)> {
        let mut refused = self.refused();
        refused.retain(|path, _| path.exists());
        refused
            .iter()
            .map(|(path, refused)| (path.clone(), refused.clone()))
            .collect()
    }

    /// Whether the runner is wanted for a forgetting.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    fn ask_runner(&self) {
        self.asked.store(true, Ordering::Release);
    }
}

/// Makes a folder for the daemon's user alone.
fn make_folder(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| folder.display().to_string())
}

/// Whether a domain is to be left alone, since something is being taken out of it.
pub fn holds(engine: &Engine, domain: &str) -> Result<bool> {
    let all = engine.store.scan::<ForgetRecord>("")?;
    Ok(all.iter().any(|(_, record)| record.holds(domain)))
}

/// Refuses what would change which version of a domain serves while something is being taken out of it.
pub fn require_free(engine: &Engine, domain: &str) -> Result<()> {
    ensure!(
        !holds(engine, domain)?,
        "something is being forgotten in domain {domain}; wait until that is done (`wengu forget list`) and try again"
    );
    Ok(())
}

/// All forgettings, oldest first.
pub fn list(engine: &Engine) -> Result<Vec<ForgetRecord>> {
    let all = engine.store.scan::<ForgetRecord>("")?;
    let mut all: Vec<ForgetRecord> = all.into_iter().map(|(_, record)| record).collect();
    all.sort_by_key(|record| record.asked_ms);
    Ok(all)
}
