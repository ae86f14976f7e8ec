//! tar archives, packed with gzip or not. Links, devices and pipes are named and passed over.

use super::zip::{is_passed_over, name_of, unsafe_name};
use crate::panics::guarded;
use crate::walk::{Node, Stop, Walk};
use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};
use wengu_protocol::reader::{Refusal, Verdict};

/// Goes through an archive that is packed.
pub fn walk_gzip(walk_: &mut Walk<'_>, node: &Node, bytes: &[u8]) -> Result<(), Stop> {
    match guarded(|| walk_.budget.unpack(MultiGzDecoder::new(bytes))) {
        Ok(unpacked) => walk(walk_, node, &unpacked),
        Err(refusal) => walk_.refuse(node, refusal),
    }
}

/// Goes through an archive.
pub fn walk(walk: &mut Walk<'_>, node: &Node, bytes: &[u8]) -> Result<(), Stop> {
    let mut archive = Archive::new(bytes);
    let malformed = |error: std::io::Error| Refusal::new(Verdict::Malformed, error.to_string());
    let entries = match archive.entries() {
        Ok(entries) => entries,
        Err(error) => return walk.refuse(node, malformed(error)),
    };
    for entry in entries {
        walk.budget.member()?;
        // Behind a broken header nothing can be found any more.
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) => return walk.refuse(node, malformed(error)),
        };
        let name = name_of(&entry.path_bytes());
        let inner = node.in_archive(&name);
        let kind = entry.header().entry_type();
        if kind == EntryType::Directory || is_passed_over(&name) || is_about_others(kind) {
            continue;
        }
        if let Some(reason) = unsafe_name(&name).or(unsafe_kind(kind)) {
            walk.refuse(&inner, Refusal::new(Verdict::Unsafe, reason))?;
            continue;
        }
        match guarded(|| walk.budget.unpack(&mut entry)) {
            Ok(bytes) => walk.document(&inner, &name, &bytes)?,
            Err(refusal) => walk.refuse(&inner, refusal)?,
        }
    }
    Ok(())
}

fn is_about_others(kind: EntryType) -> bool {
    matches!(kind, EntryType::XGlobalHeader | EntryType::XHeader)
}

fn unsafe_kind(kind: EntryType) -> Option<&'static str> {
    match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => None,
        EntryType::Symlink => Some("it is a symbolic link"),
        EntryType::Link => Some("it is a hard link"),
        EntryType::Fifo => Some("it is a pipe"),
        EntryType::Char | EntryType::Block => Some("it is a device"),
        _ => Some("it is no plain file"),
    }
}
