//! Reading the journal: checking all of it, and replaying a part.

use super::frame::{self, BadHeader, FORMAT, FrameHeader, Link, OLDEST_FORMAT, SEGMENT_PREFIX, SegmentHeader};
use super::segment_paths;
use crate::batch::MAX_BATCH_BYTES;
use crate::redact::{GROWTH_BYTES_MAX, original};
use crate::{StoreError, TornTail};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// A frame that was read and checked.
#[derive(Debug)]
pub struct Frame {
    pub seq: u64,
    /// What the next frame carries of it.
    pub link: Link,
    pub offset: u64,
    /// Where it ends.
    pub end: u64,
    /// It says less than it did.
    pub is_redacted: bool,
    pub payload: Vec<u8>,
}

/// Why there is no further frame.
#[derive(Debug)]
enum Stop {
    /// The file ends here.
    End,
    /// The file ends within a frame.
    Cut,
    /// The bytes are not a frame.
    Damaged(&'static str),
    /// It is an intact frame, but not the one that belongs here.
    Misplaced(String),
}

impl Stop {
    fn what(&self) -> &str {
        match self {
            Stop::End => "the file ends",
            Stop::Cut => "the file ends within a frame",
            Stop::Damaged(what) => what,
            Stop::Misplaced(what) => what,
        }
    }
}

/// Reads one segment from its beginning.
struct SegmentReader {
    path: PathBuf,
    file: BufReader<File>,
    file_len: u64,
    offset: u64,
    format: u16,
    next_seq: u64,
    prev: Link,
}

impl SegmentReader {
    /// None where the file is too short to hold a header.
    fn open(path: &Path, number: u32, position: Option<(u64, Link)>) -> Result<Option<Self>, StoreError> {
        let read = |e| StoreError::io("read", path, e);
        let file = File::open(path).map_err(read)?;
        let file_len = file.metadata().map_err(read)?.len();
        if file_len < SEGMENT_PREFIX as u64 {
            return Ok(None);
        }
        let bad = |bad| match bad {
            BadHeader::Damaged(what) => StoreError::corrupt(path, 0, what),
            BadHeader::Version(found) => StoreError::JournalVersion {
                path: path.to_path_buf(),
                found,
                supported: FORMAT,
            },
        };
        let mut file = BufReader::with_capacity(1 << 16, file);
        let mut bytes = [0; SEGMENT_PREFIX];
        file.read_exact(&mut bytes).map_err(read)?;
        let mut header = SegmentHeader::decode_prefix(&bytes).map_err(bad)?;
        let offset = frame::segment_header(header.format) as u64;
        if file_len < offset {
            return Ok(None);
        }
        let (first_seq, prev) = position.unwrap_or((header.first_seq, header.prev));
        if header.format == OLDEST_FORMAT {
            header.prev.hash = prev.hash;
        } else {
            let mut bytes = [0; frame::SEGMENT_HEADER - SEGMENT_PREFIX];
            file.read_exact(&mut bytes).map_err(read)?;
            header.prev.hash = SegmentHeader::decode_hash(&bytes).map_err(bad)?;
        }
        let prev = position.map_or(header.prev, |_| prev);
        let belongs = SegmentHeader {
            number,
            first_seq,
            prev,
            ..header
        };
        if header != belongs {
            let what = format!("it does not continue the segment before it (number {number}, commit {first_seq})");
            return Err(StoreError::corrupt(path, 0, what));
        }
        Ok(Some(SegmentReader {
            path: path.to_path_buf(),
            file,
            file_len,
            offset,
            format: header.format,
            next_seq: first_seq,
            prev,
        }))
    }

