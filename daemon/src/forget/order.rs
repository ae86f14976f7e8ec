//! What somebody asked to have forgotten, in clear: the only file that says it, and the last that goes.

use super::scope::Scope;
use crate::digest;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use wengu_store::{Hash, durable};

/// Version of [`Order`].
const SCHEMA: u32 = 1;

/// One order, `forget/orders/ID.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Version of this layout.
    pub schema: u32,
    /// Its id.
    pub id: String,
    /// When it was given.
    pub asked_ms: i64,
    /// Why; it is kept.
    pub reason: String,
    /// The versions that saw it go before others take their place.
    pub at_once: bool,
    /// What lies in the watched folders goes too.
    pub delete_source: bool,
    /// File records that go with all that they ever were.
    pub keys: BTreeSet<String>,
    /// Bytes that go, whoever holds them.
    pub contents: BTreeSet<Hash>,
    /// Cases that are refused from now on.
    pub cases: BTreeSet<String>,
    /// What it reaches; found once nothing trains, before anything is changed.
    pub scope: Option<Scope>,
    /// The object that has what is left to do, to be removed with the order.
    pub plan: Option<Hash>,
}

impl Order {
    /// A new one.
    pub fn new(asked_ms: i64, reason: &str) -> Result<Order> {
        let mut id = [0; 6];
        getrandom::fill(&mut id).map_err(|e| anyhow::anyhow!("the system gives no random numbers: {e}"))?;
        Ok(Order {
            schema: SCHEMA,
            id: digest::hex(&id),
            asked_ms,
            reason: reason.to_owned(),
            at_once: false,
            delete_source: false,
            keys: BTreeSet::new(),
            contents: BTreeSet::new(),
            cases: BTreeSet::new(),
            scope: None,
            plan: None,
        })
    }

    /// Writes it, durably.
    pub fn save(&self, orders: &Path) -> Result<()> {
        super::make_folder(orders)?;
        let path = path(orders, &self.id);
        durable::write_file(&path, &serde_json::to_vec_pretty(self)?).with_context(|| path.display().to_string())
    }

    /// The one with this id; none where it is done.
    pub fn load(orders: &Path, id: &str) -> Result<Option<Order>> {
        let path = path(orders, id);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).with_context(|| path.display().to_string()),
        };
        let order: Order = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
        ensure!(
            order.schema == SCHEMA,
            "{}: schema {} is not known; use the wengu that wrote it, or a newer one",
            path.display(),
            order.schema
        );
        Ok(Some(order))
    }

    /// All that are not done.
    pub fn all(orders: &Path) -> Result<Vec<Order>> {
        let entries = match std::fs::read_dir(orders) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e).with_context(|| orders.display().to_string()),
        };
        let mut all = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            if let Some(id) = name.to_str().and_then(|name| name.strip_suffix(".json")) {
                all.extend(Order::load(orders, id)?);
            }
        }
        all.sort_by_key(|order| order.asked_ms);
        Ok(all)
    }

    /// Removes it, durably.
    pub fn remove(orders: &Path, id: &str) -> Result<()> {
        match std::fs::remove_file(path(orders, id)) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
        if orders.exists() {
            // What an interrupted write of it has left.
            durable::remove_temporaries(orders)?;
            durable::fsync_dir(orders)?;
        }
        Ok(())
    }
}

fn path(orders: &Path, id: &str) -> PathBuf {
    orders.join(format!("{id}.json"))
}
