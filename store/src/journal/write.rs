//! Appending to the journal.

use super::frame::{self, FORMAT, Link, SEGMENT_HEADER, SegmentHeader};
use super::io::JournalIo;
use super::scan::Scan;
use super::{SUSPECT, segment_name};
use crate::error::is_disk_full;
use crate::{StoreError, durable};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use wengu_failpoint::hit;

/// The end of the journal, open for appending.
pub struct Journal {
    dir: PathBuf,
    io: Box<dyn JournalIo>,
    path: PathBuf,
    file: File,
    number: u32,
    len: u64,
    last_seq: u64,
    last: Link,
    segment_bytes: u64,
}

/// How an append went wrong.
#[derive(Debug)]
pub enum AppendError {
    /// The journal is as it was.
    Refused(StoreError),
    /// Nobody knows what is on the disk. Nothing more may be appended by this process.
    Fatal(String),
}

impl Journal {
    /// Cuts off what is torn, makes all of it durable, and stands at its end. True: a segment whose fsync had failed
    /// in the process before was written anew.
    pub fn open(
        dir: &Path,
        scan: &Scan,
        mut io: Box<dyn JournalIo>,
        segment_bytes: u64,
    ) -> Result<(Self, bool), StoreError> {
        let mut number = u32::try_from(scan.segments.len()).expect("segment numbers are 32 bit");
        let torn = scan.torn.as_ref();
        if let Some(torn) = torn.filter(|torn| torn.offset == 0) {
            fs::remove_file(&torn.path).map_err(|e| StoreError::io("remove", &torn.path, e))?;
            durable::fsync_dir(dir).map_err(|e| StoreError::io("fsync", dir, e))?;
            number -= 1;
        }
        if number == 0 {
            number = 1;
            let path = dir.join(segment_name(1));
            let header = SegmentHeader {
                format: FORMAT,
                number,
                first_seq: 1,
                prev: Link::default(),
            };
            io.create(&path, &header.encode())
                .map_err(|e| StoreError::io("create", &path, e))?;
        }
        let path = dir.join(segment_name(number));
        let resynced = resync(dir, &path)?;
        let mut file = io.open(&path).map_err(|e| StoreError::io("open", &path, e))?;
        if let Some(torn) = torn.filter(|torn| torn.offset > 0) {
            io.truncate(&mut file, torn.offset)
                .map_err(|e| StoreError::io("truncate", &path, e))?;
        }
        // A killed process may have left frames that were never fsynced. From now on they are served.
        io.sync(&mut file).map_err(|e| StoreError::io("fsync", &path, e))?;
        durable::fsync_dir(dir).map_err(|e| StoreError::io("fsync", dir, e))?;
        let len = file.metadata().map_err(|e| StoreError::io("read", &path, e))?.len();
        let mut journal = Journal {
            dir: dir.to_path_buf(),
            io,
            path,
            file,
            number,
            len,
            last_seq: scan.last_seq,
            last: scan.last,
            segment_bytes,
        };
        // Segments of an older format stay as they are. The hash of all that is in them goes into a new one.
        if scan.format > 0 && scan.format < FORMAT {
            journal.rotate().map_err(|error| match error {
                AppendError::Refused(error) => error,
                AppendError::Fatal(why) => StoreError::Poisoned { why },
            })?;
        }
        Ok((journal, resynced))
    }

    /// Appends a group and makes it durable. Returns sequence number and checksum of each.
    pub fn append(&mut self, payloads: &[&[u8]]) -> Result<Vec<(u64, u32)>, AppendError> {
        if self.len >= self.segment_bytes && self.len > SEGMENT_HEADER as u64 {
            self.rotate()?;
        }
        let mut bytes = Vec::with_capacity(payloads.iter().map(|p| p.len() + frame::FRAME_HEADER).sum());
        let (mut seq, mut last) = (self.last_seq, self.last);
        let mut written = Vec::with_capacity(payloads.len());
        for (place, payload) in payloads.iter().enumerate() {
            seq += 1;
            let in_group = u16::try_from(place).unwrap_or(u16::MAX);
            last = frame::encode(&mut bytes, &last, seq, in_group, payload);
            written.push((seq, last.crc));
        }
        hit("store.before_append");
        if let Err(error) = self.io.append(&mut self.file, &bytes) {
            return Err(self.take_back(error));
        }
        hit("store.appended");
        self.io.sync(&mut self.file).map_err(|e| self.suspect(e))?;
        hit("store.synced");
        self.len += bytes.len() as u64;
        (self.last_seq, self.last) = (seq, last);
        Ok(written)
    }

