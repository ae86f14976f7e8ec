//! Files that were turned into text elsewhere, and the words of other tools.

use wengu_intake::{AnswerKind, Extracted, Format, IntakeError, Options, Part, Place, Sidecar, extract, extract_parts};

fn part(member: Option<&str>, format: Option<Format>, text: &str) -> Part {
    Part {
        place: Place {
            member: member.map(str::to_owned),
            case: member.map(str::to_owned),
            pages: Vec::new(),
        },
        format,
        encoding: "UTF-8".to_owned(),
        is_malformed: false,
        text: text.into(),
    }
}

fn read(parts: &[Part], sidecars: &[Sidecar<'_>]) -> Result<Extracted, IntakeError> {
    extract_parts(
        Format::Zip,
        parts,
        vec!["b.pdf: encrypted: locked".to_owned()],
        sidecars,
        &Options::default(),
    )
}

fn labels(found: &Extracted) -> Vec<Option<&str>> {
    found.records.iter().map(|record| record.label.as_deref()).collect()
}

#[test]
fn a_members_own_sidecar_goes_first() {
    let parts = [
        part(Some("a.txt"), Some(Format::Text), "one"),
        part(Some("a.txt.label"), None, "own"),
        part(
            Some("c.jsonl"),
            Some(Format::JsonLines),
            "{\"text\": \"two\"}\n{\"text\": \"three\", \"label\": \"beside\"}\n",
        ),
        part(Some("c.jsonl.meta.json"), None, "{\"court\": \"北京\"}"),
    ];
    let beside = Sidecar {
        name: "x.zip.label",
        bytes: b"beside",
    };
    let found = read(&parts, &[beside]).unwrap();
    assert_eq!(labels(&found), [Some("own"), Some("beside"), Some("beside")]);
    assert_eq!(found.records[1].metadata["court"], "北京");
    let ordinals: Vec<u32> = found.records.iter().map(|record| record.ordinal).collect();
    assert_eq!(ordinals, [0, 1, 2], "one count over all parts");
    assert_eq!(found.records[2].place.member.as_deref(), Some("c.jsonl"));
    assert_eq!(found.rejected[0].reason, "b.pdf: encrypted: locked");
}

#[test]
fn a_part_that_cannot_be_read_harms_no_neighbour() {
    let parts = [
        part(Some("a.json"), Some(Format::Json), "{broken"),
        part(Some("b.csv"), Some(Format::Csv), "no,words\n1,2\n"),
        part(Some("c.txt"), Some(Format::Text), "text"),
        part(Some("c.txt.label"), None, "a\nb"),
        part(Some("d.txt"), Some(Format::Text), "more"),
    ];
    let found = read(&parts, &[]).unwrap();
    assert_eq!(found.records.len(), 1);
    let reasons: Vec<&str> = found.rejected.iter().map(|rejected| rejected.reason.as_str()).collect();
    for (reason, begins) in reasons.iter().zip([
        "a.json: not valid JSON",
        "b.csv: the first row",
        "c.txt: the label file",
    ]) {
        assert!(reason.starts_with(begins), "{reason}");
    }
    // Where the file is the document, its fault is the file's.
    let alone = [part(None, Some(Format::JsonLines), "\n")];
    assert!(matches!(
        extract_parts(Format::Parquet, &alone, Vec::new(), &[], &Options::default()),
        Err(IntakeError::NothingUsable { .. })
    ));
}

#[test]
fn records_are_counted_over_all_parts() {
    let options = Options {
        max_records: 2,
        ..Options::default()
    };
    let parts: Vec<Part> = ["a.txt", "b.txt", "c.txt"]
        .map(|name| part(Some(name), Some(Format::Text), "text"))
        .into();
    let read = extract_parts(Format::Zip, &parts, Vec::new(), &[], &options);
    assert_eq!(read.unwrap_err(), IntakeError::TooManyRecords { limit: 2 });
}

#[test]
fn classes_are_named_in_every_table() {
    let info = Sidecar {
        name: "dataset_info.json",
        bytes: br#"{"features": {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}}"#,
    };
    let read = |name: &str, text: &str| {
        let found = extract(name, text.as_bytes(), &[info], &Options::default()).unwrap();
        found.records[0].label.clone()
    };
    assert_eq!(read("a.csv", "text,label\nx,1\n").as_deref(), Some("pos"));
    assert_eq!(read("a.jsonl", r#"{"text": "x", "label": 0}"#).as_deref(), Some("neg"));
    assert_eq!(
        read("a.jsonl", r#"{"text": "x", "label": "other"}"#).as_deref(),
        Some("other")
    );
    assert_eq!(
        read("a.csv", "text,label\nx,7\n").as_deref(),
        Some("7"),
        "no such class"
    );
}

#[test]
fn exports_of_label_studio_are_records() {
    let tasks = r#"[{"id": 1, "data": {"text": "患者服用阿司匹林"}, "annotations": [{"result": [
        {"type": "labels", "value": {"start": 4, "end": 8, "text": "阿司匹林", "labels": ["药"]}}]}]},
        {"id": 2, "data": {"text": "nothing"}, "annotations": [{"result": [
        {"type": "choices", "value": {"choices": ["x"]}}]}, {"result": [{"type": "choices", "value": {"choices": ["y"]}}]}]}]"#;
    let spans = Options {
        answer: AnswerKind::Spans,
        ..Options::default()
    };
    let found = extract("a.json", tasks.as_bytes(), &[], &spans).unwrap();
    assert_eq!(found.records[0].label.as_deref(), Some(r#"[[4,8,"药"]]"#));
    assert!(found.rejected[0].reason.contains("differ"), "{:?}", found.rejected);
    // The short form of the export.
    let short = r#"[{"text": "a drug", "label": [{"start": 2, "end": 6, "text": "drug", "labels": ["D"]}]}]"#;
    let found = extract("a.json", short.as_bytes(), &[], &spans).unwrap();
    assert_eq!(found.records[0].label.as_deref(), Some(r#"[[2,6,"D"]]"#));
}
