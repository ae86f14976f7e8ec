//! What the daemon and a reader say to each other.
//!
//! A reader is a process for one document of others. It finds the document as its standard input, a [`Request`] as its
//! only argument, and writes frames (see [`crate::plugin`]) to its standard output, which it moves to a private
//! descriptor at once: [`Reply::Ready`], then for each document inside the file [`Reply::Begin`] and either parts, each
//! followed by its text in pieces, or a refusal, and at last [`Reply::Done`]. So the last `Begin` says which document a
//! dead reader was at, and the daemon can have the others read without it.

mod verdict;

pub use verdict::{Refusal, Verdict};

use crate::plugin::Sandbox;
use serde::{Deserialize, Serialize};

/// Version of every structure in this module. Daemon and reader are of one build; another version is refused.
pub const READER_PROTOCOL: u32 = 2;

/// Environment variable that says that the daemon started the reader: a courtesy to people, not security.
pub const READER_COOKIE: (&str, &str) = ("WENGU_READER", "started-by-wengu");

/// Most bytes of text in one frame.
pub const TEXT_BYTES_AT_ONCE: usize = 2 << 20;

/// Exit codes of a reader, for ends that it cannot tell by a frame.
pub mod exit {
    /// Started by hand (`EX_USAGE`).
    pub const BY_HAND: u8 = 64;
    /// The request is not of this protocol (`EX_DATAERR`).
    pub const BAD_REQUEST: u8 = 65;
    /// An allocation was refused (`EX_OSERR`).
    pub const OUT_OF_MEMORY: u8 = 71;
    /// The document or the channel could not be used (`EX_IOERR`).
    pub const CHANNEL: u8 = 74;
}

/// What is asked of a reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// [`READER_PROTOCOL`].
    pub protocol: u32,
    /// A file name that says how the document is read. Only its extension counts, so that no name of a case file shows
    /// among the arguments of a process.
    pub file_name: String,
    /// Encoding of text that neither says its own nor is UTF-8; None: it is found out.
    pub encoding: Option<String>,
    /// What it may use.
    pub limits: Limits,
    /// Documents that are passed over, by their number in [`Reply::Begin`]: they ended a reader before.
    pub skip: Vec<u32>,
}

/// What reading one file may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Address space of the reader.
    pub memory_bytes: u64,
    /// Processor time in seconds; the daemon's clock allows the same and a little more.
    pub time_s: u32,
    /// Text of all documents in the file together.
    pub text_bytes: u64,
    /// How many times larger than the file all that is unpacked from it may be. [`Limits::UNPACKED_FREE_BYTES`] are always
    /// allowed: a page of XML packs better than any limit.
    pub ratio: u32,
    /// Documents and other entries in the file.
    pub members: u32,
    /// How deep archives and mails may lie in each other: 1 is a document in an archive.
    pub depth: u32,
}

impl Limits {
    /// See [`Limits::ratio`].
    pub const UNPACKED_FREE_BYTES: u64 = 16 << 20;

    /// Bytes that may be unpacked from a file of `file_bytes`.
    pub fn unpacked_bytes(&self, file_bytes: u64) -> u64 {
        (file_bytes.saturating_mul(u64::from(self.ratio))).max(Self::UNPACKED_FREE_BYTES)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_bytes: 1 << 30,
            time_s: 60,
            text_bytes: 64 << 20,
            ratio: 100,
            members: 1000,
            depth: 3,
        }
    }
}

/// What a reader answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// It is shut in and begins.
    Ready {
        /// [`READER_PROTOCOL`].
        protocol: u32,
        /// What the kernel enforces.
        sandbox: Sandbox,
    },
    /// It begins with a document.
    Begin {
        /// From 1, in the order of the file.
        ordinal: u32,
        /// Its path inside the file; None: it is the file.
        member: Option<String>,
    },
    /// A part of the document; its text follows.
    Part(Part),
    /// The next piece of the text of the part before.
    Text(String),
    /// A document is not read, or with no `member` the file as a whole: what came before does not count then.
    Refused {
        /// Its path inside the file.
        member: Option<String>,
        /// Why.
        refusal: Refusal,
    },
    /// All is told.
    Done,
}

/// One text of a document, before its records are looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Path inside the file; None: it is the file.
    pub member: Option<String>,
    /// The document inside the file that is a case of its own; None: the file is. Members of archives are cases as files
    /// of a folder are; a mail and what is attached to it are one.
    pub case: Option<String>,
    /// How its records are written.
    pub kind: PartKind,
    /// WHATWG name of the encoding that it was written in.
    pub encoding: String,
    /// Bytes that the encoding does not allow are U+FFFD in the text.
    pub is_malformed: bool,
    /// Where each page begins in the text, in characters; empty where there are no pages.
    pub pages: Vec<u32>,
}

/// How the records of a part are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// All of it is one record.
    Text,
    /// As `.md`.
    Markdown,
    /// As `.json`.
    Json,
    /// As `.jsonl`.
    JsonLines,
    /// As `.csv`.
    Csv,
    /// As `.tsv`.
    Tsv,
    /// A label file of the member whose name its own begins with.
    Sidecar,
}
