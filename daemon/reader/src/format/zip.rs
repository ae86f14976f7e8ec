//! ZIP archives: a folder of documents. Nothing is written to disk; a name is what reports say.

use crate::budget::Budget;
use crate::panics::guarded;
use crate::walk::{Node, Stop, Walk};
use std::io::Cursor;
use wengu_intake::decode;
use wengu_protocol::reader::{Refusal, Verdict};
use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

/// An archive in memory.
pub type Archive<'b> = ZipArchive<Cursor<&'b [u8]>>;
type Entry<'a, 'b> = ZipFile<'a, Cursor<&'b [u8]>>;

/// Opens an archive.
pub fn open(bytes: &[u8]) -> Result<Archive<'_>, Refusal> {
    ZipArchive::new(Cursor::new(bytes)).map_err(refusal)
}

/// Unpacks an entry.
pub fn unpack(entry: &mut Entry<'_, '_>, budget: &mut Budget) -> Result<Vec<u8>, Refusal> {
    budget.unpack(entry)
}

/// The words of the library as one of ours.
pub fn refusal(error: ZipError) -> Refusal {
    let verdict = match &error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
            return Refusal::new(
                Verdict::Encrypted,
                "it asks for a password; unpack it and drop what it holds",
            );
        }
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => Verdict::Unsupported,
        _ => Verdict::Malformed,
    };
    Refusal::new(verdict, error.to_string())
}

/// Goes through an archive.
pub fn walk(walk: &mut Walk<'_>, node: &Node, bytes: &[u8]) -> Result<(), Stop> {
    let mut archive = match guarded(|| open(bytes)) {
        Ok(archive) => archive,
        Err(refusal) => return walk.refuse(node, refusal),
    };
    for index in 0..archive.len() {
        walk.budget.member()?;
        // The header first, which is read though the entry may be locked or packed in a way that is not known.
        let (name, is_dir, is_symlink) = match archive.by_index_raw(index) {
            Ok(entry) => (name_of(entry.name_raw()), entry.is_dir(), entry.is_symlink()),
            Err(error) => {
                walk.refuse(&node.in_archive(&format!("entry {}", index + 1)), refusal(error))?;
                continue;
            }
        };
        let inner = node.in_archive(&name);
        if is_dir || is_passed_over(&name) {
            continue;
        }
        if let Some(reason) = unsafe_name(&name).or(is_symlink.then_some("it is a symbolic link")) {
            walk.refuse(&inner, Refusal::new(Verdict::Unsafe, reason))?;
            continue;
        }
        let unpacked = guarded(|| unpack(&mut archive.by_index(index).map_err(refusal)?, &mut walk.budget));
        match unpacked {
            Ok(bytes) => walk.document(&inner, &name, &bytes)?,
            Err(refusal) => walk.refuse(&inner, refusal)?,
        }
    }
    Ok(())
}

/// A name as text. Old programs write it in the encoding of their country, and say so nowhere.
pub fn name_of(raw: &[u8]) -> String {
    let name = match std::str::from_utf8(raw) {
        Ok(name) => name.to_owned(),
        Err(_) => decode(raw, None).map_or_else(|_| String::from_utf8_lossy(raw).into_owned(), |name| name.text),
    };
    // A line break in a name must not forge a line of a report.
    name.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// Why a name is not taken: nothing is written under it, but who packed it meant harm, or packed by mistake.
pub fn unsafe_name(name: &str) -> Option<&'static str> {
    let mut parts = name.split(['/', '\\']);
    let drive = name.as_bytes().get(1) == Some(&b':');
    if name.starts_with(['/', '\\']) || drive || parts.any(|part| part == "..") {
        return Some("its name leads out of the archive");
    }
    None
}

/// What operating systems and version control add to archives, hidden files, and folders.
pub fn is_passed_over(name: &str) -> bool {
    let hidden = |part: &str| (part.starts_with('.') && part != "." && part != "..") || part == "__MACOSX";
    name.ends_with('/') || name.split('/').any(hidden) || name.ends_with("Thumbs.db")
}

impl Node {
    /// A document in this archive: a case of its own, as a file of a folder is.
    pub fn in_archive(&self, name: &str) -> Node {
        let path = self.path(name);
        Node {
            case: Some(path.clone()),
            member: Some(path),
            depth: self.depth + 1,
        }
    }

    /// The path of something in this document.
    pub fn path(&self, name: &str) -> String {
        match &self.member {
            Some(outer) => format!("{outer}/{name}"),
            None => name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_are_known() {
        for name in ["/etc/passwd", "../a", "a/../../b", "C:\\a", "\\\\server\\a", "a\\..\\b"] {
            assert!(unsafe_name(name).is_some(), "{name}");
        }
        for name in ["a.txt", "a/b..c/d.txt", "合同/一.txt"] {
            assert!(unsafe_name(name).is_none(), "{name}");
        }
    }

    #[test]
    fn old_names_are_read() {
        assert_eq!(name_of("合同/第一份合同.txt".as_bytes()), "合同/第一份合同.txt");
        assert_eq!(
            name_of(b"\xba\xcf\xcd\xac/\xb5\xda\xd2\xbb\xb7\xdd\xba\xcf\xcd\xac.txt"),
            "合同/第一份合同.txt"
        );
        assert_eq!(name_of(b"a\nb"), "a\u{fffd}b");
    }
}
