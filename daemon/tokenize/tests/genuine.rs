//! The genuine vocabularies of DeepSeek, Llama 2 (phi-3), BERT and GPT-2, against the pairs of text and ids that llama.cpp
//! tests its own tokenizers with. The vocabularies are not part of this repository: WENGU_DATA names the folder of public
//! data sets that has them below `tokenizers/`, and without it these tests say so and end.

use std::path::PathBuf;
use wengu_tokenize::Tokenizer;

const NAMES: [&str; 5] = [
    "deepseek-llm",
    "deepseek-coder",
    "phi-3",
    "bert-base-uncased-vocab",
    "gpt2",
];

/// A tokenizer with texts and the ids that llama.cpp expects.
type Genuine = (&'static str, Tokenizer, Vec<(String, Vec<u32>)>);

/// The tokenizers' folders with the pairs; none where the data is not there.
fn genuine() -> Vec<Genuine> {
    let Some(data) = std::env::var_os("WENGU_DATA").map(PathBuf::from) else {
        println!("skipped: WENGU_DATA is not set");
        return Vec::new();
    };
    let of = |name: &'static str| {
        let folder = data.join("tokenizers").join(name);
        let read =
            |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_else(|e| panic!("{name}/{file}: {e}"));
        let texts = read("llamacpp.inp");
        let ids = read("llamacpp.out");
        let ids = ids
            .split('\n')
            .map(|line| line.split_whitespace().map(|id| id.parse().unwrap()).collect());
        let pairs: Vec<(String, Vec<u32>)> = texts
            .split("\n__ggml_vocab_test__\n")
            .map(str::to_owned)
            .zip(ids)
            .collect();
        assert!(pairs.len() >= 45, "{name} has {} pairs", pairs.len());
        (name, Tokenizer::load(&folder).unwrap(), pairs)
    };
    NAMES.map(of).into()
}

#[test]
fn ids_are_those_of_llama_cpp() {
    for (name, tokenizer, pairs) in genuine() {
        let special = tokenizer.encode("", &[], 512).unwrap();
        for (text, expected) in &pairs {
            let ids = tokenizer.encode(text, &[], 512).unwrap();
            let same = (0..=special.len()).any(|k| [&special[..k], expected, &special[k..]].concat() == ids);
            assert!(
                same,
                "{name}: {text:?} gives {ids:?}, llama.cpp {expected:?} between {special:?}"
            );
            assert_eq!(
                tokenizer.token_count_plain(text).unwrap(),
                expected.len(),
                "{name}: {text:?}"
            );
        }
        println!("{name}: {} texts", pairs.len());
    }
}

#[test]
fn words_are_found_where_they_stand_in_chinese_emoji_and_mixed_text() {
    let more = [
        "患者室性早搏二联律，予美托洛尔25mg bid。",
        "不可抗力🚀条款 Force Majeure：第180条😶‍🌫️规定。",
        "ﬁne naïve Ⅷ 甲乙  丙\t丁",
    ];
    for (name, tokenizer, pairs) in genuine() {
        for text in pairs.iter().map(|(text, _)| text.as_str()).chain(more) {
            let found = tokenizer.encode_words(text, 512).unwrap();
            let chars: Vec<char> = text.chars().collect();
            let mut covered = vec![false; chars.len()];
            let mut last = 0;
            for (place, range) in &found.asked {
                assert!(
                    *place < found.ids.len() && range.start >= last && range.end > range.start,
                    "{name}: {text:?} {range:?}"
                );
                assert!(
                    !chars[range.start].is_whitespace(),
                    "{name}: {text:?} {range:?} begins with a space"
                );
                covered[range.clone()].fill(true);
                last = range.end;
            }
            // BERT's tokenizer itself drops control characters and the like.
            let lost: String = chars
                .iter()
                .zip(&covered)
                .filter(|(c, covered)| !**covered && c.is_alphanumeric())
                .map(|(c, _)| *c)
                .collect();
            assert!(lost.is_empty(), "{name}: {text:?}: {lost:?} belongs to no word");
        }
    }
}
