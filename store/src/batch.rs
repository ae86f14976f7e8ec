//! What is committed as one.

use crate::redact::Original;
use crate::{Hash, Record, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::time::{SystemTime, UNIX_EPOCH};

/// The largest record, as JSON. Beyond 8 KiB sled would write files of its own, which it never fsyncs.
pub const MAX_VALUE_BYTES: usize = 4096;
/// The longest key, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 1024;
/// The largest batch, as JSON.
pub const MAX_BATCH_BYTES: usize = 8 << 20;

/// Several changes that happen together or not at all: one frame of the journal, one entry of the audit log.
#[derive(Debug)]
#[must_use = "a batch does nothing until it is committed"]
pub struct Batch {
    payload: Payload,
}

/// The JSON of a journal frame.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Payload {
    /// Set where the frame says less than it did. It stands first: that tells such a frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacted: Option<Original>,
    pub event: String,
    pub at_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<Op>,
}

/// One change. `RawValue` keeps the value's bytes as they are, so that replay gives what the commit gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(crate) enum Op {
    Put {
        table: String,
        key: String,
        version: u16,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        objects: Vec<Hash>,
        value: Box<RawValue>,
    },
    Delete {
        table: String,
        key: String,
    },
}

impl Batch {
    /// An empty batch. `event` names it in the audit log: "file.ingested". Its time is now.
    pub fn new(event: impl Into<String>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        Batch {
            payload: Payload {
                redacted: None,
                event: event.into(),
                at_ms,
                note: None,
                ops: Vec::new(),
            },
        }
    }

    /// Sets the time of the event.
    pub fn at(mut self, unix_ms: i64) -> Self {
        self.payload.at_ms = unix_ms;
        self
    }

    /// Adds or replaces a record. Of two changes to one key, the later one holds.
    pub fn put<R: Record>(mut self, key: &str, record: &R) -> Result<Self, StoreError> {
        let not_storable = |e: serde_json::Error| StoreError::NotStorable {
            table: R::TABLE.to_string(),
            key: key.to_string(),
            why: e.to_string(),
        };
        let value = serde_json::value::to_raw_value(record).map_err(not_storable)?;
        let len = value.get().len();
        if len > MAX_VALUE_BYTES {
            let (table, key) = (R::TABLE.to_string(), key.to_string());
            return Err(StoreError::ValueTooLarge {
                table,
                key,
                len,
                limit: MAX_VALUE_BYTES,
            });
        }
        // serde_json writes NaN as null. What cannot be read back must not become the truth.
        serde_json::from_str::<R>(value.get()).map_err(not_storable)?;
        check_key(key)?;
        check_table(R::TABLE)?;
        self.payload.ops.push(Op::Put {
            table: R::TABLE.to_string(),
            key: key.to_string(),
            version: R::VERSION,
            objects: record.objects(),
            value,
        });
        Ok(self)
    }

    /// Removes a record, if it is there.
    pub fn delete<R: Record>(mut self, key: &str) -> Self {
        self.payload.ops.push(Op::Delete {
            table: R::TABLE.to_string(),
            key: key.to_string(),
        });
        self
    }

    /// Adds what the audit log should say beside the changes. It is not bound by the limit on records.
    pub fn note(mut self, note: Value) -> Self {
        self.payload.note = Some(note);
        self
    }

    /// Whether there is nothing in it but its name.
    pub fn is_empty(&self) -> bool {
        self.payload.ops.is_empty() && self.payload.note.is_none()
    }

    pub(crate) fn objects(&self) -> impl Iterator<Item = &Hash> {
        self.payload.ops.iter().flat_map(|op| match op {
            Op::Put { objects, .. } => objects.as_slice(),
            Op::Delete { .. } => &[],
        })
    }

    /// The bytes of its journal frame, and its changes.
    pub(crate) fn encode(self) -> Result<(Vec<u8>, Vec<Op>), StoreError> {
        let Payload { event, ops, .. } = &self.payload;
        for op in ops {
            if let Op::Delete { table, key } = op {
                check_key(key)?;
                check_table(table)?;
            }
        }
        let bytes = serde_json::to_vec(&self.payload).map_err(|e| StoreError::NotStorable {
            table: "journal".to_string(),
            key: event.clone(),
            why: e.to_string(),
        })?;
        if bytes.len() > MAX_BATCH_BYTES {
            let event = event.clone();
            return Err(StoreError::BatchTooLarge {
                event,
                len: bytes.len(),
                limit: MAX_BATCH_BYTES,
            });
        }
        Ok((bytes, self.payload.ops))
    }
}

fn check_key(key: &str) -> Result<(), StoreError> {
    let bad = |why| {
        Err(StoreError::BadName {
            what: "key",
            name: key.chars().take(80).collect(),
            why,
        })
    };
    match key.len() {
        0 => bad("it is empty"),
        1..=MAX_KEY_BYTES => Ok(()),
        _ => bad("it is longer than 1024 bytes; use a hash of it"),
    }
}

pub(crate) fn check_table(table: &str) -> Result<(), StoreError> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_' || c == b'-';
    if !table.is_empty() && table.len() <= 64 && table.bytes().all(plain) {
        return Ok(());
    }
    let why = "1 to 64 lowercase letters, digits, _ and - are allowed";
    Err(StoreError::BadName {
        what: "table",
        name: table.chars().take(80).collect(),
        why,
    })
}
