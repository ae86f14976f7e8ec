//! Taking out of the journal what has to be forgotten, and nothing else.
//!
//! A redacted frame keeps its place, its time, its event and the changes that stay. In its payload stand checksum and hash
//! of the frame as it was, and these are what the frame behind it carries: the chain still closes, and a hash that somebody
//! noted before still holds. A commit that is written first declares every frame with the hash of what it becomes;
//! [`crate::audit::verify`] takes a redacted frame that no commit declares for what it is. `FORMAT.md` has the bytes.

use crate::batch::{MAX_BATCH_BYTES, Op, Payload};
use crate::journal::frame::{self, FORMAT, Link, OLDEST_FORMAT};
use crate::journal::scan::{Frame, Frames};
use crate::{Change, Hash, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The event of a commit that declares redactions.
pub const EVENT: &str = "journal.redacted";
/// Frames that one commit declares: some 180 bytes each, far below the limit of a batch.
const FRAMES_A_COMMIT: usize = 20_000;
/// A frame says what it was, and `STRUCK` may be longer than a word: by so much may its payload exceed a batch.
pub(crate) const GROWTH_BYTES_MAX: usize = 64 << 10;
/// What stands where a word was.
const STRUCK: &str = "[forgotten]";
/// Texts for people in records; what else stands in a record is not touched.
const FREE_TEXTS: [&str; 3] = ["message", "reason", "error"];

/// What is to go.
pub struct Redaction {
    /// Why, for the commit that declares it. It must not say what is forgotten.
    pub note: Value,
    /// The time of that commit.
    pub at_ms: i64,
    /// Whether a change goes. A record all of whose changes go was never there.
    pub drop: Box<dyn Fn(&Change) -> bool + Send>,
    /// Words that are struck out of notes and of the texts for people in records that stay.
    pub words: Vec<String>,
}

/// What a redaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedactReport {
    /// Frames that say less now.
    pub frames: u64,
    /// Changes that were taken out of them.
    pub changes: u64,
}

/// A frame as it was written, which one that says less keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Original {
    pub crc: u32,
    pub hash: Hash,
}

/// A frame that a commit declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Declared {
    pub seq: u64,
    /// Of the frame as it was written.
    pub hash: Hash,
    /// BLAKE3 of the payload that it gets.
    pub becomes: Hash,
}

/// The frames that have to change.
#[derive(Default)]
pub(crate) struct Plan {
    payloads: BTreeMap<u64, Vec<u8>>,
    /// The segments that they stand in.
    paths: BTreeSet<PathBuf>,
    declared: Vec<Declared>,
    pub report: RedactReport,
}

impl Plan {
    /// Reads the journal up to `last_seq`.
    pub fn of(journal: &Path, last_seq: u64, redaction: &Redaction) -> Result<Plan, StoreError> {
        let mut plan = Plan::default();
        for frame in Frames::open(journal, 1, last_seq)? {
            let (frame, path) = frame?;
            let payload = Payload::decode(&frame, &path)?;
            if let Some((payload, changes)) = redacted(&frame, payload, redaction)? {
                plan.report.frames += 1;
                plan.report.changes += changes;
                plan.declared.push(Declared {
                    seq: frame.seq,
                    hash: frame.link.hash,
                    becomes: Hash::of(&payload),
                });
                plan.payloads.insert(frame.seq, payload);
                plan.paths.insert(path);
            }
        }
        Ok(plan)
    }

    /// The payloads of the commits that declare it.
    pub fn declarations(&self, redaction: &Redaction) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut payloads = Vec::new();
        for frames in self.declared.chunks(FRAMES_A_COMMIT) {
            let payload = Payload {
                redacted: None,
                event: EVENT.to_string(),
                at_ms: redaction.at_ms,
                note: Some(json!({"why": redaction.note, "frames": frames})),
                ops: Vec::new(),
            };
            payloads.push(serde_json::to_vec(&payload).map_err(not_json)?);
        }
        Ok(payloads)
    }

    /// The segments that change, each with its bytes anew.
    pub fn segments(&self) -> impl Iterator<Item = Result<(&Path, Vec<u8>), StoreError>> {
        self.paths.iter().map(|path| Ok((path.as_path(), self.segment(path)?)))
    }

    fn segment(&self, path: &Path) -> Result<Vec<u8>, StoreError> {
        let mut bytes = fs::read(path).map_err(|e| StoreError::io("read", path, e))?;
        let format = u16::from_le_bytes([bytes[8], bytes[9]]);
        if format != OLDEST_FORMAT {
            frame::raise_format(&mut bytes, FORMAT);
        }
        let mut anew = bytes[..frame::segment_header(format)].to_vec();
        let mut at = anew.len();
        while let Some((header, len)) = frame::FrameHeader::at(&bytes[at..], format) {
            let end = at + len;
            match self.payloads.get(&header.seq) {
                Some(payload) => header.encode_with(&mut anew, payload),
                None => anew.extend_from_slice(&bytes[at..end]),
            }
            at = end;
        }
        if at != bytes.len() {
            return Err(StoreError::corrupt(
                path,
                at as u64,
                "the journal changed while it was read",
            ));
        }
        Ok(anew)
    }
}

