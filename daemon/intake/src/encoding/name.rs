//! Names of files whose bytes are not UTF-8, as on shares that Windows machines of before wrote.

use super::guess;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// A path for people. What is not UTF-8 of it is decoded part by part, as text would be; where that fails, what cannot be read is U+FFFD.
pub fn shown(path: &Path) -> String {
    if let Some(text) = path.to_str() {
        return text.to_owned();
    }
    let part = |part: Component| {
        let bytes = part.as_os_str().as_bytes();
        let (text, is_malformed) = guess::legacy(bytes).decode_without_bom_handling(bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) if is_malformed || text.contains(char::is_control) => {
                String::from_utf8_lossy(bytes).replace(char::is_control, "\u{fffd}")
            }
            Err(_) => text.into_owned(),
        }
    };
    let parts: Vec<String> = path.components().map(part).collect();
    parts.join("/").replacen("//", "/", 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::GB18030;
    use std::ffi::OsStr;

    #[test]
    fn names_of_old_bytes_are_read_as_text_would_be() {
        let shown = |bytes: &[u8]| shown(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(shown("/入口/病历.txt".as_bytes()), "/入口/病历.txt");
        let (name, ..) = GB18030.encode("出院小结与病历.txt");
        assert_eq!(
            shown(&["/入口/".as_bytes(), &name].concat()),
            "/入口/出院小结与病历.txt"
        );
        assert_eq!(shown(&["in/".as_bytes(), &name].concat()), "in/出院小结与病历.txt");
        // Of so little nobody can tell what it was; it is some name in the same folder, and has nothing that moves a cursor.
        for bytes in [b"\xff\xff", b"\x80\x81", b"\x1b\xc3"] {
            let name = shown(&[b"/in/", bytes.as_slice(), b".txt"].concat());
            assert!(name.starts_with("/in/") && name.ends_with(".txt"), "{name:?}");
            assert_eq!(name.matches('/').count(), 2);
            assert!(!name.contains(char::is_control), "{name:?}");
        }
    }
}
