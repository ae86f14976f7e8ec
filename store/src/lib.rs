//! Journal and content-addressed files are the truth, sled or redb is the index over them.
//!
//! A [`Batch`] of typed [`Record`]s is committed as one frame of an append-only, checksummed, fsynced journal: when
//! [`Store::commit`] returns, it is on the disk. The index answers reads; it can be deleted at any time and comes
//! back from the journal. Bytes that are larger than a record go into [`Objects`], named by their hash. `FORMAT.md`
//! has the bytes on disk and what is promised about them.
//!
//! Calls block on the disk. From async code, go through `spawn_blocking`.

pub mod audit;
pub mod backup;
mod batch;
mod commit;
mod compact;
pub mod durable;
mod encrypt;
mod error;
mod events;
mod hash;
mod index;
mod journal;
mod lock;
mod objects;
mod record;
pub mod records;
mod recover;
mod redact;
mod references;
mod report;
mod sealing;
mod space;
mod store;
mod verify;

pub use backup::{BackupReport, Beside};
pub use batch::{Batch, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES};
pub use compact::{CompactReport, IndexSize, compact};
pub use encrypt::{EncryptReport, Encryption};
pub use error::StoreError;
pub use events::{Change, Event, Events};
pub use hash::{BadHash, Hash};
pub use index::engine_is_guarded;
pub use journal::io::{DiskIo, JournalIo};
pub use objects::Objects;
pub use record::Record;
pub use redact::{RedactReport, Redaction};
pub use references::References;
pub use report::{IndexKind, OpenReport, Options, RebuildReason, TornTail};
pub use store::Store;
pub use verify::{Problem, VerifyReport};
