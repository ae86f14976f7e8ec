//! Every cut and every flipped byte of a journal.

use super::frame::{FRAME_HEADER, Link, SEGMENT_HEADER};
use super::io::JournalIo;
use super::scan::{Frames, Scan, scan};
use super::write::{AppendError, Journal};
use super::{segment_name, segment_paths};
use crate::StoreError;
use std::fs::{self, File};
use std::io;
use std::path::Path;

const COMMITS: u64 = 14;

/// Nothing here is cut off from a real disk, so nothing needs a real fsync.
struct NoSync;

impl JournalIo for NoSync {
    fn create(&mut self, path: &Path, header: &[u8]) -> io::Result<()> {
        fs::write(path, header)
    }

    fn sync(&mut self, _: &mut File) -> io::Result<()> {
        Ok(())
    }
}

fn payload(n: u64) -> String {
    format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(n as usize * 7 % 40))
}

/// A journal of several segments, and the size that each commit ends at, over all segments.
fn journal(dir: &Path) -> Vec<u64> {
    let (mut journal, _) = Journal::open(dir, &Scan::default(), Box::new(NoSync), 250).unwrap();
    let mut ends = vec![SEGMENT_HEADER as u64];
    for n in 1..=COMMITS {
        journal.append(&[payload(n).as_bytes()]).unwrap();
        ends.push(
            segment_paths(dir)
                .unwrap()
                .iter()
                .map(|p| p.metadata().unwrap().len())
                .sum(),
        );
    }
    assert!(segment_paths(dir).unwrap().len() > 2);
    ends
}

fn read(dir: &Path) -> Vec<Vec<u8>> {
    segment_paths(dir)
        .unwrap()
        .iter()
        .map(|path| fs::read(path).unwrap())
        .collect()
}

fn write(dir: &Path, segments: &[Vec<u8>]) {
    fs::remove_dir_all(dir).unwrap();
    fs::create_dir(dir).unwrap();
    for (bytes, number) in segments.iter().zip(1..) {
        fs::write(dir.join(segment_name(number)), bytes).unwrap();
    }
}

/// The commits that can be read must be the first ones, unchanged.
fn assert_prefix(dir: &Path, scan: &Scan) {
    let frames: Vec<_> = Frames::open(dir, 1, scan.last_seq)
        .unwrap()
        .map(|f| f.unwrap().0.payload)
        .collect();
    assert_eq!(frames.len() as u64, scan.last_seq);
    for (frame, n) in frames.iter().zip(1..) {
        assert_eq!(frame, payload(n).as_bytes());
    }
}

#[test]
fn any_prefix_of_the_journal_is_a_prefix_of_the_commits_and_can_be_continued() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let ends = journal(dir);
    let segments = read(dir);
    let total: usize = segments.iter().map(Vec::len).sum();
    for cut in 0..=total {
        let mut left = cut;
        let mut kept = Vec::new();
        for bytes in &segments {
            kept.push(bytes[..left.min(bytes.len())].to_vec());
            left -= kept.last().unwrap().len();
            if left == 0 {
                break;
            }
        }
        write(dir, &kept);
        let found = scan(dir, 0).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut as u64).count().saturating_sub(1);
        assert_eq!(found.last_seq, whole as u64, "cut at {cut}");
        let torn = found.torn.as_ref().map_or(0, |torn| torn.bytes);
        let on_boundary = segments
            .iter()
            .scan(0, |sum, s| {
                *sum += s.len();
                Some(*sum)
            })
            .any(|sum| sum == cut);
        assert_eq!(
            torn > 0,
            !(on_boundary || ends.contains(&(cut as u64)) || ends_with_header(&kept)) && cut > 0
        );
        if cut % 5 > 0 {
            continue;
        }
        // Go on from there.
        let (mut journal, _) = Journal::open(dir, &found, Box::new(NoSync), 250).unwrap();
        for n in found.last_seq + 1..=COMMITS {
            journal.append(&[payload(n).as_bytes()]).unwrap();
        }
        let found = scan(dir, 0).unwrap();
        assert_eq!((found.last_seq, found.torn.is_none()), (COMMITS, true));
        assert_prefix(dir, &found);
    }
}

fn ends_with_header(kept: &[Vec<u8>]) -> bool {
    kept.last().is_some_and(|bytes| bytes.len() == SEGMENT_HEADER)
}

#[test]
fn a_flipped_byte_anywhere_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    journal(dir);
    let segments = read(dir);
    let last_frame = segments.last().unwrap().len() - FRAME_HEADER - payload(COMMITS).len();
    for (number, bytes) in segments.iter().enumerate() {
        for at in 0..bytes.len() {
            let in_last_frame = number + 1 == segments.len() && at >= last_frame;
            let mask = [0x01, 0x80, 0xff][at % 3];
            let mut bad = bytes.clone();
            bad[at] ^= mask;
            fs::write(dir.join(segment_name(number as u32 + 1)), &bad).unwrap();
            match scan(dir, 0) {
                // Nothing follows it, so it looks like an interrupted write; the store asks the index.
                Ok(found) if in_last_frame => {
                    assert_eq!(found.last_seq, COMMITS - 1);
                    assert!(found.torn_in_full, "byte {at}");
                    assert_prefix(dir, &found);
                }
                Err(StoreError::JournalCorrupt { path, offset, .. }) => {
                    assert!(!in_last_frame && offset <= at as u64);
                    assert_eq!(path, dir.join(segment_name(number as u32 + 1)));
                }
                other => panic!("byte {at} of segment {}: {other:?}", number + 1),
            }
        }
        fs::write(dir.join(segment_name(number as u32 + 1)), bytes).unwrap();
    }
}

