//! Names that are never case files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

const SUFFIXES: [&[u8]; 9] = [
    b"~",
    b".part",
    b".partial",
    b".tmp",
    b".temp",
    b".crdownload",
    b".filepart",
    b".swp",
    b".swx",
];
const NAMES: [&[u8]; 2] = [b"thumbs.db", b"desktop.ini"];
/// Lock files of office programs: `~$report.docx`; LibreOffice's `.~lock.x#` starts with a dot.
const PREFIXES: [&[u8]; 2] = [b".", b"~$"];

/// Whether a file or folder of this name is passed over without a word: hidden ones, and what editors, browsers,
/// synchronisers and file managers keep while they work. Case does not matter.
pub fn is_ignored(name: &OsStr) -> bool {
    let name = name.as_bytes().to_ascii_lowercase();
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        || NAMES.contains(&name.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn working_files_are_ignored_and_case_files_are_not() {
        for name in [
            ".hidden",
            ".",
            ".~lock.a.odt#",
            "~$a.docx",
            "a.txt~",
            "a.part",
            "a.txt.PART",
            "a.tmp",
            "a.crdownload",
            "a.filepart",
            ".a.txt.swp",
            "a.swx",
            "Thumbs.db",
            "desktop.ini",
            "Desktop.INI",
        ] {
            assert!(is_ignored(OsStr::new(name)), "{name}");
        }
        for name in [
            "a.txt",
            "判决书.md",
            "part",
            "a.part.txt",
            "~a.txt",
            "tmp",
            "thumbs.db.txt",
            "a.label",
        ] {
            assert!(!is_ignored(OsStr::new(name)), "{name}");
        }
        assert!(!is_ignored(OsStr::from_bytes(b"\xb0\xb8\xc0\xfd.txt")), "GBK name");
    }
}
