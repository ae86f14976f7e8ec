//! Encoding with and without segments, against the base model's own tokenizer.

use proptest::prelude::*;
use std::path::{Path, PathBuf};
use wengu_tokenize::{Segment, SegmentKind, TokenizeError, Tokenizer};

const FIXTURES: [&str; 2] = ["wordpiece", "byte_level"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn load(name: &str) -> Tokenizer {
    Tokenizer::load(&folder(name)).unwrap()
}

/// The tokenizers crate alone, without the padding and truncation of the file.
fn plain(name: &str) -> tokenizers::Tokenizer {
    let mut tokenizer = tokenizers::Tokenizer::from_file(folder(name).join("tokenizer.json")).unwrap();
    tokenizer.with_truncation(None).unwrap().with_padding(None);
    tokenizer
}

fn plain_ids(tokenizer: &tokenizers::Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text, true).unwrap().get_ids().to_vec()
}

/// Segments from pieces of a text.
fn pieces(pieces: &[(SegmentKind, &str)]) -> (String, Vec<Segment>) {
    let mut text = String::new();
    let mut segments = Vec::new();
    for (kind, piece) in pieces {
        let begin = text.len() as u32;
        text += piece;
        segments.push(Segment {
            kind: *kind,
            begin,
            end: text.len() as u32,
        });
    }
    (text, segments)
}

fn words(name: &str, ids: &[u32]) -> Vec<String> {
    let tokenizer = plain(name);
    ids.iter().map(|&id| tokenizer.id_to_token(id).unwrap()).collect()
}

use SegmentKind::{Drop, Term, Text};

#[test]
fn without_segments_the_ids_are_the_tokenizers_own() {
    let texts = std::fs::read_to_string(folder("../../../../tests/oracle/texts.jsonl")).unwrap();
    for name in FIXTURES {
        let (ours, theirs) = (load(name), plain(name));
        let special = plain_ids(&theirs, "").len();
        for line in texts.lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = record["text"].as_str().unwrap();
            let reference = plain_ids(&theirs, text);
            assert_eq!(ours.token_count_plain(text).unwrap(), reference.len() - special);
            let cut = ours.encode(text, &[], 40).unwrap();
            assert!(cut.len() <= 40);
            if reference.len() <= 40 {
                assert_eq!(cut, reference);
            } else {
                assert_eq!(cut[..38], reference[..38]);
                assert_eq!(cut[40 - special / 2..], reference[reference.len() - special / 2..]);
            }
        }
        assert_eq!(ours.encode("", &[], 40).unwrap(), plain_ids(&theirs, ""));
    }
}

#[test]
fn a_term_is_one_token_where_the_vocabulary_has_it() {
    // Alone, BERT's pre-tokeniser splits at the hyphen and at every ideograph.
    let folder = tempfile::tempdir().unwrap();
    let source = folder_of_wordpiece_with(&["covid-19", "民法典", "newyork"]);
    std::fs::write(folder.path().join("tokenizer.json"), source).unwrap();
    let tokenizer = Tokenizer::load(folder.path()).unwrap();
    let terms = [
        (Text, "the "),
        (Term, "COVID-19"),
        (Text, " 依照"),
        (Term, "民法典"),
        (Text, "的 "),
        (Term, "New York"),
    ];
    let (text, segments) = pieces(&terms);
    let id = |token: &str| {
        let inner = tokenizers::Tokenizer::from_file(folder.path().join("tokenizer.json")).unwrap();
        inner.token_to_id(token).unwrap()
    };
    let ids = tokenizer.encode(&text, &segments, 64).unwrap();
    assert_eq!(ids.iter().filter(|&&found| found == id("covid-19")).count(), 1);
    assert_eq!(ids.iter().filter(|&&found| found == id("民法典")).count(), 1);
    // Two words are no spelling of the vocabulary's one word.
    assert!(!ids.contains(&id("newyork")));
    let without = tokenizer.encode(&text, &[], 64).unwrap();
    assert!(!without.contains(&id("covid-19")) && !without.contains(&id("民法典")));
}