    /// Gives a segment other bytes, durably, all or none. Readers that have it open go on with the old ones.
    pub fn replace(&mut self, path: &Path, bytes: &[u8]) -> Result<(), AppendError> {
        if let Err(error) = self.io.create(path, bytes) {
            return Err(match path == self.path {
                // The open file may have lost its name already: what is appended to it would be gone.
                true => AppendError::Fatal(format!("cannot rewrite {}: {error}", path.display())),
                false => AppendError::Refused(StoreError::io("rewrite", path, error)),
            });
        }
        if path == self.path {
            match self.io.open(path) {
                Ok(file) => (self.file, self.len) = (file, bytes.len() as u64),
                Err(error) => return Err(AppendError::Fatal(format!("cannot open {}: {error}", path.display()))),
            }
        }
        Ok(())
    }

    /// The last commit.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Removes what a failed append has written. It must be gone from the disk too: whole frames of the refused
    /// group could come back after a crash.
    fn take_back(&mut self, error: io::Error) -> AppendError {
        if let Err(e) = self.io.truncate(&mut self.file, self.len) {
            return AppendError::Fatal(format!(
                "an append to {} failed ({error}) and could not be taken back ({e})",
                self.path.display()
            ));
        }
        if let Err(e) = self.io.sync(&mut self.file) {
            return self.suspect(e);
        }
        AppendError::Refused(self.refused(error))
    }

    fn refused(&self, error: io::Error) -> StoreError {
        match is_disk_full(&error) {
            true => StoreError::DiskFull {
                path: self.path.clone(),
                detail: error.to_string(),
            },
            false => StoreError::AppendFailed {
                path: self.path.clone(),
                why: error.to_string(),
            },
        }
    }

    /// After a failed fsync a second one may succeed without the data being on the disk.
    fn suspect(&self, error: io::Error) -> AppendError {
        if let Err(e) = fs::write(self.dir.join(SUSPECT), b"") {
            tracing::error!(dir = %self.dir.display(), "cannot mark the journal as suspect: {e}");
        }
        AppendError::Fatal(format!("fsync of {} failed: {error}", self.path.display()))
    }

    fn rotate(&mut self) -> Result<(), AppendError> {
        let number = self.number + 1;
        let path = self.dir.join(segment_name(number));
        let header = SegmentHeader {
            format: FORMAT,
            number,
            first_seq: self.last_seq + 1,
            prev: self.last,
        };
        let opened = self
            .io
            .create(&path, &header.encode())
            .and_then(|()| self.io.open(&path));
        match opened {
            Ok(file) => {
                (self.file, self.path, self.number) = (file, path, number);
                self.len = SEGMENT_HEADER as u64;
                Ok(())
            }
            // With the new segment in place, nothing may be appended to the old one.
            Err(error) => match path.try_exists() {
                Ok(false) => Err(AppendError::Refused(self.refused(error))),
                _ => Err(AppendError::Fatal(format!(
                    "cannot begin segment {}: {error}",
                    path.display()
                ))),
            },
        }
    }
}

/// Writes the last segment anew if an fsync of it has failed, so that every page of it goes to the disk again.
fn resync(dir: &Path, path: &Path) -> Result<bool, StoreError> {
    let marker = dir.join(SUSPECT);
    if !marker.try_exists().map_err(|e| StoreError::io("read", &marker, e))? {
        return Ok(false);
    }
    let bytes = fs::read(path).map_err(|e| StoreError::io("read", path, e))?;
    durable::write_file(path, &bytes).map_err(|e| StoreError::io("rewrite", path, e))?;
    fs::remove_file(&marker).map_err(|e| StoreError::io("remove", &marker, e))?;
    Ok(true)
}
