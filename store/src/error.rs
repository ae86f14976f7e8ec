//! Everything that can go wrong, with what to do about it.

use crate::Hash;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wengu_seal::{KeyId, SealError};

/// Why the store refused or failed. Clonable, since one failed fsync fails every commit of its group.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused a file operation.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The operation, as a verb: "read", "create".
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// Another process has the store open.
    #[error(
        "the store {} is in use by {}; stop that process first (only one daemon may own a store)",
        dir.display(),
        pid.map_or_else(|| "another process".to_string(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The store.
        dir: PathBuf,
        /// The process that holds the lock, where it could be read.
        pid: Option<u32>,
    },
    /// The journal is damaged in a place that no interrupted write explains.
    #[error(
        "the journal is corrupt: {} at byte {offset}: {what}; nothing is served from it. Restore this file from a \
         backup, or move the store aside and start anew",
        path.display()
    )]
    JournalCorrupt {
        /// The segment.
        path: PathBuf,
        /// Where the bad frame or header begins.
        offset: u64,
        /// What does not fit.
        what: String,
    },
    /// The journal was written by a newer wengu.
    #[error(
        "{} has journal format {found}, this wengu reads up to {supported}; use the version that wrote it, or a newer \
         one", path.display()
    )]
    JournalVersion {
        /// The segment.
        path: PathBuf,
        /// Its format version.
        found: u16,
        /// The newest that is understood.
        supported: u16,
    },
    /// There is an index with commits in it, but no journal at all.
    #[error(
        "{} has no segments, but the index has applied commit {index_seq}: the journal was lost or is not mounted; \
         restore it, or remove the index directory to start with an empty store", journal.display()
    )]
    JournalMissing {
        /// The journal directory.
        journal: PathBuf,
        /// The last commit that the index knows.
        index_seq: u64,
    },
    /// A record is larger than the index takes.
    #[error(
        "the record {table}/{key} is {len} bytes of JSON, the limit is {limit}: put the large part into objects() and \
         keep its hash in the record"
    )]
    ValueTooLarge {
        /// The record's table.
        table: String,
        /// The record's key.
        key: String,
        /// Its size.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// A batch is larger than a journal frame may be.
    #[error("the batch {event} is {len} bytes, the limit is {limit}: split it, or put large parts into objects()")]
    BatchTooLarge {
        /// The batch's event name.
        event: String,
        /// Its size.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// A key or table name that the index cannot hold.
    #[error("bad {what} {name:?}: {why}")]
    BadName {
        /// "key" or "table".
        what: &'static str,
        /// The name, cut to a printable length.
        name: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A record cannot be written as JSON, or would not read back (a NaN, a map whose keys are not strings).
    #[error("the record {table}/{key} cannot be stored: {why}")]
    NotStorable {
        /// The record's table.
        table: String,
        /// The record's key.
        key: String,
        /// What serde said.
        why: String,
    },
    /// A stored record does not have the shape of its type.
    #[error("the record {table}/{key} (version {version}) cannot be read: {why}")]
    Unreadable {
        /// The record's table.
        table: String,
        /// The record's key.
        key: String,
        /// The version that it is stored as.
        version: u16,
        /// What serde or the upgrade said.
        why: String,
    },
    /// A record was written by a newer wengu.
    #[error(
        "the record {table}/{key} has version {found}, this wengu knows table {table} up to version {supported}; use \
         the wengu that wrote it, or a newer one"
    )]
    NewerRecord {
        /// The record's table.
        table: String,
        /// The record's key.
        key: String,
        /// The version that it is stored as.
        found: u16,
        /// The newest that is understood.
        supported: u16,
    },
    /// There is no upgrade from a stored version.
    #[error("table {table} has no upgrade from version {from} to {to}")]
    NoUpgrade {
        /// The table.
        table: &'static str,
        /// The stored version.
        from: u16,
        /// The version wanted.
        to: u16,
    },
    /// The disk is full, or fuller than the reserve allows. Nothing was written; the store goes on serving.
    #[error("the disk under {} is full ({detail}); nothing was written. Free some space and try again", path.display())]
    DiskFull {
        /// What was being written.
        path: PathBuf,
        /// Numbers, or the operating system's words.
        detail: String,
    },
    /// An append failed and was taken back. Nothing was written; the store goes on serving.
    #[error("cannot append to {}: {why}; nothing was written", path.display())]
    AppendFailed {
        /// The segment.
        path: PathBuf,
        /// What the operating system said.
        why: String,
    },
    /// The store no longer accepts commits. A commit that gets this as its first answer may or may not be found
    /// after the restart; later ones were not written.
    #[error("the store accepts no more commits: {why}; restart the process, what was acknowledged is safe")]
    Poisoned {
        /// What went wrong first.
        why: String,
    },
    /// The index failed. The journal has everything; a restart rebuilds the index.
    #[error("the index failed: {why}; no commit is lost, restart the process and the index is checked and rebuilt")]
    IndexFailed {
        /// What went wrong.
        why: String,
    },
    /// A commit, or a reader, names an object that is not there.
    #[error("there is no object {hash} (looked for {})", path.display())]
    ObjectMissing {
        /// Its name.
        hash: Hash,
        /// Where it would be.
        path: PathBuf,
    },
    /// The bytes of an object are not the ones that it is named after.
    #[error(
        "the object {} is damaged: its bytes hash to {found}; restore it from a backup or put the original again",
        path.display()
    )]
    ObjectDamaged {
        /// The file.
        path: PathBuf,
        /// The hash of the bytes that are there.
        found: Hash,
    },
    /// A sealed object does not open.
    #[error(
        "the object {}: {why}{}", path.display(),
        if why.is_damage() { "; restore it from a backup or put the original again" } else { "" }
    )]
    Sealed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: SealError,
    },
    /// The store, or an object, is sealed, and no key was given.
    #[error(
        "{} is sealed with the key {key}, and no key is given: name its file or credential under [encryption]",
        path.display()
    )]
    KeyNeeded {
        /// The store or the object.
        path: PathBuf,
        /// The key that it names.
        key: KeyId,
    },
    /// The store is sealed with another key.
    #[error(
        "the store {} is sealed with the key {found}, the key given is {given}: name the right one, or change it with \
         `wengu store encrypt --old-key-file FILE`", dir.display()
    )]
    OtherKey {
        /// The store.
        dir: PathBuf,
        /// The key that it names.
        found: KeyId,
        /// The key that was given.
        given: KeyId,
    },
    /// The store is sealed with another key, and is to be sealed with a new one.
    #[error("the store {} is sealed with the key {key}: name its file with --old-key-file", dir.display())]
    OldKeyNeeded {
        /// The store.
        dir: PathBuf,
        /// The key that it names.
        key: KeyId,
    },
    /// There is a key, and the store is not sealed.
    #[error(
        "the store {} is not encrypted, and a key is given: run `wengu store encrypt`, or take [encryption] out",
        dir.display()
    )]
    NotEncrypted {
        /// The store.
        dir: PathBuf,
    },
    /// The encryption of a store was interrupted.
    #[error(
        "the encryption of the store {} with the key {key} was interrupted: run `wengu store encrypt` with that key again",
        dir.display()
    )]
    EncryptionUnfinished {
        /// The store.
        dir: PathBuf,
        /// The key that it is being sealed with.
        key: KeyId,
    },
    /// What says which key a store is sealed with cannot be read.
    #[error("{}: {what}; remove it and run `wengu store encrypt`, which looks at every object", path.display())]
    KeyNote {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The audit log is not the one that somebody noted a hash of.
    #[error("the audit log was changed: commit {seq} was noted with hash {noted}, now {found}")]
    AuditBroken {
        /// The commit.
        seq: u64,
        /// What was noted.
        noted: Hash,
        /// What is there.
        found: String,
    },
    /// A commit of the audit log says less than it did, and no later one declares that as a redaction.
    #[error(
        "the audit log was changed: commit {seq} is marked as redacted, and no later commit declares it as it is; restore \
         the journal from a backup"
    )]
    RedactionUndeclared {
        /// The commit.
        seq: u64,
    },
    /// What was named is no folder.
    #[error("there is no backup in {}: name the folder that `wengu store backup` made", path.display())]
    NoBackup {
        /// What was named.
        path: PathBuf,
    },
    /// Something is where a backup or what is restored was to go.
    #[error("{} is there already; {why}", path.display())]
    Taken {
        /// The place.
        path: PathBuf,
        /// The rule.
        why: &'static str,
    },
    /// A backup is not whole, or was changed.
    #[error("the backup is damaged: {}: {what}; nothing was restored from it. Use another one", path.display())]
    BackupDamaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// A backup was written by a newer wengu.
    #[error(
        "{} has backup format {found}, this wengu reads up to {supported}; use the version that wrote it, or a newer \
         one", path.display()
    )]
    BackupVersion {
        /// Its list.
        path: PathBuf,
        /// Its format version.
        found: u16,
        /// The newest that is understood.
        supported: u16,
    },
    /// The input is longer than the caller allows.
    #[error("the input is longer than the limit of {limit_bytes} bytes")]
    ObjectTooLarge {
        /// The caller's limit.
        limit_bytes: u64,
    },
}

