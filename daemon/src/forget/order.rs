//! What somebody asked to have forgotten, in clear: the only file that says it, and the last that goes. It says what is
//! erased, so it carries a checksum ([`checked`]), and nothing is done by one that is damaged.

use super::scope::Scope;
use crate::{checked, digest};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use wengu_store::{Hash, durable};

/// Version of [`Order`]; 1 had no checksum.
const SCHEMA: u32 = 2;
/// What to do about one that is damaged.
const REMEDY: &str = "nothing is erased by it. Put it back from a backup of its folder; where there is none, move it \
                      and the store aside and bring the store back as it was before the order (`wengu store restore`): \
                      what the tombstones mark is then forgotten again";

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

    /// Whether it is about the same as another.
    pub fn is_as(&self, other: &Order) -> bool {
        let about = |order: &Order| (order.delete_source, order.at_once);
        about(self) == about(other)
            && (&self.keys, &self.contents, &self.cases) == (&other.keys, &other.contents, &other.cases)
    }

    /// Writes it, durably.
    pub fn save(&self, orders: &Path) -> Result<()> {
        super::make_folder(orders)?;
        checked::write(&path(orders, &self.id), self)
    }

    /// The one with this id; none where it is done.
    pub fn load(orders: &Path, id: &str) -> Result<Option<Order>> {
        let order: Option<Order> = checked::read(&path(orders, id), SCHEMA, REMEDY)?;
        // One from before is written as those of today are.
        Ok(order.map(|order| Order {
            schema: SCHEMA,
            ..order
        }))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        let mut order = Order::new(5, "consent withdrawn").unwrap();
        order.keys.insert("contracts/0a".into());
        order.contents.insert(Hash::of(b"the patient"));
        order.cases.insert("case:17".into());
        order.scope = Some(Scope {
            paths: [Path::new("/inbox/病历.txt").into()].into(),
            ..Scope::default()
        });
        order
    }

    #[test]
    fn no_bit_of_an_order_can_be_flipped_and_no_byte_be_missing() {
        let dir = tempfile::tempdir().unwrap();
        let order = order();
        order.save(dir.path()).unwrap();
        let path = path(dir.path(), &order.id);
        let sound = std::fs::read(&path).unwrap();
        for (context, bad) in checked::damages(&sound) {
            std::fs::write(&path, bad).unwrap();
            let error = Order::load(dir.path(), &order.id).expect_err(&context);
            assert!(error.is::<checked::Damaged>(), "{context}: {error}");
            let told = error.to_string();
            assert!(
                told.contains(path.to_str().unwrap()) && told.contains("backup"),
                "{context}: {told}"
            );
        }
        assert!(
            Order::all(dir.path()).is_err(),
            "one that is damaged is not passed over"
        );
        std::fs::write(&path, &sound).unwrap();
        assert_eq!(Order::all(dir.path()).unwrap(), [order]);
    }

    #[test]
    fn an_order_from_before_the_checksum_is_read_and_gets_one() {
        let dir = tempfile::tempdir().unwrap();
        let order = order();
        order.save(dir.path()).unwrap();
        let path = path(dir.path(), &order.id);
        let sound = std::fs::read(&path).unwrap();
        let old = checked::without_digest(&sound);
        for length in 0..old.len() {
            std::fs::write(&path, &old[..length]).unwrap();
            let error = Order::load(dir.path(), &order.id).expect_err("it is cut short");
            assert!(error.is::<checked::Damaged>(), "{length} bytes: {error}");
        }
        std::fs::write(&path, &old).unwrap();
        let read = Order::load(dir.path(), &order.id).unwrap();
        assert_eq!(read.as_ref(), Some(&order));
        read.unwrap().save(dir.path()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), sound);
    }
}
