//! How a store is opened, and what was found.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use wengu_seal::Key;

/// The engine of the index. The journal is the truth for both: another one is filled from it at the next open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IndexKind {
    /// sled 0.34.
    #[default]
    Sled,
    /// redb 4.
    Redb,
}

impl fmt::Display for IndexKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IndexKind::Sled => "sled",
            IndexKind::Redb => "redb",
        })
    }
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// What the index is kept in.
    pub index: IndexKind,
    /// A journal segment that has reached this size is followed by a new one.
    pub segment_bytes: u64,
    /// The index's page cache.
    pub index_cache_bytes: u64,
    /// An index that takes longer to open and check is set aside and rebuilt.
    pub index_open_timeout: Duration,
    /// Commits between two flushes of the index; they bound what a power cut makes us replay.
    pub checkpoint_commits: u64,
    /// Commits and objects that would leave less free space than this are refused. 0: no reserve.
    pub reserve_bytes: u64,
    /// Throw the index away and build it from the journal, whatever state it is in.
    pub rebuild_index: bool,
    /// What objects are sealed with; None: they are kept as they are.
    pub key: Option<Arc<Key>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            index: IndexKind::default(),
            segment_bytes: 64 << 20,
            index_cache_bytes: 8 << 20,
            index_open_timeout: Duration::from_secs(60),
            checkpoint_commits: 1024,
            reserve_bytes: 64 << 20,
            rebuild_index: false,
            key: None,
        }
    }
}

/// What was found and done when a store was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// Sequence number of the last commit.
    pub last_seq: u64,
    /// Journal frames that were applied to the index.
    pub replayed: u64,
    /// What an interrupted write had left at the end of the journal; it was cut off.
    pub torn_tail: Option<TornTail>,
    /// Why the index was built anew, if it was.
    pub rebuilt: Option<RebuildReason>,
    /// Where the index that did not verify was put.
    pub quarantined: Option<PathBuf>,
    /// The last segment was written anew because an fsync of it had failed in the process before.
    pub resynced: bool,
    /// The network file system that the store is on. There, locks and fsync are only as good as the server.
    pub network_filesystem: Option<&'static str>,
}

/// The end of the journal that an interrupted write left behind. It was never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub path: PathBuf,
    /// Where the journal now ends.
    pub offset: u64,
    /// How much was cut off.
    pub bytes: u64,
}

/// Why an index was built anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebuildReason {
    /// [`Options::rebuild_index`].
    Requested,
    /// There was none, and the journal is not empty.
    Missing,
    /// It was kept in another engine until now.
    Switched {
        /// The engine of before.
        from: IndexKind,
    },
    /// Its engine could not open it, panicked, or its content does not add up.
    Damaged(String),
    /// It did not open within [`Options::index_open_timeout`].
    TimedOut,
    /// It knows commits that the journal does not have. The journal was cut, or restored from an older copy:
    /// acknowledged commits are lost, which deserves an alert.
    Ahead {
        /// The last commit that the index knew.
        index_seq: u64,
        /// The last commit in the journal.
        journal_seq: u64,
    },
    /// It was built from another journal.
    Diverged {
        /// The commit at which index and journal differ.
        seq: u64,
    },
    /// It takes many times the space of what is in it.
    Bloated {
        /// Its size on the disk.
        disk_bytes: u64,
        /// The size of its keys and values.
        live_bytes: u64,
    },
}

impl fmt::Display for RebuildReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RebuildReason::Requested => write!(f, "a rebuild was requested"),
            RebuildReason::Missing => write!(f, "there was no index"),
            RebuildReason::Switched { from } => write!(f, "the index was kept in {from} until now"),
            RebuildReason::Damaged(why) => write!(f, "the index was damaged: {why}"),
            RebuildReason::TimedOut => write!(f, "the index did not open in time"),
            RebuildReason::Ahead { index_seq, journal_seq } => write!(
                f,
                "the index knew commit {index_seq}, the journal ends at {journal_seq}: acknowledged commits are lost"
            ),
            RebuildReason::Diverged { seq } => write!(f, "the index was built from another journal (at commit {seq})"),
            RebuildReason::Bloated { disk_bytes, live_bytes } => {
                write!(f, "the index took {disk_bytes} bytes for {live_bytes} bytes of content")
            }
        }
    }
}