/// The small tokenizer with more entries in its vocabulary.
fn folder_of_wordpiece_with(entries: &[&str]) -> String {
    let bytes = std::fs::read(folder("wordpiece").join("tokenizer.json")).unwrap();
    let mut file: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let vocab = file["model"]["vocab"].as_object_mut().unwrap();
    for entry in entries {
        let id = vocab.len();
        vocab.insert((*entry).to_owned(), id.into());
    }
    file.to_string()
}

#[test]
fn no_token_crosses_the_borders_of_a_term() {
    // One token without the border.
    for (name, whole, parts) in [
        ("wordpiece", "agreement", ("agree", "ment")),
        ("byte_level", "Agreement", ("Agree", "ment")),
    ] {
        let tokenizer = load(name);
        let (text, segments) = pieces(&[(Text, "the "), (Term, parts.0), (Text, parts.1)]);
        let bare = |ids: &[u32]| -> Vec<String> {
            words(name, ids)
                .iter()
                .map(|word| word.replace("##", "").replace('Ġ', ""))
                .collect()
        };
        assert!(
            bare(&tokenizer.encode(&text, &[], 64).unwrap()).contains(&whole.to_owned()),
            "{name}"
        );
        let found = bare(&tokenizer.encode(&text, &segments, 64).unwrap());
        let ends: Vec<usize> = found
            .iter()
            .filter(|word| !word.starts_with('['))
            .scan(0, |end, word| {
                *end += word.len();
                Some(*end)
            })
            .collect();
        assert!(ends.contains(&("the".len() + parts.0.len())), "{name}: {found:?}");
    }
}

#[test]
fn a_space_goes_with_the_term_where_the_vocabulary_writes_it_so() {
    let tokenizer = load("byte_level");
    let (text, segments) = pieces(&[(Text, "of the "), (Term, "Agreement"), (Text, " and")]);
    let with_term = tokenizer.encode(&text, &segments, 64).unwrap();
    assert_eq!(with_term, tokenizer.encode(&text, &[], 64).unwrap());
    assert!(words("byte_level", &with_term).iter().all(|word| word != "Ġ"));
}

#[test]
fn what_is_dropped_is_not_shown() {
    for name in FIXTURES {
        let tokenizer = load(name);
        let (text, segments) = pieces(&[
            (Text, "shall be"),
            (Drop, " [SEP] <|end|> page 12 of 40"),
            (Text, " governed by"),
        ]);
        let shown = tokenizer.encode(&text, &segments, 64).unwrap();
        assert_eq!(
            shown,
            tokenizer.encode("shall be governed by", &[], 64).unwrap(),
            "{name}"
        );
        let (text, segments) = pieces(&[(Drop, "all of it")]);
        assert_eq!(
            tokenizer.encode(&text, &segments, 64).unwrap(),
            tokenizer.encode("", &[], 64).unwrap()
        );
    }
}

#[test]
fn lengths_beyond_the_model_and_segments_that_do_not_tile_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(
        self::folder("wordpiece").join("tokenizer.json"),
        folder.path().join("tokenizer.json"),
    )
    .unwrap();
    std::fs::write(folder.path().join("config.json"), r#"{"max_position_embeddings": 48}"#).unwrap();
    std::fs::write(
        folder.path().join("sentence_bert_config.json"),
        r#"{"max_seq_length": 32}"#,
    )
    .unwrap();
    let tokenizer = Tokenizer::load(folder.path()).unwrap();
    assert_eq!((tokenizer.max_length(), tokenizer.default_max_length()), (48, 32));
    assert!(tokenizer.encode("a", &[], 48).is_ok());
    assert!(matches!(
        tokenizer.encode("a", &[], 49),
        Err(TokenizeError::TooLong { limit: 48, .. })
    ));
    assert!(matches!(
        tokenizer.encode("a", &[], 2),
        Err(TokenizeError::TooShort { special: 2, .. })
    ));
    let cuts_a_character = [
        Segment {
            kind: Text,
            begin: 0,
            end: 1,
        },
        Segment {
            kind: Text,
            begin: 1,
            end: 3,
        },
    ];
    assert!(matches!(
        tokenizer.encode("法", &cuts_a_character, 8),
        Err(TokenizeError::Segments { index: 0, .. })
    ));

    std::fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    assert!(matches!(
        Tokenizer::load(folder.path()),
        Err(TokenizeError::Model { .. })
    ));
    std::fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    assert!(matches!(
        Tokenizer::load(folder.path()),
        Err(TokenizeError::Model { .. })
    ));
}

