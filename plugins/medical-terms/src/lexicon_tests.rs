use super::*;
use std::collections::BTreeMap;

fn is_code(code: &str) -> bool {
    let bytes = code.as_bytes();
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let stem = bytes[0].is_ascii_uppercase() && digit(1) && digit(2);
    stem && (bytes.len() == 3 || (bytes.len() == 5 && bytes[3] == b'.' && digit(4)))
}

#[test]
fn codes_are_well_formed_and_sorted() {
    let codes: Vec<&str> = diseases().map(|d| d.code).collect();
    assert!(codes.len() > 300 && drugs().count() > 150);
    assert_eq!(codes.iter().find(|c| !is_code(c)), None);
    assert!(codes.is_sorted_by(|a, b| a < b), "each code once, in order");
}

#[test]
fn every_name_is_written_once() {
    let mut seen = BTreeMap::new();
    let diseases = diseases().map(|d| (d.code.to_owned(), d.english, d.chinese));
    let drugs = drugs().map(|d| (d.english[0].to_owned(), d.english, d.chinese));
    for (of, english, chinese) in diseases.chain(drugs) {
        assert!(!english[0].is_empty() && !chinese[0].is_empty(), "{of}: both languages");
        assert!(
            english.iter().all(|n| !n.contains(char::is_control) && n.trim() == *n),
            "{of}"
        );
        for name in english.iter().chain(&chinese) {
            if let Some(other) = seen.insert(name.to_lowercase(), of.clone()) {
                panic!("{name:?} is both {other} and {of}");
            }
        }
    }
}

#[test]
fn no_spelling_stands_for_two_things() {
    for language in [Language::En, Language::Zh] {
        let mut seen = BTreeMap::new();
        for (name, sense) in Lexicon::new(language).unwrap().names {
            let other = seen.insert(name.to_lowercase(), sense);
            assert!(other.is_none_or(|o| o == sense), "{name}: {other:?} {sense:?}");
        }
    }
}

#[test]
fn the_longest_name_is_found_between_word_borders() {
    let english = Lexicon::new(Language::En).unwrap();
    let found = |text: &str| -> Vec<String> {
        english
            .find(text)
            .into_iter()
            .map(|(r, _)| text[r].to_owned())
            .collect()
    };
    assert_eq!(
        found("Acute Myocardial Infarction, asthma; aspirin"),
        ["Acute Myocardial Infarction", "asthma", "aspirin"]
    );
    assert_eq!(found("asthmatic, strokes, goutweed, AIDS aids"), ["strokes", "AIDS"]);
    assert_eq!(found("anemia and anaemia"), ["anemia", "anaemia"]);
    assert_eq!(found("糖尿病"), [""; 0]);
    assert_eq!(english.sense("ISCHEMIC STROKE"), Some(Sense::Disease("I63")));
    assert_eq!(english.sense("Tylenol"), None);

    let chinese = Lexicon::new(Language::Zh).unwrap();
    assert_eq!(chinese.sense("室性早搏二联律"), Some(Sense::Disease("I49.3")));
    let text = "患2型糖尿病，予二甲双胍，发热。";
    let found: Vec<_> = chinese.find(text).into_iter().map(|(r, s)| (&text[r], s)).collect();
    assert_eq!(
        found,
        [
            ("2型糖尿病", Sense::Disease("E11")),
            ("二甲双胍", Sense::Drug),
            ("发热", Sense::Sign("R50.9"))
        ]
    );
}
