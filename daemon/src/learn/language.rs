//! The language of a text, as far as slices of the gate tell languages apart: by its letters.

/// `zh` where at least a fifth of the letters are Han, as in Chinese with English terms in it; `ja` with kana among them, `ko` by
/// Hangul; `en` for Latin letters; `other`. Numbers and signs are no letters.
pub fn of(text: &str) -> &'static str {
    let (mut han, mut kana, mut hangul, mut latin, mut letters) = (0usize, 0usize, 0usize, 0usize, 0usize);
    for letter in text.chars().filter(|c| c.is_alphabetic()) {
        letters += 1;
        match letter {
            '\u{3040}'..='\u{30ff}' => kana += 1,
            '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{323af}' => han += 1,
            '\u{ac00}'..='\u{d7af}' => hangul += 1,
            'A'..='Z' | 'a'..='z' | '\u{c0}'..='\u{24f}' => latin += 1,
            _ => {}
        }
    }
    let fifth = |n: usize| n > 0 && 5 * n >= letters;
    if kana > 0 && fifth(kana + han) {
        "ja"
    } else if fifth(han) {
        "zh"
    } else if fifth(hangul) {
        "ko"
    } else if latin > 0 && 2 * latin >= letters {
        "en"
    } else {
        "other"
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn letters_tell() {
        for (text, language) in [
            ("The lessee shall pay on the 1st.", "en"),
            ("承租人应于每月1日支付租金。", "zh"),
            ("患者服用 aspirin 100mg 后 INR 升高", "zh"),
            ("Entrecôte für François", "en"),
            ("契約を解除することができる", "ja"),
            ("계약을 해지할 수 있다", "ko"),
            ("Договор", "other"),
            ("123 456", "other"),
            ("", "other"),
        ] {
            assert_eq!(of(text), language, "{text}");
        }
    }
}
