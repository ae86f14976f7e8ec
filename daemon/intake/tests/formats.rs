//! What each format gives, and what it refuses, by line and with a reason.

use serde_json::json;
use wengu_intake::{AnswerKind, Extracted, Format, IntakeError, Options, Sidecar, extract, is_sidecar, sidecar_names};

fn take(name: &str, text: &str) -> Extracted {
    extract(name, text.as_bytes(), &[], &Options::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn refuse(name: &str, bytes: &[u8]) -> IntakeError {
    extract(name, bytes, &[], &Options::default()).unwrap_err()
}

fn texts(extracted: &Extracted) -> Vec<&str> {
    extracted.records.iter().map(|record| record.text.as_str()).collect()
}

fn rejected(extracted: &Extracted) -> Vec<(u32, &str)> {
    extracted
        .rejected
        .iter()
        .map(|rejected| (rejected.line, rejected.reason.as_str()))
        .collect()
}

#[test]
fn broken_lines_are_rejected_and_the_others_taken() {
    let extracted = take(
        "cases.JSONL",
        "\u{feff}{\"text\": \" one \", \"label\": \"A\", \"n\": 1}\r\n\r\nnot json\n[1]\n{\"label\": \"A\"}\n{\"text\": 5}\n\
         {\"text\": \" \"}\n{\"text\": \"two\", \"label\": null}\n{\"text\": \"x\", \"label\": {}}\n{\"text\": \"a\\u0000b\"}\n\
         {\"text\": \"\\ud800\"}\n{\"text\": \"three\", \"label\": 3}\n{\"text\": \"four\", \"label\": true}",
    );
    assert_eq!(extracted.format, Format::JsonLines);
    assert_eq!(texts(&extracted), ["one", "two", "three", "four"]);
    let labels: Vec<_> = extracted.records.iter().map(|record| record.label.as_deref()).collect();
    assert_eq!(labels, [Some("A"), None, Some("3"), Some("true")]);
    assert_eq!(
        extracted
            .records
            .iter()
            .map(|r| (r.ordinal, r.line))
            .collect::<Vec<_>>(),
        [(0, 1), (6, 8), (10, 12), (11, 13)]
    );
    assert_eq!(extracted.records[0].metadata["n"], json!(1));
    let expected = [
        (3, "not valid JSON: expected ident at line 1 column 2"),
        (4, "it is an array, not an object"),
        (5, "it has no field \"text\" (it has [\"label\"])"),
        (6, "its field \"text\" is a number, not a string"),
        (7, "its text is empty"),
        (9, "its field \"label\" is an object, not a string"),
        (10, "its text contains a NUL character"),
    ];
    assert_eq!(rejected(&extracted)[..7], expected);
    assert_eq!(rejected(&extracted)[7].0, 11);
    assert!(rejected(&extracted)[7].1.starts_with("not valid JSON: "));
}

#[test]
fn a_line_of_broken_bytes_costs_that_line_only() {
    let mut bytes = Vec::new();
    for _ in 0..3 {
        bytes.extend_from_slice("{\"text\": \"合同约定的违约金\"}\n".as_bytes());
    }
    bytes.extend_from_slice(b"{\"text\": \"\xba\xcf\xcd\xac\xd4\xbc\xb6\xa8\"}\n{\"text\": \"plain\"}\n");
    let extracted = extract("a.jsonl", &bytes, &[], &Options::default()).unwrap();
    assert_eq!((extracted.encoding.as_str(), extracted.records.len()), ("UTF-8", 4));
    assert_eq!(
        rejected(&extracted),
        [(4, "it has bytes that are not valid in the file's encoding")]
    );

    let mut table = "text,label\n甲方应当付款,付款\n".as_bytes().to_vec();
    table.extend_from_slice(b"\"\xba\xcf\n\xcd\xac\",x\n");
    table.extend_from_slice("乙方应当交货,交货\n丙方,x\n丁方,x\n".as_bytes());
    let extracted = extract("a.csv", &table, &[], &Options::default()).unwrap();
    assert_eq!(texts(&extracted), ["甲方应当付款", "乙方应当交货", "丙方", "丁方"]);
    assert_eq!((extracted.rejected[0].line, extracted.records[1].line), (3, 5));
}

#[test]
fn tables_with_quoted_line_breaks_and_any_line_end() {
    let text = "label,text,note\r\nA,\"one\r\ntwo, \"\"three\"\"\",n\r\n\r\n,four,\r\nB,five\r\nC,,x\r\nD,six,n2";
    let extracted = take("t.csv", text);
    assert_eq!(texts(&extracted), ["one\r\ntwo, \"three\"", "four", "six"]);
    assert_eq!(extracted.records.iter().map(|r| r.line).collect::<Vec<_>>(), [2, 5, 8]);
    assert_eq!(extracted.records[1].label, None);
    assert_eq!(
        extracted.records[2].metadata,
        json!({"note": "n2"}).as_object().unwrap().clone()
    );
    assert_eq!(
        rejected(&extracted),
        [(6, "it has 2 fields, the first row has 3"), (7, "its text is empty")]
    );

    let extracted = take("t.tsv", "text\tlabel\n甲，乙\t合同\n");
    assert_eq!(
        (texts(&extracted), extracted.records[0].label.as_deref()),
        (vec!["甲，乙"], Some("合同"))
    );
}

#[test]
fn an_open_quotation_mark_is_told_and_the_rows_before_it_taken() {
    let extracted = take("t.csv", "text,label\none,A\n\"two,B\nthree,C\nfour,D\n\n");
    assert_eq!(texts(&extracted), ["one"]);
    let expected = "a quotation mark is never closed; the 3 lines from here on were not taken";
    assert_eq!(rejected(&extracted), [(3, expected)]);
    let extracted = take("t.csv", "text,label\none,A\ntwo,\"B");
    assert_eq!((texts(&extracted), extracted.rejected[0].line), (vec!["one"], 3));
    assert!(matches!(
        refuse("t.csv", b"text,\"label\none,A\n"),
        IntakeError::Header { .. }
    ));
}

#[test]
fn a_table_must_name_its_columns() {
    for (text, part) in [
        ("a,b\n1,2\n", "none is \"text\" (they are [\"a\", \"b\"])"),
        ("text,label,text\n1,2,3\n", "two columns are named \"text\""),
        ("text;label\n1;2\n", "looks separated by ';'"),
    ] {
        let message = refuse("t.csv", text.as_bytes()).to_string();
        assert!(message.contains(part), "{message}");
    }
    assert!(matches!(
        refuse("t.csv", b"text,label\n"),
        IntakeError::NothingUsable { rejected: 0, .. }
    ));
}

#[test]
fn json_is_an_object_or_an_array_of_them() {
    assert_eq!(texts(&take("a.json", "\n {\"text\": \"one\"}\n")), ["one"]);
    let extracted = take("a.json", "[\n{\"text\": \"one\"},\n\"two\",\n{\"text\":\n\"three\"}\n]");
    assert_eq!(texts(&extracted), ["one", "three"]);
    assert_eq!(extracted.records.iter().map(|r| r.line).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(rejected(&extracted), [(3, "it is a string, not an object")]);

    let error = refuse("a.json", b"{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
    assert!(matches!(error, IntakeError::Json { line: 2, column: 1, .. }), "{error}");
    assert!(error.to_string().contains(".jsonl"), "{error}");
    assert!(matches!(
        refuse("a.json", b"[{\"text\": \"one\"},"),
        IntakeError::Json { .. }
    ));
    assert!(matches!(
        refuse("a.json", b"[]"),
        IntakeError::NothingUsable { rejected: 0, .. }
    ));
    assert!(matches!(
        refuse("a.json", b"\"text\""),
        IntakeError::NothingUsable { rejected: 1, .. }
    ));
    let deep = "[".repeat(100_000);
    assert!(
        matches!(refuse("a.json", deep.as_bytes()), IntakeError::Json { .. }),
        "no stack overflow"
    );
}

#[test]
fn front_matter_gives_label_case_and_metadata() {
    let options = Options {
        case_field: Some("case".to_owned()),
        ..Options::default()
    };
    let take = |text: &str| extract("a.md", text.as_bytes(), &[], &options).unwrap();
    let text = "---\r\n# comment\r\nlabel: \"合同 # 1\"\r\ncase： C-7 # note\r\ndate: 2024-01-01\r\ntags:\r\n  - a\r\n---\r\n\r\n# Title\r\n";
    let record = &take(text).records[0];
    assert_eq!(
        (record.label.as_deref(), record.case.as_deref()),
        (Some("合同 # 1"), Some("C-7"))
    );
    assert_eq!((record.text.as_str(), record.line), ("# Title", 10));
    assert_eq!(
        record.metadata,
        json!({"date": "2024-01-01"}).as_object().unwrap().clone()
    );
    assert_eq!(take("---\nlabel: ~\n...\ntext").records[0].label, None);

    // A rule that the author drew is text.
    for text in [
        "---\nSome prose here\n---\nmore",
        "---\nlabel: a\nnever closed",
        "text\n---\nlabel: a\n---",
    ] {
        let record = &take(text).records[0];
        assert_eq!((record.text.as_str(), &record.label), (text, &None));
    }
    assert_eq!(
        take("---\nlabel: '[甲] 它''s'\n---\ntext").records[0].label.as_deref(),
        Some("[甲] 它's")
    );
    let error = refuse("a.md", b"---\nlabel: [a, b]\n---\ntext");
    assert!(
        error
            .to_string()
            .contains("\"label\" in its front matter is not one value"),
        "{error}"
    );
    assert!(matches!(
        refuse("a.md", b"---\nlabel: a\n---\n\n"),
        IntakeError::NothingUsable { line: 4, .. }
    ));
}

#[test]
fn front_matter_gives_lists_of_labels() {
    let options = Options {
        answer: AnswerKind::Labels,
        ..Options::default()
    };
    let of = |labels: &str| {
        let text = format!("---\nlabels: {labels}\n---\ntext");
        let extracted = extract("a.md", text.as_bytes(), &[], &options);
        extracted.map(|mut extracted| extracted.records.remove(0).label)
    };
    for (written, line) in [
        ("[b, a]", r#"["a","b"]"#),
        (r#"["b, c", "a"]"#, r#"["a","b, c"]"#),
        ("['b', a]", r#"["a","b"]"#),
        ("b; a", r#"["a","b"]"#),
        ("\n  - b, c\n  - a", r#"["a","b, c"]"#),
        ("[]", "[]"),
    ] {
        assert_eq!(of(written).unwrap().as_deref(), Some(line), "{written}");
    }
    for (written, part) in [
        ("|\n  a", "neither a list nor one value"),
        ("{a: 1}", "neither a list nor one value"),
        ("\n  a: 1", "neither a list nor one value"),
        ("['b, c', a]", "a comma stands between quotation marks"),
    ] {
        let error = of(written).unwrap_err().to_string();
        assert!(error.contains(part), "{written}: {error}");
    }
}

#[test]
fn label_files_that_disagree_are_refused_where_labels_are_asked_for() {
    let options = Options {
        answer: AnswerKind::Labels,
        ..Options::default()
    };
    let with = |meta: &str| {
        let sidecars = [("a.txt.label", "b; a"), ("a.txt.meta.json", meta)];
        let sidecars = sidecars.map(|(name, text)| Sidecar {
            name,
            bytes: text.as_bytes(),
        });
        extract("a.txt", b"text", &sidecars, &options)
    };
    let mut agreed = with(r#"{"labels": ["a", "b"]}"#).unwrap();
    assert_eq!(agreed.records.remove(0).label.as_deref(), Some(r#"["a","b"]"#));
    let error = with(r#"{"labels": ["a"]}"#).unwrap_err().to_string();
    assert!(error.contains("keep one"), "{error}");
}

#[test]
fn sidecars_label_what_has_no_label() {
    let with = |name: &str, text: &str, sidecars: &[(&str, &str)]| {
        let sidecars: Vec<Sidecar<'_>> = sidecars
            .iter()
            .map(|(name, text)| Sidecar {
                name,
                bytes: text.as_bytes(),
            })
            .collect();
        extract(name, text.as_bytes(), &sidecars, &Options::default())
    };
    assert_eq!(sidecar_names("a.txt"), ["a.txt.label", "a.txt.meta.json"]);
    assert!(is_sidecar("a.txt.label") && is_sidecar("a.txt.meta.json"));
    assert!(!is_sidecar("label.txt") && !is_sidecar("meta.json") && !is_sidecar(".label"));

    // A decomposed e with acute, as some systems write it, is the same label.
    let label = with("a.txt", "text", &[("a.txt.label", "\u{feff}caf\u{65}\u{301}\r\n")])
        .unwrap()
        .records[0]
        .label
        .clone();
    assert_eq!(label.as_deref(), Some("caf\u{e9}"));
    let meta = ("a.txt.meta.json", "{\"label\": 3, \"case\": \"C\", \"by\": \"x\"}");
    let record = with("a.txt", "text", &[meta]).unwrap().records.remove(0);
    assert_eq!(
        (record.label.as_deref(), record.case.as_deref()),
        (Some("3"), Some("C"))
    );
    assert_eq!(record.metadata["by"], json!("x"));

    let lines = "{\"text\": \"one\"}\n{\"text\": \"two\", \"label\": \"B\"}\n{\"text\": \"three\", \"label\": \"A\"}\n";
    let extracted = with("a.jsonl", lines, &[("a.jsonl.label", "A")]).unwrap();
    assert_eq!(texts(&extracted), ["one", "three"]);
    assert_eq!(
        rejected(&extracted),
        [(2, "its own label is \"B\", the label file beside it says \"A\"")]
    );

    for (sidecars, part) in [
        (
            &[("a.txt.label", "A"), ("a.txt.meta.json", "{\"label\": \"B\"}")][..],
            "keep one",
        ),
        (&[("a.txt.label", "A\nB")], "line breaks"),
        (&[("a.txt.meta.json", "label: A")], "one JSON object"),
        (&[("a.txt.meta.json", "{\"label\": []}")], "an array"),
    ] {
        let error = with("a.txt", "text", sidecars).unwrap_err();
        assert!(
            matches!(error, IntakeError::Sidecar { .. }) && error.to_string().contains(part),
            "{error}"
        );
    }
    assert_eq!(
        with("a.txt", "text", &[("a.txt.label", " \n")]).unwrap().records[0].label,
        None
    );
}

#[test]
fn what_is_no_case_file_is_refused_with_advice() {
    assert!(matches!(refuse("a.txt", b""), IntakeError::Empty { bytes: 0 }));
    assert!(matches!(
        refuse("a.jsonl", " \r\n\t\u{3000}".as_bytes()),
        IntakeError::Empty { .. }
    ));
    for (name, part) in [
        ("判决.pdf", "turned into text first"),
        ("a.DOC", "save it as .docx"),
        ("a.rar", "unpack"),
        ("a.xyz", "known are .txt, .md"),
        ("README", "without an extension"),
        (".txt", "without an extension"),
        ("a.", "without an extension"),
    ] {
        let message = refuse(name, b"text").to_string();
        assert!(message.contains(part), "{name}: {message}");
    }
    for bytes in [
        &b"%PDF-1.7\ntext"[..],
        b"PK\x03\x04",
        b"\x01\x02\x03\x04text",
        b"te\0xt",
        &[0; 64],
    ] {
        let error = refuse("a.txt", bytes);
        assert!(matches!(error, IntakeError::Binary { .. }), "{error}");
    }
    let options = Options {
        encoding: Some("klingon".to_owned()),
        ..Options::default()
    };
    assert!(matches!(
        extract("a.txt", b"x", &[], &options),
        Err(IntakeError::UnknownEncoding { .. })
    ));
}

#[test]
fn limits_hold() {
    let options = Options {
        max_records: 2,
        max_record_bytes: 20,
        ..Options::default()
    };
    let error = extract("a.jsonl", b"{}\n{}\n{}\n", &[], &options).unwrap_err();
    assert_eq!(error, IntakeError::TooManyRecords { limit: 2 });
    let error = extract("a.json", b"[{}, {}, {}, {}]", &[], &options).unwrap_err();
    assert_eq!(error, IntakeError::TooManyRecords { limit: 2 });
    assert!(matches!(
        extract("a.json", b"[{}, {}, {}", &[], &options),
        Err(IntakeError::Json { .. })
    ));
    let text = format!("{{\"text\": \"{}\"}}\n{{\"text\": \"ok\"}}\n", "x".repeat(20));
    let extracted = extract("a.jsonl", text.as_bytes(), &[], &options).unwrap();
    assert_eq!(
        rejected(&extracted),
        [(1, "its 32 bytes are more than the limit of 20")]
    );
    let error = extract("a.txt", &[b'x'; 21], &[], &options).unwrap_err();
    assert!(matches!(error, IntakeError::NothingUsable { .. }), "{error}");
    let label = "l".repeat(201);
    let error = refuse("a.json", json!({"text": "x", "label": label}).to_string().as_bytes());
    assert!(error.to_string().contains("201 characters"), "{error}");
}

#[test]
fn configured_fields_are_used() {
    let options = Options {
        text_field: "案情".to_owned(),
        label_field: "案由".to_owned(),
        case_field: Some("案号".to_owned()),
        ..Options::default()
    };
    let text = "案号,案情,案由\n12,甲方欠款,借款合同\n";
    let record = extract("a.csv", text.as_bytes(), &[], &options)
        .unwrap()
        .records
        .remove(0);
    assert_eq!(
        (record.text.as_str(), record.label.as_deref(), record.case.as_deref()),
        ("甲方欠款", Some("借款合同"), Some("12"))
    );
}