/// The payload that a frame gets, and how many changes go; none where it stays as it is.
fn redacted(frame: &Frame, mut payload: Payload, redaction: &Redaction) -> Result<Option<(Vec<u8>, u64)>, StoreError> {
    let before = payload.ops.len();
    let mut struck = false;
    let mut ops = Vec::with_capacity(before);
    for op in payload.ops {
        let change = Change::from(op.clone());
        if (redaction.drop)(&change) {
            continue;
        }
        ops.push(strike_op(op, &redaction.words, &mut struck)?);
    }
    let changes = (before - ops.len()) as u64;
    payload.ops = ops;
    if let Some(note) = &mut payload.note {
        strike(note, &redaction.words, true, &mut struck);
    }
    if changes == 0 && !struck {
        return Ok(None);
    }
    payload.redacted = Some(Original {
        crc: frame.link.crc,
        hash: frame.link.hash,
    });
    let bytes = serde_json::to_vec(&payload).map_err(not_json)?;
    let limit = MAX_BATCH_BYTES + GROWTH_BYTES_MAX;
    if bytes.len() > limit {
        let (event, len) = (payload.event, bytes.len());
        return Err(StoreError::BatchTooLarge { event, len, limit });
    }
    Ok(Some((bytes, changes)))
}

fn strike_op(op: Op, words: &[String], struck: &mut bool) -> Result<Op, StoreError> {
    let Op::Put {
        table,
        key,
        version,
        objects,
        value,
    } = op
    else {
        return Ok(op);
    };
    let mut now: Value = serde_json::from_str(value.get()).map_err(not_json)?;
    let mut here = false;
    strike(&mut now, words, false, &mut here);
    let value: Box<RawValue> = match here {
        true => serde_json::value::to_raw_value(&now).map_err(not_json)?,
        false => value,
    };
    *struck |= here;
    Ok(Op::Put {
        table,
        key,
        version,
        objects,
        value,
    })
}

/// Strikes the words out of every text for people, or of every text where `all`.
fn strike(value: &mut Value, words: &[String], all: bool, struck: &mut bool) {
    match value {
        Value::String(text) if all => {
            for word in words.iter().filter(|word| !word.is_empty()) {
                if text.contains(word.as_str()) {
                    *text = text.replace(word.as_str(), STRUCK);
                    *struck = true;
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| strike(value, words, all, struck)),
        Value::Object(fields) => fields
            .iter_mut()
            .for_each(|(name, value)| strike(value, words, all || FREE_TEXTS.contains(&name.as_str()), struck)),
        _ => {}
    }
}

fn not_json(e: serde_json::Error) -> StoreError {
    StoreError::NotStorable {
        table: "journal".to_string(),
        key: EVENT.to_string(),
        why: e.to_string(),
    }
}

/// Where a frame says less than it did: what it was.
pub(crate) fn original(payload: &[u8]) -> Option<Result<Link, &'static str>> {
    #[derive(Deserialize)]
    struct Beginning {
        redacted: Original,
    }
    // The first field of the payload, by the order of its struct; of any other frame it is the event.
    if !payload.starts_with(b"{\"redacted\":{") {
        return None;
    }
    let read = serde_json::from_slice::<Beginning>(payload);
    Some(match read {
        Ok(Beginning {
            redacted: Original { crc, hash },
        }) => Ok(Link { crc, hash }),
        Err(_) => Err("the frame is redacted and does not say what it was"),
    })
}

/// The frames that are redacted, and those that no later commit declares as they are.
pub(crate) fn undeclared(journal: &Path, last_seq: u64) -> Result<(u64, Vec<u64>), StoreError> {
    #[derive(Deserialize)]
    struct Note {
        frames: Vec<Declared>,
    }
    let mut found: BTreeMap<u64, Declared> = BTreeMap::new();
    let mut open: BTreeMap<u64, Declared> = BTreeMap::new();
    for frame in Frames::open(journal, 1, last_seq)? {
        let (frame, path) = frame?;
        let payload = Payload::decode(&frame, &path)?;
        if payload.redacted.is_some() {
            let declared = Declared {
                seq: frame.seq,
                hash: frame.link.hash,
                becomes: Hash::of(&frame.payload),
            };
            found.insert(frame.seq, declared);
            open.insert(frame.seq, declared);
        } else if payload.event == EVENT
            && let Some(Ok(note)) = payload.note.map(serde_json::from_value::<Note>)
        {
            for declared in note.frames {
                if open.get(&declared.seq) == Some(&declared) {
                    open.remove(&declared.seq);
                }
            }
        }
    }
    Ok((found.len() as u64, open.into_keys().collect()))
}
