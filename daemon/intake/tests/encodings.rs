//! How often the encoding of genuine texts is found. The texts of the shared data set are not part of the project;
//! where they are absent, that is printed and the fixtures of `fixtures.rs` have to do.

use encoding_rs::{BIG5, Encoding, GB18030, UTF_16BE, UTF_16LE, WINDOWS_1252};
use std::path::PathBuf;
use wengu_intake::{Options, extract};

const MAX_TEXTS: usize = 400;

fn shared_data() -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !path.is_dir() {
        println!("skipped: no genuine texts in ../shared/data beside the repository");
        return None;
    }
    Some(path)
}

fn encode(text: &str, encoding: &'static Encoding) -> Option<Vec<u8>> {
    if encoding == UTF_16LE {
        return Some(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    }
    if encoding == UTF_16BE {
        return Some(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    }
    let (bytes, _, has_unmappable) = encoding.encode(text);
    (!has_unmappable).then(|| bytes.into_owned())
}

/// Excerpts of `chars` characters that have at least one beyond ASCII.
fn excerpts(texts: &[String], chars: usize) -> Vec<String> {
    let cut = |text: &String| {
        let all: Vec<char> = text.chars().collect();
        let first = all.iter().position(|c| !c.is_ascii())?;
        let start = first.saturating_sub(chars / 2).min(all.len().checked_sub(chars)?);
        Some(all[start..start + chars].iter().collect::<String>())
    };
    texts
        .iter()
        .filter_map(cut)
        .filter(|text| !text.is_ascii() && text.trim() == text)
        .take(MAX_TEXTS)
        .collect()
}

fn texts(path: PathBuf, field: &str) -> Vec<String> {
    let lines = std::fs::read_to_string(path).unwrap();
    let texts = lines.lines().map(|line| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        record[field].as_str().unwrap().to_owned()
    });
    texts.collect()
}

#[test]
fn short_texts_in_old_encodings() {
    let Some(data) = shared_data() else { return };
    let sets: [(&str, &str, &[&'static Encoding]); 8] = [
        ("thucnews/train.jsonl", "text", &[GB18030, UTF_16LE, UTF_16BE]),
        ("zh_statute_branch/train.jsonl", "text", &[GB18030, UTF_16LE, UTF_16BE]),
        ("cmedtc/train.jsonl", "text", &[GB18030, UTF_16LE, UTF_16BE]),
        ("huatuo_sft/train.jsonl", "output", &[GB18030, UTF_16LE, UTF_16BE]),
        ("tw_law_zh_en/train.jsonl", "zh", &[BIG5, UTF_16LE, UTF_16BE]),
        ("cuad_clause/train.jsonl", "text", &[WINDOWS_1252, UTF_16LE, UTF_16BE]),
        ("medquad_sft/train.jsonl", "output", &[WINDOWS_1252, UTF_16LE, UTF_16BE]),
        ("pubmedqa_sft/train.jsonl", "input", &[WINDOWS_1252, UTF_16LE, UTF_16BE]),
    ];
    let mut failures = Vec::new();
    for (file, field, encodings) in sets {
        let texts = texts(data.join(file), field);
        for chars in [10, 20, 40, 60, 200] {
            let excerpts = excerpts(&texts, chars);
            for encoding in encodings {
                let (mut right, mut total, mut wrong) = (0, 0, Vec::new());
                for text in &excerpts {
                    let Some(bytes) = encode(text, encoding) else { continue };
                    total += 1;
                    match extract("a.txt", &bytes, &[], &Options::default()) {
                        Ok(found) if found.records[0].text == *text => right += 1,
                        Ok(found) => wrong.push(format!("{} for {text:?}", found.encoding)),
                        Err(error) => wrong.push(format!("{error} for {text:?}")),
                    }
                }
                let name = encoding.name();
                println!(
                    "{file} {name} {chars} characters: {right}/{total} {:?}",
                    &wrong[..wrong.len().min(2)]
                );
                // Ten characters may hold a single Chinese one; nobody could tell.
                let floor = if chars < 20 { 96 } else { 99 };
                if right * 100 < total * floor {
                    failures.push(format!("{file} {name} {chars}: {right}/{total}, {wrong:?}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn genuine_files_as_their_index_says() {
    let Some(data) = shared_data() else { return };
    let raw = data.join("raw");
    let index = std::fs::read_to_string(raw.join("INDEX.jsonl")).unwrap();
    let mut checked = 0;
    for line in index.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let (path, format) = (entry["path"].as_str().unwrap(), entry["format"].as_str().unwrap());
        let Some(encoding) = entry["encoding"].as_str() else {
            continue;
        };
        // HTML and XML are no case files, but as good a test of their encoding.
        let name = match format {
            "txt" | "html" | "xml" => "a.txt",
            "md" => "a.md",
            _ => continue,
        };
        let bytes = std::fs::read(raw.join(path)).unwrap();
        let found = extract(name, &bytes, &[], &Options::default()).unwrap_or_else(|error| panic!("{path}: {error}"));
        let expected = match encoding {
            "utf-8" => "UTF-8",
            "gb18030" => "gb18030",
            "big5" => "Big5",
            "utf-16-le with BOM" => "UTF-16LE",
            other => panic!("{path}: {other}"),
        };
        assert_eq!(found.encoding, expected, "{path}");
        assert!(!found.records[0].text.contains('\u{fffd}'), "{path}");
        checked += 1;
    }
    println!("{checked} files");
    assert!(checked >= 100, "only {checked} files were checked");
}

fn decoded(bytes: &[u8], encoding: Option<&str>) -> (String, String) {
    let options = Options {
        encoding: encoding.map(str::to_owned),
        ..Options::default()
    };
    let found = extract("a.txt", bytes, &[], &options).unwrap();
    (found.encoding, found.records[0].text.to_string())
}

#[test]
fn other_languages_are_not_taken_for_chinese_or_for_english() {
    for (label, text) in [
        (
            "shift_jis",
            "本契約は、甲と乙の間で締結された売買契約に関するものである。",
        ),
        ("euc-jp", "本契約は、甲と乙の間で締結された売買契約に関するものである。"),
        ("euc-kr", "이 계약은 갑과 을 사이에 체결된 매매 계약에 관한 것이다."),
        (
            "windows-1251",
            "Настоящий договор заключён между продавцом и покупателем.",
        ),
        (
            "iso-8859-2",
            "Umowa została zawarta między sprzedawcą a kupującym w dniu podpisania.",
        ),
        (
            "windows-1252",
            "Le présent contrat est conclu entre le vendeur et l’acheteur à Genève.",
        ),
        (
            "windows-1252",
            "The fee of £5 is due at 20 °C ± 2 °C, see § 4 of the “Agreement”.",
        ),
        ("utf-16le", "이 계약은 갑과 을 사이에 체결된 매매 계약에 관한 것이다."),
        ("utf-16be", "Настоящий договор заключён между продавцом и покупателем."),
    ] {
        let bytes = encode(text, Encoding::for_label(label.as_bytes()).unwrap()).unwrap();
        assert_eq!(decoded(&bytes, None).1, text, "{label}");
        assert_eq!(decoded(&bytes, Some(label)).1, text, "{label}, named");
    }
}

#[test]
fn a_named_encoding_gives_way_to_a_mark_and_to_utf8() {
    assert_eq!(
        decoded("合同".as_bytes(), Some("gbk")),
        ("UTF-8".to_owned(), "合同".to_owned())
    );
    assert_eq!(
        decoded(b"\xff\xfe\x08\x54\x0c\x54", Some("gbk")),
        ("UTF-16LE".to_owned(), "合同".to_owned())
    );
    assert_eq!(decoded(b"\xba\xcf\xcd\xac", Some("gbk")).1, "合同");
    assert_eq!(decoded(b"\x08\x54\x0c\x54", Some("utf-16le")).1, "合同");
}

#[test]
fn damaged_utf8_stays_utf8() {
    let text = "当事人一方不履行合同义务的，应当承担继续履行、采取补救措施或者赔偿损失等违约责任。";
    let cut = &text.as_bytes()[..text.len() - 1];
    let (encoding, found) = decoded(&[text.as_bytes(), text.as_bytes(), text.as_bytes(), cut].concat(), None);
    assert_eq!(encoding, "UTF-8");
    assert!(found.ends_with("责任\u{fffd}"), "{found}");
    // Short as it is, the cut character is more than 1%.
    let error = extract("a.txt", cut, &[], &Options::default()).unwrap_err().to_string();
    assert!(error.contains("unreadable"), "{error}");
}

#[test]
fn what_fits_no_encoding_is_refused() {
    let mixed = [
        encode("合同约定违约金", GB18030).unwrap(),
        vec![0xff; 5],
        encode("乙方应当交货", GB18030).unwrap(),
    ]
    .concat();
    let options = Options {
        encoding: Some("gb18030".to_owned()),
        ..Options::default()
    };
    let error = extract("a.txt", &mixed, &[], &options).unwrap_err().to_string();
    assert!(
        error.contains("save the file as UTF-8, or name its encoding"),
        "{error}"
    );
}
