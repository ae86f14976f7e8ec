//! Digests of what lies in a job directory, as `sha256sum` writes and checks them: a byte that was changed is named by
//! whoever reads next, and what was not on the disk when the power failed is not taken for what was written.

use std::io::{Error, ErrorKind};
use std::path::Path;

/// One line of a list.
pub fn line(name: &str, sha256: &str) -> String {
    format!("{sha256}  {name}\n")
}

/// Holds the files that `list` names against their digests, by a function that takes the digest of a file. Names are relative to
/// `folder`, in which the list lies too.
///
/// # Errors
/// What does not fit, for people; of [`ErrorKind::NotFound`] where there is no list.
pub fn verify(folder: &Path, list: &str, sha256_file: impl Fn(&Path) -> std::io::Result<String>) -> Result<(), Error> {
    let damaged = |what: String| Error::new(ErrorKind::InvalidData, what);
    let lines = std::fs::read_to_string(folder.join(list)).map_err(|e| Error::new(e.kind(), format!("{list}: {e}")))?;
    if !lines.ends_with('\n') {
        return Err(damaged(format!("{list} ends early")));
    }
    for line in lines.lines() {
        let Some((expected, name)) = line.split_once("  ") else {
            return Err(damaged(format!("{list} has a line that is no digest and name")));
        };
        let found = sha256_file(&folder.join(name)).map_err(|e| damaged(format!("{name}: {e}")))?;
        if found != expected {
            return Err(damaged(format!("{name} has SHA-256 {found}, {list} has {expected}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No digest: the module takes whatever its caller does.
    fn length(path: &Path) -> std::io::Result<String> {
        std::fs::read(path).map(|bytes| bytes.len().to_string())
    }

    #[test]
    fn every_file_of_a_list_is_held_against_it() {
        let dir = std::env::temp_dir().join(format!("wengu-sums-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let said = |list: &str| {
            std::fs::write(dir.join("LIST"), list).unwrap();
            verify(&dir, "LIST", length).map_err(|e| (e.kind(), e.to_string()))
        };
        std::fs::write(dir.join("a"), "12345").unwrap();
        std::fs::write(dir.join("b"), "1").unwrap();
        let list = line("a", "5") + &line("b", "1");
        assert_eq!(said(&list), Ok(()));
        let damaged = |what: &str| Err((ErrorKind::InvalidData, what.to_owned()));
        assert_eq!(said(list.trim_end()), damaged("LIST ends early"));
        assert_eq!(said(""), damaged("LIST ends early"));
        assert_eq!(said("a\n"), damaged("LIST has a line that is no digest and name"));
        assert_eq!(said(&line("a", "4")), damaged("a has SHA-256 5, LIST has 4"));
        let gone = said(&line("c", "4")).unwrap_err();
        assert!(
            gone.0 == ErrorKind::InvalidData && gone.1.starts_with("c: "),
            "{gone:?}"
        );
        assert_eq!(verify(&dir, "none", length).unwrap_err().kind(), ErrorKind::NotFound);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