#[test]
fn a_long_text_has_the_ids_that_it_has_in_one_piece() {
    let english = "The Parties agree that this Agreement shall be governed by the laws of Texas. ".repeat(2500);
    let chinese = "当事人订立合同，可以采用书面形式、口头形式或者其他形式。".repeat(2500);
    for name in FIXTURES {
        let (ours, theirs) = (load(name), plain(name));
        let special = plain_ids(&theirs, "").len();
        assert_eq!(
            ours.token_count_plain(&english).unwrap(),
            plain_ids(&theirs, &english).len() - special,
            "{name}"
        );
    }
    let (ours, theirs) = (load("wordpiece"), plain("wordpiece"));
    assert_eq!(
        ours.token_count_plain(&chinese).unwrap(),
        plain_ids(&theirs, &chinese).len() - 2
    );
    let (text, segments) = pieces(&[(Drop, &english), (Text, "by the laws")]);
    assert_eq!(
        ours.encode(&text, &segments, 64).unwrap(),
        plain_ids(&theirs, "by the laws")
    );
}

#[test]
fn the_digest_is_the_files() {
    let bytes = std::fs::read(folder("wordpiece").join("tokenizer.json")).unwrap();
    use sha2::Digest;
    let digest: String = sha2::Sha256::digest(&bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(load("wordpiece").sha256(), digest);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Any text and any borders: nothing fails, plain text is left as it is, and the tokens of a term are those of
    /// the term alone.
    #[test]
    fn any_text_with_any_borders(
        parts in prop::collection::vec((0..3u8, "[a-c \\n\u{e9}\u{301}\u{ad}中文，。İß①🏥\u{200b}]{1,6}"), 1..8),
    ) {
        let kinds = [Text, Term, Drop];
        let parts: Vec<(SegmentKind, &str)> =
            parts.iter().map(|(kind, piece)| (kinds[*kind as usize], piece.as_str())).collect();
        let (text, segments) = pieces(&parts);
        for name in FIXTURES {
            let (ours, theirs) = (load(name), plain(name));
            prop_assert_eq!(ours.encode(&text, &[], 512).unwrap(), plain_ids(&theirs, &text));
            let all_text: Vec<Segment> = segments.iter().map(|s| Segment { kind: Text, ..*s }).collect();
            prop_assert_eq!(ours.encode(&text, &all_text, 512).unwrap(), plain_ids(&theirs, &text));
            let ids = ours.encode(&text, &segments, 512).unwrap();
            if name == "wordpiece" {
                let separate: Vec<u32> = joined_runs(&parts)
                    .iter()
                    .flat_map(|(_, run)| theirs.encode(run.as_str(), false).unwrap().get_ids().to_vec())
                    .collect();
                prop_assert_eq!(&ids[1..ids.len() - 1], separate.as_slice());
            }
        }
    }
}

/// The shown runs, neighbouring text joined.
fn joined_runs(parts: &[(SegmentKind, &str)]) -> Vec<(SegmentKind, String)> {
    let mut runs: Vec<(SegmentKind, String)> = Vec::new();
    for (kind, piece) in parts {
        match runs.last_mut() {
            Some((Text, run)) if *kind == Text => run.push_str(piece),
            _ => runs.push((*kind, (*piece).to_owned())),
        }
    }
    runs.retain(|(kind, _)| *kind != Drop);
    runs
}