#[test]
fn removed_repeated_and_exchanged_parts_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    journal(dir);
    let segments = read(dir);
    let corrupt = |segments: &[Vec<u8>], what: &str| {
        write(dir, segments);
        assert!(matches!(scan(dir, 0), Err(StoreError::JournalCorrupt { .. })), "{what}");
    };
    let frame = |bytes: &[u8], at: usize| {
        at + FRAME_HEADER + u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    };
    let (first, second) = (SEGMENT_HEADER, frame(&segments[0], SEGMENT_HEADER));
    let mut changed = segments.clone();
    changed[0].drain(first..second);
    corrupt(&changed, "a removed frame");
    let mut changed = segments.clone();
    let copy = segments[0][first..second].to_vec();
    changed[0].splice(second..second, copy);
    corrupt(&changed, "a repeated frame");
    let mut changed = segments.clone();
    changed.swap(0, 1);
    corrupt(&changed, "exchanged segments");
    let mut changed = segments.clone();
    changed.remove(1);
    corrupt(&changed, "a removed segment, the rest renumbered");
    write(dir, &segments);
    fs::remove_file(dir.join(segment_name(2))).unwrap();
    assert!(scan(dir, 0).unwrap_err().to_string().contains("00000002.wj"));
    // A copy of the journal's end behind the end, as a file system might leave it.
    let mut changed = segments.clone();
    let tail = changed.last().unwrap()[SEGMENT_HEADER..].to_vec();
    changed.last_mut().unwrap().extend(tail);
    corrupt(&changed, "a repeated tail");
    // A frame of another journal with the right number: only the chain tells.
    let mut changed = segments.clone();
    let keep = changed.last().unwrap().len() - FRAME_HEADER - payload(COMMITS).len();
    changed.last_mut().unwrap().truncate(keep);
    let foreign = Link {
        crc: 12345,
        ..Link::default()
    };
    super::frame::encode(
        changed.last_mut().unwrap(),
        &foreign,
        COMMITS,
        0,
        payload(COMMITS).as_bytes(),
    );
    corrupt(&changed, "a frame of another journal");
}

#[test]
fn of_one_write_any_page_may_be_lost_and_of_an_earlier_one_none() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    journal(dir);
    let (mut open, _) = Journal::open(dir, &scan(dir, 0).unwrap(), Box::new(NoSync), 1 << 20).unwrap();
    let before = fs::read(segment_paths(dir).unwrap().pop().unwrap()).unwrap().len();
    let payloads: Vec<String> = (1..=3).map(|n| payload(COMMITS + n)).collect();
    let group: Vec<&[u8]> = payloads.iter().map(|payload| payload.as_bytes()).collect();
    open.append(&group).unwrap();
    let path = segment_paths(dir).unwrap().pop().unwrap();
    let whole = fs::read(&path).unwrap();
    assert_eq!(scan(dir, 0).unwrap().last_seq, COMMITS + 3);
    // The first frame of the group did not reach the disk, the others did: nothing of it was acknowledged.
    let first = before..before + FRAME_HEADER + payloads[0].len();
    let mut torn = whole.clone();
    torn[first.clone()].fill(0);
    fs::write(&path, &torn).unwrap();
    let found = scan(dir, 0).unwrap();
    assert_eq!((found.last_seq, found.torn.unwrap().offset), (COMMITS, before as u64));
    // A later write says that it was durable: then it is damage.
    fs::write(&path, &whole).unwrap();
    open.append(&[payload(COMMITS + 4).as_bytes()]).unwrap();
    let mut damaged = fs::read(&path).unwrap();
    damaged[first].fill(0);
    fs::write(&path, &damaged).unwrap();
    let error = scan(dir, 0).unwrap_err().to_string();
    assert!(error.contains("an intact frame of a later write follows"), "{error}");
}

/// A disk on which no file can be made any more.
struct Full;

impl JournalIo for Full {
    fn create(&mut self, _: &Path, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
}

#[test]
fn after_a_rewrite_of_the_open_segment_that_failed_nothing_is_appended() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    journal(dir);
    let segments = segment_paths(dir).unwrap();
    let (mut open, _) = Journal::open(dir, &scan(dir, 0).unwrap(), Box::new(Full), 1 << 20).unwrap();
    let anew = |path: &Path| fs::read(path).unwrap();
    let (first, last) = (&segments[0], segments.last().unwrap());
    assert!(matches!(
        open.replace(first, &anew(first)),
        Err(AppendError::Refused(_))
    ));
    assert!(matches!(open.replace(last, &anew(last)), Err(AppendError::Fatal(_))));
}

#[test]
fn zeros_behind_the_end_are_an_interrupted_write() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    journal(dir);
    let last = segment_paths(dir).unwrap().pop().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    bytes.extend([0; 5000]);
    fs::write(&last, bytes).unwrap();
    let found = scan(dir, 0).unwrap();
    assert_eq!((found.last_seq, found.torn.unwrap().bytes), (COMMITS, 5000));
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let path = dir.path().join(segment_name(1));
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 4;
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let error = scan(dir.path(), 0).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::JournalVersion {
                found: 4,
                supported: 3,
                ..
            }
        ),
        "{error}"
    );
}
