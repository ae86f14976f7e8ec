//! The files of a base model come from outside: how much of them is read, by the daemon and by the trainer alike.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// Bytes of a config.json, which is a few kilobytes, and of what lies beside it.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a tokenizer.json; the largest known, Gemma's, has 33 MiB.
pub const TOKENIZER_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a model.safetensors.index.json; that of DeepSeek-R1, with 90,000 tensors, has 9 MiB.
pub const INDEX_BYTES_MAX: u64 = 32 << 20;
/// Bytes of the header of a safetensors file, which has about a hundred for each tensor.
pub const HEADER_BYTES_MAX: u64 = 32 << 20;
/// Entries of a vocabulary: every id of a token is below it.
pub const VOCABULARY_MAX: u32 = 4_000_000;

const LENGTH_BYTES: usize = 8;

/// The whole file, unless it is larger than `most` bytes or no regular file, of which no end may come.
///
/// # Errors
/// Such a file, or one that cannot be read.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    check_size(path, most)?;
    let mut bytes = Vec::new();
    // It may grow meanwhile.
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        length if length > most => Err(too_large(length, most)),
        _ => Ok(bytes),
    }
}

/// Whether it is a regular file of at most `most` bytes.
///
/// # Errors
/// Another file, or one that is not there.
pub fn check_size(path: &Path, most: u64) -> Result<()> {
    let about = std::fs::metadata(path)?;
    if !about.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "is no regular file"));
    }
    match about.len() {
        length if length > most => Err(too_large(length, most)),
        _ => Ok(()),
    }
}

fn too_large(length: u64, most: u64) -> Error {
    let message = format!("has {length} bytes; at most {most} are read");
    Error::new(ErrorKind::FileTooLarge, message)
}

/// Whether the first bytes of a safetensors file leave room for the header that they announce, and it is one that is read.
///
/// # Errors
/// What is wrong with it, for people.
pub fn check_header(file: &[u8]) -> std::result::Result<(), String> {
    let Some((length, rest)) = file.split_first_chunk::<LENGTH_BYTES>() else {
        let bytes = file.len();
        return Err(format!(
            "no safetensors file: it has {bytes} bytes, and its length alone takes 8"
        ));
    };
    let length = u64::from_le_bytes(*length);
    if length > HEADER_BYTES_MAX {
        return Err(format!(
            "its header says that it has {length} bytes; at most {HEADER_BYTES_MAX} are read"
        ));
    }
    let left = rest.len() as u64;
    if length > left {
        return Err(format!(
            "its header says that it has {length} bytes, and {left} are left in the file"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_to_fit_into_its_file_and_below_the_limit() {
        let file = |length: u64, rest: usize| [length.to_le_bytes().to_vec(), vec![b' '; rest]].concat();
        assert_eq!(check_header(&file(2, 2)), Ok(()));
        let said = |bytes: &[u8]| check_header(bytes).unwrap_err();
        assert!(said(&[0; 7]).contains("7 bytes"), "{}", said(&[0; 7]));
        assert!(said(&file(3, 2)).contains("3 bytes, and 2 are left"));
        for length in [HEADER_BYTES_MAX + 1, 1 << 40, 1 << 63, u64::MAX] {
            let told = format!("{length} bytes; at most {HEADER_BYTES_MAX}");
            assert!(said(&file(length, 2)).contains(&told), "{}", said(&file(length, 2)));
        }
        // At the limit it is the file that is too short.
        assert!(said(&file(HEADER_BYTES_MAX, 2)).contains("are left"));
    }

    #[test]
    fn what_is_larger_or_has_no_end_is_not_read() {
        let path = std::env::temp_dir().join(format!("wengu-model-files-{}", std::process::id()));
        std::fs::write(&path, "1234").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"1234");
        let error = read(&path, 3).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "has 4 bytes; at most 3 are read");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read(&path, 4).unwrap_err().kind(), ErrorKind::NotFound);
        let endless = read(Path::new("/dev/zero"), 4).unwrap_err();
        assert!(endless.to_string().contains("no regular file"), "{endless}");
    }
}
