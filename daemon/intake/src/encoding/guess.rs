//! Which encoding of old bytes that are neither UTF-8 nor UTF-16 are in.
//!
//! chardetng decides, and is overruled in two cases where its prior (the web) is not ours: short Chinese texts that
//! it takes for Japanese, Korean or Cyrillic, and English ones with a lone symbol such as a pound sign.

use super::han;
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{BIG5, Encoding, GB18030, GBK, WINDOWS_1252};

/// Of the file from its first byte that is not ASCII.
const SAMPLE_BYTES: usize = 256 << 10;
/// Share of everyday Chinese characters that overrules a guess, and by how much it must beat that of the guess.
const MIN_COMMON: f64 = 0.5;
const MIN_COMMON_GAIN: f64 = 0.2;

pub(super) fn legacy(bytes: &[u8]) -> &'static Encoding {
    let sample = sample(bytes);
    if is_latin_with_symbols(sample) {
        return WINDOWS_1252;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(sample, true);
    let guessed = detector.guess(None, Utf8Detection::Deny);
    // The decoder of GBK is that of GB18030; the name says what can be read.
    let guessed = if guessed == GBK { GB18030 } else { guessed };
    let score = |encoding: &'static Encoding| {
        let (text, is_malformed) = encoding.decode_without_bom_handling(sample);
        let (share, letters) = han::common_share(&text);
        if is_malformed || letters < 2 { 0.0 } else { share }
    };
    let of_guess = score(guessed);
    let best = [GB18030, BIG5].map(|encoding| (score(encoding), encoding));
    let (of_best, encoding) = if best[1].0 > best[0].0 { best[1] } else { best[0] };
    if of_best >= MIN_COMMON && of_best >= of_guess + MIN_COMMON_GAIN {
        encoding
    } else {
        guessed
    }
}

/// Starts at the first byte that is not ASCII, which begins a character in all candidates, and ends with a line where
/// it is not the end of the file: no candidate has a line feed inside a character.
fn sample(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !byte.is_ascii()).unwrap_or(0);
    // chardetng looks at the character before, too.
    let rest = &bytes[start.saturating_sub(1)..];
    if rest.len() <= SAMPLE_BYTES {
        return rest;
    }
    let cut = &rest[..SAMPLE_BYTES];
    cut.iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(cut, |end| &cut[..=end])
}

/// ASCII text where every other byte stands alone and is a symbol of windows-1252 (quotation marks, dashes, bullets,
/// £ § ® ° ± µ × ÷). In Chinese, Japanese and Korean such bytes follow each other, at once or with one ASCII byte
/// between; in the other Latin encodings some are letters, and stand between letters.
fn is_latin_with_symbols(sample: &[u8]) -> bool {
    let at = |index: Option<usize>| index.and_then(|index| sample.get(index)).copied().unwrap_or(b' ');
    sample
        .iter()
        .enumerate()
        .filter(|(_, byte)| !byte.is_ascii())
        .all(|(index, &byte)| {
            let (before, next, after_next) = (at(index.checked_sub(1)), at(Some(index + 1)), at(Some(index + 2)));
            let is_inner = matches!(byte, 0x80..=0x9f | 0xa0 | 0xad | 0xb7);
            let is_symbol = matches!(byte, 0x80 | 0x82 | 0x84..=0x87 | 0x89 | 0x8b | 0x91..=0x97 | 0x99 | 0x9b)
                || matches!(byte, 0xa0..=0xbf | 0xd7 | 0xf7);
            let is_inside_word = before.is_ascii_alphabetic() && next.is_ascii_alphabetic();
            let is_pair = !next.is_ascii() || (matches!(next, b'@'..=b'~') && !after_next.is_ascii());
            is_symbol && !is_pair && (is_inner || !is_inside_word)
        })
}
