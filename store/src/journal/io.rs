//! The file operations of the journal, replaceable so that tests can break each of them.

use crate::durable;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// What the journal does to its files. The defaults do it.
pub trait JournalIo: Send {
    /// Makes a segment that durably holds `header` and nothing else.
    fn create(&mut self, path: &Path, header: &[u8]) -> io::Result<()> {
        durable::write_file(path, header)
    }

    /// Opens a segment for appending.
    fn open(&mut self, path: &Path) -> io::Result<File> {
        OpenOptions::new().append(true).open(path)
    }

    /// Writes at the end. After an error any part of `bytes` may be in the file.
    fn append(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Makes what was written durable, the length of the file included.
    fn sync(&mut self, file: &mut File) -> io::Result<()> {
        file.sync_data()
    }

    /// Cuts the file.
    fn truncate(&mut self, file: &mut File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }
}

/// The real file operations.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskIo;

impl JournalIo for DiskIo {}
