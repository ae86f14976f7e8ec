//! The index: one sled tree over the records that are alive. Everything in it can be made from the journal again.
//!
//! Keys are `v1/TABLE/KEY`; values are version (u16 LE), checksum (u32 LE) of key, version and JSON, then the JSON.
//! The key `meta/applied` is written in the same sled batch as the records of a commit. It says which commit that
//! was, and holds a digest of all entries, so that an index that has lost or kept an entry is found out at open.

mod open;

pub(crate) use open::{Opened, guarded, open};

use crate::StoreError;
use crate::batch::Op;
use sled::IVec;
use std::collections::BTreeMap;
use std::path::PathBuf;

const APPLIED: &[u8] = b"meta/applied";
const RECORDS: &[u8] = b"v1/";
const VALUE_HEADER: usize = 6;

/// How far an index has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Applied {
    /// The last commit in it, 0 for none.
    pub seq: u64,
    /// That commit's checksum in the journal.
    pub crc: u32,
    /// Wrapping sum of a hash of each entry.
    digest: u64,
}

impl Applied {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(24);
        bytes.extend_from_slice(&self.seq.to_le_bytes());
        bytes.extend_from_slice(&self.crc.to_le_bytes());
        bytes.extend_from_slice(&self.digest.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, crc) = bytes.split_last_chunk::<4>()?;
        let content: &[u8; 20] = content.try_into().ok()?;
        if u32::from_le_bytes(*crc) != crc32c::crc32c(content) {
            return None;
        }
        Some(Applied {
            seq: u64::from_le_bytes(content[..8].try_into().ok()?),
            crc: u32::from_le_bytes(content[8..12].try_into().ok()?),
            digest: u64::from_le_bytes(content[12..].try_into().ok()?),
        })
    }
}

/// The open index. Not for two threads at once: sled 0.34 has known deadlocks, so the store keeps it in a mutex.
pub(crate) struct Index {
    db: sled::Db,
    path: PathBuf,
    applied: Applied,
}

impl Index {
    pub fn applied(&self) -> Applied {
        self.applied
    }

    /// Applies the changes of one commit, all or none.
    pub fn apply(&mut self, seq: u64, crc: u32, ops: &[Op]) -> Result<(), StoreError> {
        let mut changes: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Put {
                    table,
                    key,
                    version,
                    value,
                    ..
                } => {
                    let key = record_key(table, key);
                    let value = encode_value(&key, *version, value.get().as_bytes());
                    changes.insert(key, Some(value));
                }
                Op::Delete { table, key } => {
                    changes.insert(record_key(table, key), None);
                }
            }
        }
        let mut batch = sled::Batch::default();
        let mut digest = self.applied.digest;
        for (key, value) in changes {
            if let Some(old) = sled_call(|| self.db.get(&key))? {
                digest = digest.wrapping_sub(entry_hash(&key, &old));
            }
            match value {
                Some(value) => {
                    digest = digest.wrapping_add(entry_hash(&key, &value));
                    batch.insert(key, value);
                }
                None => batch.remove(key),
            }
        }
        let applied = Applied { seq, crc, digest };
        batch.insert(APPLIED, applied.encode());
        sled_call(|| self.db.apply_batch(batch))?;
        self.applied = applied;
        Ok(())
    }

    /// Version and JSON of a record.
    pub fn get(&self, table: &str, key: &str) -> Result<Option<(u16, IVec)>, StoreError> {
        let key = record_key(table, key);
        sled_call(|| self.db.get(&key))?
            .map(|value| decode_value(&key, value))
            .transpose()
    }

    /// Key, version and JSON of each record of a table whose key begins with `prefix`, in the order of their keys.
    pub fn scan(&self, table: &str, prefix: &str) -> Result<Vec<(String, u16, IVec)>, StoreError> {
        let table_key = record_key(table, "");
        let entries: Vec<(IVec, IVec)> = sled_call(|| {
            self.db
                .scan_prefix(record_key(table, prefix))
                .collect::<sled::Result<_>>()
        })?;
        let decode = |(full_key, value): (IVec, IVec)| {
            let key = std::str::from_utf8(&full_key[table_key.len()..])
                .map_err(|_| damaged(&full_key))?
                .to_string();
            let (version, json) = decode_value(&full_key, value)?;
            Ok((key, version, json))
        };
        entries.into_iter().map(decode).collect()
    }

    /// Number of records of a table whose key begins with `prefix`.
    pub fn count(&self, table: &str, prefix: &str) -> Result<u64, StoreError> {
        sled_call(|| {
            self.db
                .scan_prefix(record_key(table, prefix))
                .keys()
                .try_fold(0, |count, key| key.map(|_| count + 1))
        })
    }

    /// All entries but the index's own, as stored.
    pub fn entries(&self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StoreError> {
        sled_call(|| {
            self.db
                .scan_prefix(RECORDS)
                .map(|e| e.map(|(k, v)| (k.to_vec(), v.to_vec())))
                .collect()
        })
    }

    /// Makes the index durable. sled's own flush does not reach the disk on Linux: it never calls fsync.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        sled_call(|| self.db.flush())?;
        for path in [self.path.join("db"), self.path.clone()] {
            std::fs::File::open(&path)
                .and_then(|f| f.sync_all())
                .map_err(|e| StoreError::io("fsync", &path, e))?;
        }
        Ok(())
    }
}

/// sled panics on some damage instead of returning an error.
fn sled_call<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    guarded(call)
        .and_then(|result| result.map_err(|error| error.to_string()))
        .map_err(|why| StoreError::IndexFailed { why })
}

pub(crate) fn record_key(table: &str, key: &str) -> Vec<u8> {
    [RECORDS, table.as_bytes(), b"/", key.as_bytes()].concat()
}

/// Table and key of an entry, for people.
pub(crate) fn shown_key(full_key: &[u8]) -> String {
    String::from_utf8_lossy(full_key.strip_prefix(RECORDS).unwrap_or(full_key)).into_owned()
}

pub(crate) fn encode_value(full_key: &[u8], version: u16, json: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(VALUE_HEADER + json.len());
    value.extend_from_slice(&version.to_le_bytes());
    value.extend_from_slice(&value_crc(full_key, version, json).to_le_bytes());
    value.extend_from_slice(json);
    value
}

fn decode_value(full_key: &[u8], value: IVec) -> Result<(u16, IVec), StoreError> {
    if value.len() < VALUE_HEADER {
        return Err(damaged(full_key));
    }
    let version = u16::from_le_bytes([value[0], value[1]]);
    let crc = u32::from_le_bytes([value[2], value[3], value[4], value[5]]);
    let json = value.subslice(VALUE_HEADER, value.len() - VALUE_HEADER);
    if crc != value_crc(full_key, version, &json) {
        return Err(damaged(full_key));
    }
    Ok((version, json))
}

fn value_crc(full_key: &[u8], version: u16, json: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(full_key), &version.to_le_bytes());
    crc32c::crc32c_append(crc, json)
}

/// The length in front keeps key and value apart.
fn entry_hash(full_key: &[u8], value: &[u8]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(&(full_key.len() as u64).to_le_bytes())
        .update(full_key)
        .update(value);
    u64::from_le_bytes(hasher.finalize().as_bytes()[..8].try_into().expect("8 of 32 bytes"))
}

fn damaged(full_key: &[u8]) -> StoreError {
    StoreError::IndexFailed {
        why: format!("the entry {} does not match its checksum", shown_key(full_key)),
    }
}