    fn next(&mut self) -> Result<Result<Frame, Stop>, StoreError> {
        let remaining = self.file_len - self.offset;
        if remaining == 0 {
            return Ok(Err(Stop::End));
        }
        let header_len = frame::frame_header(self.format);
        if remaining < header_len as u64 {
            return Ok(Err(Stop::Cut));
        }
        let mut bytes = vec![0; header_len];
        self.fill(&mut bytes)?;
        let Some(header) = FrameHeader::decode(&bytes, self.format) else {
            return Ok(Err(Stop::Damaged("the checksum of the frame header does not match")));
        };
        if header.len as usize > MAX_BATCH_BYTES + GROWTH_BYTES_MAX {
            return Ok(Err(Stop::Damaged("the frame is longer than a frame may be")));
        }
        if u64::from(header.len) > remaining - header_len as u64 {
            return Ok(Err(Stop::Cut));
        }
        let mut payload = vec![0; header.len as usize];
        self.fill(&mut payload)?;
        if !header.covers(&payload) {
            return Ok(Err(Stop::Damaged("the checksum of the frame does not match")));
        }
        if header.seq != self.next_seq || !header.follows(&self.prev) {
            let what = format!("commit {} stands where commit {} belongs", header.seq, self.next_seq);
            return Ok(Err(Stop::Misplaced(what)));
        }
        let (is_redacted, link) = match original(&payload) {
            None => (false, header.link(&self.prev, &payload)),
            Some(Ok(link)) => (true, link),
            Some(Err(what)) => return Ok(Err(Stop::Damaged(what))),
        };
        let frame = Frame {
            seq: header.seq,
            link,
            offset: self.offset,
            end: self.offset + (header_len + payload.len()) as u64,
            is_redacted,
            payload,
        };
        self.offset = frame.end;
        self.next_seq += 1;
        self.prev = frame.link;
        Ok(Ok(frame))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.file
            .read_exact(bytes)
            .map_err(|e| StoreError::io("read", &self.path, e))
    }
}

/// What a scan of the whole journal found.
#[derive(Debug, Default)]
pub struct Scan {
    /// The segments, the last one included even where all of it is torn.
    pub segments: Vec<PathBuf>,
    /// The last commit, 0 where there is none.
    pub last_seq: u64,
    /// What the next one carries of it.
    pub last: Link,
    /// The format of the last segment that is not wholly torn, 0 where there is none.
    pub format: u16,
    /// The first commit that carries the hash of the one before.
    pub chained_from: Option<u64>,
    /// What has to be cut off the last segment; at offset 0 the whole file.
    pub torn: Option<TornTail>,
    /// The torn frame is of full length: a write that the disk carried out in part, or damage after the fact.
    pub torn_in_full: bool,
    /// A frame says less than it did.
    pub is_redacted: bool,
    /// Checksum and hash of the commit that was asked for.
    pub link_at: Option<Link>,
}

/// Reads and checks every byte. Damage that an interrupted write explains is reported as torn, any other is an error.
pub fn scan(dir: &Path, link_at_seq: u64) -> Result<Scan, StoreError> {
    let segments = segment_paths(dir)?;
    let mut scan = Scan::default();
    for (path, number) in segments.iter().zip(1u32..) {
        let last = number as usize == segments.len();
        let Some(mut reader) = SegmentReader::open(path, number, Some((scan.last_seq + 1, scan.last)))? else {
            let bytes = path.metadata().map_err(|e| StoreError::io("read", path, e))?.len();
            if !last {
                return Err(StoreError::corrupt(path, bytes, "the segment ends within its header"));
            }
            scan.torn = Some(TornTail {
                path: path.clone(),
                offset: 0,
                bytes,
            });
            break;
        };
        scan.format = reader.format;
        if reader.format > OLDEST_FORMAT {
            scan.chained_from.get_or_insert(reader.next_seq);
        }
        let stop = loop {
            match reader.next()? {
                Ok(frame) => {
                    (scan.last_seq, scan.last) = (frame.seq, frame.link);
                    scan.is_redacted |= frame.is_redacted;
                    if frame.seq == link_at_seq {
                        scan.link_at = Some(frame.link);
                    }
                }
                Err(stop) => break stop,
            }
        };
        let offset = reader.offset;
        if matches!(stop, Stop::End) {
            continue;
        }
        let what = stop.what();
        if !last || matches!(stop, Stop::Misplaced(_)) {
            return Err(StoreError::corrupt(path, offset, what));
        }
        if let Some(at) = durable_after(path, &reader)? {
            let what = format!("{what}, and an intact frame of a later write follows at byte {at}");
            return Err(StoreError::corrupt(path, offset, what));
        }
        scan.torn_in_full = matches!(stop, Stop::Damaged(_));
        scan.torn = Some(TornTail {
            path: path.clone(),
            offset,
            bytes: reader.file_len - offset,
        });
    }
    scan.segments = segments;
    Ok(scan)
}

/// Where a frame begins behind the one at which the reader stopped that says that this one was durable.
fn durable_after(path: &Path, stopped: &SegmentReader) -> Result<Option<u64>, StoreError> {
    let bytes = std::fs::read(path).map_err(|e| StoreError::io("read", path, e))?;
    let start = usize::try_from(stopped.offset).expect("segments fit in memory") + 1;
    let later = |bytes| frame::find_later(bytes, stopped.format, stopped.next_seq);
    Ok(bytes.get(start..).and_then(later).map(|at| (start + at) as u64))
}

/// The frames `from_seq..=to_seq` of a journal that was scanned before. What it yields was fsynced, so anything that
/// does not fit is corruption.
pub struct Frames {
    dir: PathBuf,
    segments: std::vec::IntoIter<(PathBuf, u32)>,
    reader: Option<SegmentReader>,
    position: Option<(u64, Link)>,
    from_seq: u64,
    to_seq: u64,
    done: bool,
}

impl Frames {
    pub fn open(dir: &Path, from_seq: u64, to_seq: u64) -> Result<Self, StoreError> {
        let mut segments: Vec<_> = segment_paths(dir)?.into_iter().zip(1..).collect();
        // Skip what lies before: the last segment that begins at or before `from_seq` is the first to be read. One of
        // the oldest format does not say which hash it goes on from.
        let mut skip = 0;
        for (index, (path, number)) in segments.iter().enumerate().skip(1) {
            match SegmentReader::open(path, *number, None)? {
                Some(reader) if reader.next_seq <= from_seq && reader.format == OLDEST_FORMAT => {}
                Some(reader) if reader.next_seq <= from_seq => skip = index,
                _ => break,
            }
        }
        segments.drain(..skip);
        let done = from_seq > to_seq;
        let dir = dir.to_path_buf();
        Ok(Frames {
            dir,
            segments: segments.into_iter(),
            reader: None,
            position: None,
            from_seq,
            to_seq,
            done,
        })
    }

