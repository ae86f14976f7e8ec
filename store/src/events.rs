//! The journal as an audit log.

use crate::StoreError;
use crate::batch::{Op, Payload};
use crate::journal::scan::{Frame, Frames};
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// A commit, as the audit log tells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Its sequence number.
    pub seq: u64,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    /// The name of its batch.
    pub event: String,
    /// What the batch said beside its changes.
    pub note: Option<Value>,
    /// Its changes, in order.
    pub changes: Vec<Change>,
    /// Whether it said more once: what had to be forgotten was taken out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
}

/// One change of a commit.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A record was added or replaced.
    Put {
        /// Its table.
        table: String,
        /// Its key.
        key: String,
        /// The version of its shape.
        version: u16,
        /// The record.
        value: Value,
    },
    /// A record was removed.
    Delete {
        /// Its table.
        table: String,
        /// Its key.
        key: String,
    },
}

/// Reads commits one by one, in order.
pub struct Events {
    frames: Frames,
}

impl Events {
    pub(crate) fn open(journal: &Path, from_seq: u64, to_seq: u64) -> Result<Self, StoreError> {
        Ok(Events {
            frames: Frames::open(journal, from_seq, to_seq)?,
        })
    }

    pub(crate) fn decode(frame: &Frame, path: &Path) -> Result<Event, StoreError> {
        let Payload {
            redacted,
            event,
            at_ms,
            note,
            ops,
        } = Payload::decode(frame, path)?;
        Ok(Event {
            seq: frame.seq,
            at_ms,
            event,
            note,
            changes: ops.into_iter().map(Change::from).collect(),
            redacted: redacted.is_some(),
        })
    }
}

impl Iterator for Events {
    type Item = Result<Event, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let frame = self.frames.next()?;
        Some(frame.and_then(|(frame, path)| Events::decode(&frame, &path)))
    }
}

impl From<Op> for Change {
    fn from(op: Op) -> Self {
        match op {
            Op::Put {
                table,
                key,
                version,
                value,
                ..
            } => {
                let value = serde_json::from_str(value.get()).expect("raw values were parsed when they were made");
                Change::Put {
                    table,
                    key,
                    version,
                    value,
                }
            }
            Op::Delete { table, key } => Change::Delete { table, key },
        }
    }
}

impl Payload {
    /// The batch in a frame.
    pub(crate) fn decode(frame: &Frame, path: &Path) -> Result<Self, StoreError> {
        serde_json::from_slice(&frame.payload).map_err(|e| {
            let what = format!("commit {} has sound checksums but is not a batch: {e}", frame.seq);
            StoreError::corrupt(path, frame.offset, what)
        })
    }
}
