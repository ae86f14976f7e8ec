//! Genuine texts in the encodings and containers that people drop. `test-data/SOURCE.md` says where they are from.

use std::path::PathBuf;
use wengu_intake::{Extracted, Options, Sidecar, extract, sidecar_names};

fn read(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("test-data").join(name)).unwrap()
}

fn extract_fixture(name: &str) -> Extracted {
    let extracted = extract(name, &read(name), &[], &Options::default()).unwrap();
    assert_eq!(extracted.rejected, [], "{name}");
    extracted
}

#[test]
fn a_gb18030_classic() {
    let extracted = extract_fixture("zhenjia_shuyao.gb18030.txt");
    assert_eq!(extracted.encoding, "gb18030");
    let [record] = &extracted.records[..] else {
        panic!("one text")
    };
    assert!(
        record.text.starts_with("<篇名>诊家枢要\n书名：诊家枢要\n作者：滑寿"),
        "{}",
        record.text.as_str()
    );
    assert_eq!((record.line, &record.label), (2, &None), "the first line is blank");
}

#[test]
fn one_table_in_three_encodings_gives_the_same_records() {
    let lines = extract_fixture("statutes.jsonl");
    assert_eq!((lines.encoding.as_str(), lines.records.len()), ("UTF-8", 8));
    for (name, encoding) in [
        ("statutes.gb18030.csv", "gb18030"),
        ("statutes.utf16le.tsv", "UTF-16LE"),
    ] {
        let table = extract_fixture(name);
        assert_eq!(table.encoding, encoding);
        for (row, line) in table.records.iter().zip(&lines.records) {
            assert_eq!(
                (&row.text, &row.label, &row.metadata),
                (&line.text, &line.label, &line.metadata),
                "{name}"
            );
        }
        assert_eq!(table.records.len(), lines.records.len());
        assert_eq!(table.records[0].line, 2, "after the header");
        assert_eq!(table.records[1].line, 4, "the first text has a line break");
    }
}

#[test]
fn utf16_without_a_mark() {
    let extracted = extract_fixture("statutes.utf16be.nobom.txt");
    assert_eq!(extracted.encoding, "UTF-16BE");
    assert!(extracted.records[0].text.starts_with("军人所在部队"));
}

#[test]
fn big5_clauses_with_their_ministries() {
    let extracted = extract_fixture("taiwan_clauses.big5.csv");
    assert_eq!(extracted.encoding, "Big5");
    let labels: Vec<_> = extracted
        .records
        .iter()
        .map(|record| record.label.as_deref().unwrap())
        .collect();
    assert_eq!(labels, ["衛生福利部", "交通部", "法務部", "內政部", "衛生福利部"]);
    assert!(extracted.records[1].text.starts_with("船舶運送業經營旅客運送"));
}

#[test]
fn windows_1252_with_a_label_beside_it() {
    let name = "medquad.windows-1252.txt";
    let label = sidecar_names(name)[0].clone();
    let sidecar = Sidecar {
        name: &label,
        bytes: &read(&label),
    };
    let extracted = extract(name, &read(name), &[sidecar], &Options::default()).unwrap();
    assert_eq!(extracted.encoding, "windows-1252");
    assert!(
        extracted.records[0]
            .text
            .starts_with("Australia\u{2019}s \u{201c}Flying fox\u{201d} bats")
    );
    assert_eq!(extracted.records[0].label.as_deref(), Some("susceptibility"));
}

#[test]
fn markdown_with_front_matter_and_an_array_of_clauses() {
    let statute = &extract_fixture("statute.md").records[0];
    assert_eq!(statute.label.as_deref(), Some("社会法"));
    assert_eq!(
        (statute.line, statute.metadata["title"].as_str()),
        (7, Some("退役军人保障法"))
    );
    assert!(statute.text.starts_with("军人所在部队"));

    let options = Options {
        case_field: Some("doc".to_owned()),
        ..Options::default()
    };
    let clauses = extract("c.json", &read("cuad_clauses.json"), &[], &options).unwrap();
    let lines: Vec<u32> = clauses.records.iter().map(|record| record.line).collect();
    assert_eq!(lines, [2, 7, 12, 17, 22]);
    assert_eq!(clauses.records[1].label.as_deref(), Some("Non-Disparagement"));
    assert!(
        clauses.records[1]
            .case
            .as_deref()
            .unwrap()
            .starts_with("MEDALISTDIVERSIFIEDREIT")
    );
    assert!(clauses.records[1].metadata.is_empty());
}
