//! Which objects the records name, and which they ever named.

use crate::batch::{Op, Payload};
use crate::journal::scan::Frames;
use crate::{Hash, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Objects by who names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Named by a record that is alive.
    pub live: BTreeSet<Hash>,
    /// Named by any change in the journal. An object that is not among them was put and never used.
    pub ever: BTreeSet<Hash>,
}

pub(crate) fn references(journal: &Path, last_seq: u64) -> Result<References, StoreError> {
    let (mut alive, mut ever) = (BTreeMap::new(), BTreeSet::new());
    for frame in Frames::open(journal, 1, last_seq)? {
        let (frame, path) = frame?;
        for op in Payload::decode(&frame, &path)?.ops {
            match op {
                Op::Put {
                    table, key, objects, ..
                } => {
                    ever.extend(&objects);
                    alive.insert((table, key), objects);
                }
                Op::Delete { table, key } => {
                    alive.remove(&(table, key));
                }
            }
        }
    }
    let live = alive.into_values().flatten().collect();
    Ok(References { live, ever })
}
