//! UTF-16 without a BOM.

use super::han;
use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

/// Enough to tell; a file of many megabytes is not decoded twice.
const SAMPLE_BYTES: usize = 64 << 10;
/// Share of characters that must be what text is made of.
const MIN_PLAUSIBLE: f64 = 0.97;
/// Code units below which Chinese without any ASCII is not told from other encodings.
const MIN_UNITS: usize = 6;
/// One byte in so many must be beyond ASCII. In Chinese UTF-16 one in 2 to 5 is, in Latin text one in 15 or fewer.
const MAX_PER_NON_ASCII: usize = 10;
/// Share of everyday characters in Chinese text; in other text read as UTF-16 it is about 0.05.
const MIN_COMMON: f64 = 0.2;

/// The byte order in which bytes with NULs among them are text. Any ASCII character in UTF-16 has a NUL byte.
pub(super) fn with_nuls(bytes: &[u8]) -> Option<&'static Encoding> {
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    let candidates = [UTF_16LE, UTF_16BE].into_iter().filter_map(|encoding| {
        let text = decode_sample(bytes, encoding);
        let is_plausible = is_plausible(&text, |c| is_of_text(c) || is_of_other_scripts(c));
        // "e" in the wrong order is a Chinese character: plausible, but no everyday one.
        is_plausible.then(|| (han::everyday_share(&text), encoding))
    });
    candidates
        .reduce(|one, other| if other.0 > one.0 { other } else { one })
        .map(|(_, encoding)| encoding)
}

/// The byte order in which bytes without NULs are Chinese text without any ASCII, not even a line break.
pub(super) fn without_nuls(bytes: &[u8]) -> Option<&'static Encoding> {
    let non_ascii = bytes.iter().filter(|byte| !byte.is_ascii()).count();
    if !bytes.len().is_multiple_of(2) || bytes.len() / 2 < MIN_UNITS || non_ascii < bytes.len() / MAX_PER_NON_ASCII {
        return None;
    }
    [UTF_16LE, UTF_16BE].into_iter().find(|encoding| {
        let text = decode_sample(bytes, encoding);
        is_plausible(&text, is_of_text) && han::common_share(&text).0 >= MIN_COMMON
    })
}

fn decode_sample(bytes: &[u8], encoding: &'static Encoding) -> String {
    encoding
        .decode_without_bom_handling(&bytes[..bytes.len().min(SAMPLE_BYTES)])
        .0
        .into_owned()
}

fn is_plausible(text: &str, is_of_text: impl Fn(char) -> bool) -> bool {
    let plausible = text.chars().filter(|&c| is_of_text(c)).count();
    plausible as f64 >= text.chars().count() as f64 * MIN_PLAUSIBLE
}

/// Scripts that the bytes of other encodings seldom fall into when they are read in pairs.
fn is_of_text(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{52f}' | '\u{1e00}'..='\u{206f}'
        | '\u{20a0}'..='\u{22ff}' | '\u{2460}'..='\u{25ff}' | '\u{3000}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}'
        | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{2ffff}')
}

/// Scripts that they do fall into, GBK above all into Hangul; believed only where NULs speak for UTF-16.
fn is_of_other_scripts(c: char) -> bool {
    matches!(c, '\u{530}'..='\u{1dff}' | '\u{ac00}'..='\u{d7a3}')
}