    fn step(&mut self) -> Result<Option<(Frame, PathBuf)>, StoreError> {
        loop {
            let Some(reader) = &mut self.reader else {
                let next = self.segments.next();
                self.reader = match &next {
                    Some((path, number)) => SegmentReader::open(path, *number, self.position)?,
                    None => None,
                };
                match (&self.reader, next) {
                    (Some(_), _) => continue,
                    (None, Some((path, _))) => return Err(StoreError::corrupt(path, 0, "the segment was cut short")),
                    (None, None) => return Ok(None),
                }
            };
            match reader.next()? {
                Ok(frame) if frame.seq < self.from_seq => {}
                Ok(frame) => return Ok(Some((frame, reader.path.clone()))),
                Err(Stop::End) => {
                    self.position = Some((reader.next_seq, reader.prev));
                    self.reader = None;
                }
                Err(stop) => return Err(StoreError::corrupt(&reader.path, reader.offset, stop.what())),
            }
        }
    }
}

impl Iterator for Frames {
    type Item = Result<(Frame, PathBuf), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = match self.step() {
            Ok(Some((frame, path))) => {
                self.done = frame.seq == self.to_seq;
                Some(Ok((frame, path)))
            }
            Ok(None) => {
                // A commit that was served has gone from the journal.
                let what = format!("the journal ends before commit {}", self.to_seq);
                Some(Err(StoreError::corrupt(&self.dir, 0, what)))
            }
            Err(error) => Some(Err(error)),
        };
        self.done |= matches!(item, Some(Err(_)));
        item
    }
}
