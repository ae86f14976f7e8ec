//! Terms with tokens of their own, and the tokenizer.json that carries them.

use proptest::prelude::*;
use std::path::{Path, PathBuf};
use wengu_tokenize::{Segment, SegmentKind, Tokenizer};

const FIXTURES: [&str; 2] = ["wordpiece", "byte_level"];
const TERMS: [&str; 4] = ["force majeure", "不可抗力", "metformin", "PT"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn terms() -> Vec<String> {
    TERMS.map(String::from).into()
}

/// With the terms, their ids, and what any reader makes of the saved file.
fn extended(name: &str) -> (Tokenizer, Vec<u32>, tokenizers::Tokenizer) {
    let mut tokenizer = Tokenizer::load(&folder(name)).unwrap();
    let tokens = tokenizer.append_terms(&terms()).unwrap();
    let saved = tokenizer.to_json().unwrap();
    let reader = tokenizers::Tokenizer::from_bytes(saved.as_bytes()).unwrap();
    (tokenizer, tokens.iter().map(|token| token.id).collect(), reader)
}

#[test]
fn a_term_is_one_token_wherever_it_stands() {
    for name in FIXTURES {
        let plain = Tokenizer::load(&folder(name)).unwrap();
        let (tokenizer, ids, reader) = extended(name);
        let before = plain.vocab_size() as u32;
        assert!(ids.iter().copied().eq(before..before + 4), "{name}: {ids:?}");
        for (text, wanted) in [
            ("excused by force majeure, as agreed", Some(0)),
            ("因不可抗力不能履行合同的", Some(1)),
            ("takes metformin daily", Some(2)),
            ("PT twice a week", Some(3)),
            ("PTSD and metformins are other words", None),
        ] {
            let (found, had) = (
                tokenizer.encode(text, &[], 128).unwrap(),
                plain.encode(text, &[], 128).unwrap(),
            );
            let in_it: Vec<u32> = found.iter().copied().filter(|id| *id >= before).collect();
            assert_eq!(
                in_it,
                wanted.map(|i: usize| ids[i]).into_iter().collect::<Vec<_>>(),
                "{name}: {text}"
            );
            assert_eq!(found.len() < had.len(), wanted.is_some(), "{name}: {text}");
            assert_eq!(reader.encode(text, true).unwrap().get_ids(), found, "{name}: {text}");
        }
    }
}

#[test]
fn the_pieces_are_what_the_base_models_tokenizer_says() {
    for name in FIXTURES {
        let plain = Tokenizer::load(&folder(name)).unwrap();
        let mut tokenizer = Tokenizer::load(&folder(name)).unwrap();
        for token in tokenizer.append_terms(&terms()).unwrap() {
            let with_special = plain.encode(&token.text, &[], 128).unwrap();
            let at = with_special.windows(token.pieces.len()).position(|w| w == token.pieces);
            assert!(at.is_some() && token.pieces.len() > 1, "{name}: {token:?}");
        }
    }
}

#[test]
fn a_capital_is_small_where_the_model_sees_it_so() {
    let (tokenizer, ids, _) = extended("wordpiece");
    let found = tokenizer.encode("Force Majeure. METFORMIN!", &[], 128).unwrap();
    assert!(found.contains(&ids[0]) && found.contains(&ids[2]), "{found:?}");
}

#[test]
fn terms_that_are_no_news_are_left_out() {
    let tokenizer = Tokenizer::load(&folder("wordpiece")).unwrap();
    let asked = ["metformin", "Metformin", " spaced ", "a", "metformin", "不可抗力"].map(String::from);
    let new = tokenizer.new_terms(&asked).unwrap();
    assert_eq!(new, ["metformin", "不可抗力"]);
    let mut tokenizer = tokenizer;
    assert!(tokenizer.append_terms(&asked).is_err());
}

#[test]
fn a_segment_that_is_a_term_is_its_token() {
    for name in FIXTURES {
        let (tokenizer, ids, _) = extended(name);
        let text = "因不可抗力";
        let segments = [(SegmentKind::Text, 0, 3), (SegmentKind::Term, 3, 15)];
        let segments = segments.map(|(kind, begin, end)| Segment { kind, begin, end });
        let found = tokenizer.encode(text, &segments, 128).unwrap();
        assert!(found.contains(&ids[1]), "{name}: {found:?}");
    }
}

proptest! {
    #[test]
    fn the_saved_file_gives_the_same_ids(words in prop::collection::vec(
        prop_oneof!["[a-zA-Z ,.]{0,8}", "[不可抗力合同，。]{0,4}", Just("force majeure".to_owned()), Just("不可抗力".to_owned()),
                    Just("PT".to_owned()), Just("metformin".to_owned()), Just(" ".to_owned())], 0..12)) {
        let text = words.concat();
        for name in FIXTURES {
            let (tokenizer, _, reader) = extended(name);
            let theirs = reader.encode(text.as_str(), true).unwrap();
            prop_assert_eq!(theirs.get_ids(), tokenizer.encode(&text, &[], 512).unwrap(), "{}: {:?}", name, text);
        }
    }
}
