//! The index over the records that are alive, in sled or redb. Everything in it can be made from the journal again.
//!
//! Keys are `v1/TABLE/KEY`; values are version (u16 LE), checksum (u32 LE) of key, version and JSON, then the JSON.
//! The key `meta/applied` is written in the same batch as the records of a commit. It says which commit that
//! was, and holds a digest of all entries, so that an index that has lost or kept an entry is found out at open.

mod backend;
mod open;

pub use open::engine_is_guarded;
pub(crate) use open::{Opened, open, size_of};

use crate::batch::Op;
use crate::{IndexKind, Options, StoreError};
use backend::{Backend, Changes};
use std::collections::BTreeMap;
use std::path::Path;

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
    backend: Backend,
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
        let mut digest = self.applied.digest;
        for (key, value) in &changes {
            if let Some(old) = self.backend.get(key)? {
                digest = digest.wrapping_sub(entry_hash(key, &old));
            }
            if let Some(value) = value {
                digest = digest.wrapping_add(entry_hash(key, value));
            }
        }
        let applied = Applied { seq, crc, digest };
        let mut changes: Changes = changes.into_iter().collect();
        changes.push((APPLIED.to_vec(), Some(applied.encode())));
        self.backend.apply(&changes)?;
        self.applied = applied;
        Ok(())
    }

    /// Version and JSON of a record.
    pub fn get(&self, table: &str, key: &str) -> Result<Option<(u16, Vec<u8>)>, StoreError> {
        let key = record_key(table, key);
        match self.backend.get(&key)? {
            Some(value) => decode_value(&key, &value).map(|(version, json)| Some((version, json.to_vec()))),
            None => Ok(None),
        }
    }

    /// Key, version and JSON of each record of a table whose key begins with `prefix`, in the order of their keys.
    pub fn scan(&self, table: &str, prefix: &str) -> Result<Vec<(String, u16, Vec<u8>)>, StoreError> {
        let mut entries = Vec::new();
        self.backend.each(&record_key(table, prefix), &mut |full_key, value| {
            entries.push(entry(table, full_key, value)?);
            Ok(())
        })?;
        Ok(entries)
    }

    /// As [`Index::scan`], but at most `limit` records, from the key `from` on.
    pub fn page(
        &self,
        table: &str,
        prefix: &str,
        from: &str,
        limit: usize,
    ) -> Result<Vec<(String, u16, Vec<u8>)>, StoreError> {
        let mut entries = Vec::new();
        let (prefix, from) = (record_key(table, prefix), record_key(table, from));
        self.backend.page(&prefix, &from, limit, &mut |full_key, value| {
            entries.push(entry(table, full_key, value)?);
            Ok(())
        })?;
        Ok(entries)
    }

    /// Number of records of a table whose key begins with `prefix`.
    pub fn count(&self, table: &str, prefix: &str) -> Result<u64, StoreError> {
        let mut count = 0;
        self.backend.each(&record_key(table, prefix), &mut |_, _| {
            count += 1;
            Ok(())
        })?;
        Ok(count)
    }

    /// All entries but the index's own, as stored.
    pub fn entries(&self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StoreError> {
        let mut entries = BTreeMap::new();
        self.backend.each(RECORDS, &mut |key, value| {
            entries.insert(key.to_vec(), value.to_vec());
            Ok(())
        })?;
        Ok(entries)
    }

    /// The bytes of all keys and values.
    pub fn live_bytes(&self) -> Result<u64, StoreError> {
        let mut bytes = 0;
        self.backend.each(b"", &mut |key, value| {
            bytes += (key.len() + value.len()) as u64;
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Closes the engine, so that its files can be removed. What it had is then read by nobody.
    pub fn close(&mut self, kind: IndexKind, dir: &Path, options: &Options) -> std::io::Result<()> {
        self.backend = Backend::Closed;
        backend::wait_until_closed(kind, dir, options.index_open_timeout)
    }

    /// Makes the index durable.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.backend.checkpoint()
    }
}

/// Key, version and JSON of an entry of a table.
fn entry(table: &str, full_key: &[u8], value: &[u8]) -> Result<(String, u16, Vec<u8>), String> {
    let (version, json) = decode_value(full_key, value).map_err(why)?;
    let table_len = RECORDS.len() + table.len() + 1;
    let key = str::from_utf8(&full_key[table_len..]).map_err(|_| why(damaged(full_key)))?;
    Ok((key.to_string(), version, json.to_vec()))
}

/// What went wrong, without what to do about it: that is said around it.
fn why(error: StoreError) -> String {
    match error {
        StoreError::IndexFailed { why } => why,
        other => other.to_string(),
    }
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

fn decode_value<'v>(full_key: &[u8], value: &'v [u8]) -> Result<(u16, &'v [u8]), StoreError> {
    let Some((header, json)) = value.split_first_chunk::<VALUE_HEADER>() else {
        return Err(damaged(full_key));
    };
    let version = u16::from_le_bytes([header[0], header[1]]);
    let crc = u32::from_le_bytes([header[2], header[3], header[4], header[5]]);
    if crc != value_crc(full_key, version, json) {
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
