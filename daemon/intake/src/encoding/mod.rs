//! From bytes to text: BOM, then strict UTF-8, then the encoding of the options, then a guess.

mod guess;
mod han;
mod name;
mod utf16;

pub use name::shown;

use crate::IntakeError;
use crate::record::{MAX_REPLACED_PERMILLE, replaced_permille};
use encoding_rs::{Encoding, UTF_8};

/// More control characters than this mean that the bytes were no text.
const MAX_CONTROL_PERMILLE: usize = 10;

/// The text of a file.
#[derive(Debug)]
pub struct Decoded {
    /// Without a BOM. Bytes that the encoding does not allow are U+FFFD.
    pub text: String,
    /// WHATWG name.
    pub encoding: &'static str,
    /// Whether there were such bytes.
    pub is_malformed: bool,
}

/// Whether `label` names an encoding, by the labels of the WHATWG standard ("gbk", "gb18030", "latin1").
pub fn is_known_encoding(label: &str) -> bool {
    Encoding::for_label_no_replacement(label.as_bytes()).is_some()
}

/// The text of bytes. `fallback` is the label of the encoding for files without a BOM that are not UTF-8; None: guess.
///
/// # Errors
/// They are no text, or no encoding fits.
pub fn decode(bytes: &[u8], fallback: Option<&str>) -> Result<Decoded, IntakeError> {
    let fallback =
        match fallback {
            Some(label) => Some(Encoding::for_label_no_replacement(label.as_bytes()).ok_or_else(|| {
                IntakeError::UnknownEncoding {
                    label: label.to_owned(),
                }
            })?),
            None => None,
        };
    if let Some(found) = signature(bytes) {
        return Err(IntakeError::Binary {
            found: found.to_owned(),
        });
    }
    let encoding = choose(bytes, fallback)?;
    let (text, used, is_malformed) = encoding.decode(bytes);
    let text = text.into_owned();
    // Damaged UTF-8 is still known to be UTF-8: there it is for the records to say which of them are unreadable.
    let permille = replaced_permille(&text);
    if is_malformed && used != UTF_8 && permille > MAX_REPLACED_PERMILLE {
        return Err(IntakeError::Undecodable {
            tried: used.name().to_owned(),
            permille,
        });
    }
    let controls = text
        .chars()
        .filter(|c| c.is_control() && !c.is_ascii_whitespace())
        .count();
    if text.contains('\0') || controls * 1000 > text.chars().count() * MAX_CONTROL_PERMILLE {
        return Err(IntakeError::Binary {
            found: "it contains control characters".to_owned(),
        });
    }
    Ok(Decoded {
        text,
        encoding: used.name(),
        is_malformed,
    })
}

fn choose(bytes: &[u8], fallback: Option<&'static Encoding>) -> Result<&'static Encoding, IntakeError> {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return Ok(encoding);
    }
    // Text in these may be valid UTF-8 byte by byte ("a\0b\0"), so they cannot wait for that test.
    if let Some(encoding) = fallback.filter(|encoding| !encoding.is_ascii_compatible()) {
        return Ok(encoding);
    }
    if bytes.contains(&0) {
        let found = || IntakeError::Binary {
            found: "it contains NUL bytes".to_owned(),
        };
        return utf16::with_nuls(bytes).ok_or_else(found);
    }
    if is_mostly_utf8(bytes) {
        return Ok(UTF_8);
    }
    Ok(fallback
        .or_else(|| utf16::without_nuls(bytes))
        .unwrap_or_else(|| guess::legacy(bytes)))
}

/// UTF-8, or UTF-8 with some damage: a cut at the end, a bad line among good ones.
fn is_mostly_utf8(bytes: &[u8]) -> bool {
    let error = match std::str::from_utf8(bytes) {
        Ok(_) => return true,
        Err(error) => error,
    };
    let (mut multibyte, mut wide, mut invalid) = (0_usize, 0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        multibyte += chunk.valid().chars().filter(|c| c.len_utf8() > 1).count();
        wide += chunk.valid().chars().filter(|c| c.len_utf8() > 2).count();
        invalid += usize::from(!chunk.invalid().is_empty());
    }
    let is_cut_at_end = error.error_len().is_none();
    if multibyte >= 20 * invalid || (is_cut_at_end && wide > 0) {
        return true;
    }
    let non_ascii = || bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_ascii());
    let good = non_ascii().filter(|line| std::str::from_utf8(line).is_ok()).count();
    good * 2 > non_ascii().count()
}

/// Names the kind of a file that is no text although it may have no NUL byte.
fn signature(bytes: &[u8]) -> Option<&'static str> {
    const SIGNATURES: [(&[u8], &str); 10] = [
        (b"%PDF-", "it is a PDF"),
        (b"PK\x03\x04", "it is a zip archive, or an office document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "it is an old office document"),
        (b"{\\rtf", "it is an RTF document"),
        (b"\x89PNG\r\n", "it is an image"),
        (b"\xff\xd8\xff", "it is an image"),
        (b"GIF8", "it is an image"),
        (b"\x1f\x8b\x08", "it is compressed"),
        (b"\x28\xb5\x2f\xfd", "it is compressed"),
        (b"\x7fELF", "it is a program"),
    ];
    SIGNATURES
        .iter()
        .find(|(magic, _)| bytes.starts_with(magic))
        .map(|(_, name)| *name)
}
