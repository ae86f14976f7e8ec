//! UTF-16 without a BOM.

use super::han;
use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

/// Enough to tell; a file of many megabytes is not decoded twice.
const SAMPLE_BYTES: usize = 64 << 10;
/// Share of code units that must be what text is made of.
const MIN_PLAUSIBLE: f64 = 0.97;
/// Code units below which Chinese without any ASCII is not told from other encodings.
const MIN_UNITS: usize = 6;
/// Share of everyday characters in Chinese text; in other text read as UTF-16 it is about 0.05.
const MIN_COMMON: f64 = 0.35;

/// The byte order in which bytes with NULs among them are text. Any ASCII character in UTF-16 has a NUL byte.
pub(super) fn with_nuls(bytes: &[u8]) -> Option<&'static Encoding> {
    let best = [UTF_16LE, UTF_16BE].map(|encoding| (plausible_share(bytes, encoding), encoding));
    let (share, encoding) = if best[1].0 > best[0].0 { best[1] } else { best[0] };
    (bytes.len().is_multiple_of(2) && share >= MIN_PLAUSIBLE).then_some(encoding)
}

/// The byte order in which bytes without NULs are Chinese text without any ASCII, not even a line break.
pub(super) fn without_nuls(bytes: &[u8]) -> Option<&'static Encoding> {
    if !bytes.len().is_multiple_of(2) || bytes.len() / 2 < MIN_UNITS {
        return None;
    }
    [UTF_16LE, UTF_16BE].into_iter().find(|encoding| {
        plausible_share(bytes, encoding) >= MIN_PLAUSIBLE
            && han::common_share(&encoding.decode_without_bom_handling(sample(bytes)).0).0 >= MIN_COMMON
    })
}

fn sample(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(SAMPLE_BYTES)]
}

fn plausible_share(bytes: &[u8], encoding: &'static Encoding) -> f64 {
    let sample = sample(bytes);
    let (text, _) = encoding.decode_without_bom_handling(sample);
    let (mut total, mut plausible) = (0_usize, 0_usize);
    for c in text.chars() {
        total += 1;
        plausible += usize::from(is_plausible(c));
    }
    plausible as f64 / total.max(1) as f64
}

/// Scripts that the bytes of other encodings seldom fall into when they are read in pairs: not the Hangul and
/// private-use blocks, where GBK lands, except that Korean with spaces is told by its NULs.
fn is_plausible(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{52f}' | '\u{1e00}'..='\u{206f}'
        | '\u{20a0}'..='\u{22ff}' | '\u{2460}'..='\u{25ff}' | '\u{3000}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}'
        | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{2ffff}')
}
