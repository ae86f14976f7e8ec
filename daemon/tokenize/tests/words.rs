//! Which tokens a model that labels tokens is asked.

use std::path::Path;
use wengu_tokenize::{Tokenizer, WordTokens};

fn tokenizers() -> [Tokenizer; 2] {
    ["wordpiece", "byte_level"].map(|name| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        Tokenizer::load(&folder).unwrap()
    })
}

fn words(text: &str, tokens: &WordTokens) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let word = |word: &std::ops::Range<usize>| chars[word.clone()].iter().collect();
    tokens.asked.iter().map(|(_, place)| word(place)).collect()
}

#[test]
fn every_word_is_asked_once_whatever_the_pieces_are() {
    let text = "Acute  leukaemia(AML)患者服用aspirin 3 days 😷.";
    let wanted = [
        "Acute",
        "leukaemia",
        "(",
        "AML",
        ")",
        "患",
        "者",
        "服",
        "用",
        "aspirin",
        "3",
        "days",
        "😷",
        ".",
    ];
    for tokenizer in tokenizers() {
        let tokens = tokenizer.encode_words(text, tokenizer.max_length()).unwrap();
        let found = words(text, &tokens);
        // A vocabulary may hold several characters as one token: then they are asked together.
        assert_eq!(found.concat(), wanted.concat(), "{found:?}");
        assert!(
            found.len() > wanted.len() / 2 && found.len() <= wanted.len(),
            "{found:?}"
        );
        for pair in tokens.asked.windows(2) {
            assert!(pair[0].0 < pair[1].0 && pair[0].1.end <= pair[1].1.start);
        }
    }
}

#[test]
fn ids_are_those_of_the_text_and_what_is_cut_off_is_not_asked() {
    let text = "termination of this Agreement 合同解除后";
    for tokenizer in tokenizers() {
        let whole = tokenizer.encode_words(text, 64).unwrap();
        assert_eq!(whole.ids, tokenizer.encode(text, &[], 64).unwrap());
        for limit in 3..whole.ids.len() {
            let cut = tokenizer.encode_words(text, limit).unwrap();
            assert_eq!(cut.ids, tokenizer.encode(text, &[], limit).unwrap());
            let kept = cut.asked.len();
            assert!(kept <= whole.asked.len());
            // All but the last, whose word may be cut, are as before.
            assert_eq!(cut.asked[..kept - 1], whole.asked[..kept - 1]);
        }
    }
}