impl StoreError {
    /// Whether the key is not the one that is needed, or is missing; the store is as it was.
    pub fn is_about_key(&self) -> bool {
        match self {
            StoreError::Sealed { why, .. } => !why.is_damage(),
            StoreError::KeyNeeded { .. }
            | StoreError::OtherKey { .. }
            | StoreError::OldKeyNeeded { .. }
            | StoreError::NotEncrypted { .. }
            | StoreError::EncryptionUnfinished { .. }
            | StoreError::KeyNote { .. } => true,
            _ => false,
        }
    }

    /// Whether what is kept is not what was written, so that only a backup helps.
    pub fn is_damage(&self) -> bool {
        if let StoreError::Sealed { why, .. } = self {
            return why.is_damage();
        }
        matches!(
            self,
            StoreError::JournalCorrupt { .. }
                | StoreError::JournalMissing { .. }
                | StoreError::ObjectDamaged { .. }
                | StoreError::ObjectMissing { .. }
                | StoreError::BackupDamaged { .. }
                | StoreError::AuditBroken { .. }
                | StoreError::RedactionUndeclared { .. }
        )
    }

    pub(crate) fn io(what: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        if is_disk_full(&source) {
            return StoreError::DiskFull {
                path,
                detail: source.to_string(),
            };
        }
        StoreError::Io {
            what,
            path,
            source: Arc::new(source),
        }
    }

    pub(crate) fn damaged_backup(path: impl AsRef<Path>, what: impl Into<String>) -> Self {
        StoreError::BackupDamaged {
            path: path.as_ref().to_path_buf(),
            what: what.into(),
        }
    }

    pub(crate) fn corrupt(path: impl AsRef<Path>, offset: u64, what: impl Into<String>) -> Self {
        StoreError::JournalCorrupt {
            path: path.as_ref().to_path_buf(),
            offset,
            what: what.into(),
        }
    }
}

/// No space, no quota, or past the largest size a file may have.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
