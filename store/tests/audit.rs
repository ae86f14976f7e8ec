//! The journal as an audit log: what was changed behind the store's back is found, the better it was done the later.

mod common;

use common::*;
use std::fs;
use std::path::Path;
use wengu_store::*;

const SEGMENT_HEADER: usize = 68;
const FRAME_HEADER: usize = 56;

/// Changes a digit in commit 3 and makes every checksum of the segment right again, and every hash where `hashes`.
fn forge(path: &Path, hashes: bool) {
    let mut bytes = fs::read(path).unwrap();
    let (mut at, mut n) = (SEGMENT_HEADER, 0);
    let (mut prev_crc, mut prev_hash) = ([0; 4], [0; 32]);
    while at < bytes.len() {
        n += 1;
        let len = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let end = at + FRAME_HEADER + len;
        if n == 3 {
            let digit = end - 1 - bytes[..end].iter().rev().position(|b| *b == b'3').unwrap();
            bytes[digit] = b'4';
        }
        bytes[at + 4..at + 8].copy_from_slice(&prev_crc);
        if hashes {
            bytes[at + 24..at + 56].copy_from_slice(&prev_hash);
        }
        let head_crc = crc32c::crc32c(&bytes[at..at + 16]);
        bytes[at + 16..at + 20].copy_from_slice(&head_crc.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[at..at + 16]), &bytes[at + 24..end]);
        prev_crc = crc.to_le_bytes();
        bytes[at + 20..at + 24].copy_from_slice(&prev_crc);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&bytes[at..at + 16]).update(&bytes[at + 24..end]);
        prev_hash = *hasher.finalize().as_bytes();
        at = end;
    }
    assert!(n > 3);
    fs::write(path, bytes).unwrap();
}

fn five_commits(dir: &Path) {
    let (store, _) = open(dir);
    (1..=5).for_each(|n| assert_eq!(put(&store, &format!("k{n}"), n), n));
    assert_eq!(segments(dir).len(), 1);
}

#[test]
fn a_commit_changed_with_right_checksums_is_found_by_the_hashes() {
    let dir = tempfile::tempdir().unwrap();
    five_commits(dir.path());
    forge(&segments(dir.path())[0], false);
    for error in [
        audit::verify(dir.path(), None).unwrap_err(),
        Store::open(dir.path(), options()).err().unwrap(),
    ] {
        assert!(matches!(error, StoreError::JournalCorrupt { .. }), "{error}");
    }
}

#[test]
fn a_log_forged_with_all_its_hashes_is_found_by_the_one_that_was_noted() {
    let dir = tempfile::tempdir().unwrap();
    five_commits(dir.path());
    let noted = audit::verify(dir.path(), None).unwrap();
    assert_eq!((noted.commits, noted.chained_from), (5, Some(1)));
    let noted = Some((noted.commits, noted.head));
    assert!(audit::verify(dir.path(), noted).is_ok());
    forge(&segments(dir.path())[0], true);
    assert!(
        audit::verify(dir.path(), None).is_ok(),
        "the forgery is not what it should be"
    );
    let error = audit::verify(dir.path(), noted).unwrap_err();
    assert!(matches!(error, StoreError::AuditBroken { seq: 5, .. }), "{error}");
}

#[test]
fn a_log_that_lost_its_end_is_found_by_the_hash_that_was_noted() {
    let dir = tempfile::tempdir().unwrap();
    five_commits(dir.path());
    let noted = audit::verify(dir.path(), None).unwrap();
    let path = &segments(dir.path())[0];
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(audit::verify(dir.path(), None).unwrap().torn_tail.is_some());
    let error = audit::verify(dir.path(), Some((5, noted.head))).unwrap_err();
    assert!(error.to_string().contains("the log ends at commit 4"), "{error}");
}

#[test]
fn the_log_is_read_and_exported_while_the_store_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    (1..=60).for_each(|n| assert_eq!(put(&store, "k", n), n));
    assert!(segments(dir.path()).len() > 2);
    let report = audit::verify(dir.path(), None).unwrap();
    assert_eq!((report.commits, &report.torn_tail), (60, &None));
    let mut entries = Vec::new();
    audit::export(dir.path(), 50, |entry| {
        entries.push(entry);
        Ok::<_, StoreError>(())
    })
    .unwrap();
    let seqs: Vec<u64> = entries.iter().map(|entry| entry.event.seq).collect();
    assert_eq!(seqs, (50..=60).collect::<Vec<_>>());
    assert_eq!(entries.last().unwrap().hash, report.head);
}
