//! Typed, versioned records.

use crate::{Hash, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A type that is kept in a table of the store.
///
/// A change of shape that serde's defaults do not cover raises [`Record::VERSION`] and teaches [`Record::upgrade`]
/// the step from the version before. Stored records keep the version that they were written with until they are
/// written again.
pub trait Record: Serialize + DeserializeOwned {
    /// Name of the table: lowercase letters, digits, `_` and `-`. One type per table.
    const TABLE: &'static str;
    /// Version of the shape that this code writes.
    const VERSION: u16;

    /// Turns the JSON of an older version into that of [`Record::VERSION`].
    fn upgrade(from: u16, value: Value) -> Result<Value, StoreError> {
        let _ = value;
        Err(StoreError::NoUpgrade {
            table: Self::TABLE,
            from,
            to: Self::VERSION,
        })
    }

    /// The objects that this record needs. A commit is refused while one is missing, and
    /// [`Store::verify`](crate::Store::verify) looks for them.
    fn objects(&self) -> Vec<Hash> {
        Vec::new()
    }
}

/// A stored record as its type, upgraded where it is older.
pub(crate) fn read<R: Record>(key: &str, version: u16, json: &[u8]) -> Result<R, StoreError> {
    let unreadable = |why: String| StoreError::Unreadable {
        table: R::TABLE.to_string(),
        key: key.to_string(),
        version,
        why,
    };
    if version > R::VERSION {
        return Err(StoreError::NewerRecord {
            table: R::TABLE.to_string(),
            key: key.to_string(),
            found: version,
            supported: R::VERSION,
        });
    }
    if version == R::VERSION {
        return serde_json::from_slice(json).map_err(|e| unreadable(e.to_string()));
    }
    let old = serde_json::from_slice(json).map_err(|e| unreadable(e.to_string()))?;
    let new = R::upgrade(version, old).map_err(|e| unreadable(e.to_string()))?;
    serde_json::from_value(new).map_err(|e| unreadable(e.to_string()))
}
