//! How much a text looks like Chinese: the share of everyday characters.
//!
//! A wrong decoding of Chinese gives rare characters. Of running Chinese text 60 to 90 percent are among the 791
//! characters of the list, of random Chinese characters 4 (all of them) to 20 percent (the common half of GB 2312).

use std::collections::HashSet;
use std::sync::LazyLock;

/// Frequent characters of general, legal and medical Chinese, simplified and traditional, in code point order.
static COMMON: LazyLock<HashSet<char>> = LazyLock::new(|| {
    include_str!("common_han.txt")
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect()
});

/// Everyday Chinese characters among the letters that are not ASCII, and the number of these letters. Punctuation is
/// neither for nor against.
pub(super) fn common_share(text: &str) -> (f64, usize) {
    let letters = text
        .chars()
        .filter(|c| !c.is_ascii() && (c.is_alphanumeric() || *c == '\u{fffd}'));
    let (mut total, mut common) = (0_usize, 0_usize);
    for letter in letters {
        total += 1;
        common += usize::from(COMMON.contains(&letter));
    }
    (common as f64 / total.max(1) as f64, total)
}

/// Share of characters that are everyday Chinese, its punctuation or ASCII: tells the byte orders of UTF-16 apart.
pub(super) fn everyday_share(text: &str) -> f64 {
    let is_everyday = |c: &char| {
        matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{3001}' | '\u{3002}' | '\u{ff0c}') || COMMON.contains(c)
    };
    text.chars().filter(is_everyday).count() as f64 / text.chars().count().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_has_no_strangers() {
        assert_eq!(COMMON.len(), 791);
        assert!(COMMON.iter().all(|c| ('\u{4e00}'..='\u{9fff}').contains(c)));
    }
}
