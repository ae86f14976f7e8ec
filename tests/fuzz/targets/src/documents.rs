//! Case files: what the daemon reads itself, and what it leaves to a process.

use wengu_intake::{AnswerKind, Options, Sidecar, extract};
use wengu_protocol::reader::{Limits, READER_PROTOCOL, Reply, Request};

const PLAIN: [&str; 6] = ["a.txt", "a.md", "a.json", "a.jsonl", "a.csv", "a.tsv"];
const ANSWERS: [AnswerKind; 4] = [
    AnswerKind::Label,
    AnswerKind::Spans,
    AnswerKind::Text,
    AnswerKind::Labels,
];
const ENCODINGS: [Option<&str>; 4] = [None, Some("gb18030"), Some("big5"), Some("utf-16le")];
const SIDECARS: [&str; 3] = ["a.txt.label", "a.txt.json", "dataset_info.json"];
const DOCUMENTS: [&str; 13] = [
    "a.pdf",
    "a.docx",
    "a.odt",
    "a.rtf",
    "a.html",
    "a.xml",
    "a.eml",
    "a.zip",
    "a.tar",
    "a.tar.gz",
    "a.parquet",
    "a.conll",
    "a.jsonl",
];

/// The first byte says how the rest is read; what follows a zero byte pair at the end is a sidecar.
pub fn intake(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    let how = usize::from(how);
    let options = Options {
        answer: ANSWERS[how / 6 % 4],
        encoding: ENCODINGS[how / 24 % 4].map(String::from),
        case_field: Some("case".into()),
        ..Options::default()
    };
    let (bytes, beside) = match rest.windows(3).position(|three| three == [0, 0xff, 0]) {
        Some(at) => (&rest[..at], Some(&rest[at + 3..])),
        None => (rest, None),
    };
    let sidecars: Vec<Sidecar> = beside
        .iter()
        .map(|bytes| Sidecar {
            name: SIDECARS[how % 3],
            bytes,
        })
        .collect();
    let Ok(extracted) = extract(PLAIN[how % 6], bytes, &sidecars, &options) else {
        return;
    };
    assert!(!extracted.records.is_empty());
    for record in &extracted.records {
        assert!(!record.text.trim().is_empty(), "an empty text is no record");
        assert!(record.line >= 1);
    }
}

/// The first byte says what the rest is called.
pub fn document(data: &[u8]) {
    let Some((&how, document)) = data.split_first() else {
        return;
    };
    let limits = Limits {
        text_bytes: 4 << 20,
        members: 50,
        ..Limits::default()
    };
    let request = Request {
        protocol: READER_PROTOCOL,
        file_name: DOCUMENTS[usize::from(how) % DOCUMENTS.len()].into(),
        encoding: None,
        limits: limits.clone(),
        skip: Vec::new(),
    };
    let (mut text_bytes, mut is_done) = (0, false);
    wengu_reader::read(document, &request, &mut |reply| {
        assert!(!is_done, "nothing follows the end");
        match reply {
            Reply::Text(text) => text_bytes += text.len() as u64,
            Reply::Done => is_done = true,
            _ => {}
        }
        Ok(())
    })
    .expect("sending does not fail");
    assert!(is_done, "every document has an end");
    assert!(text_bytes <= limits.text_bytes, "{text_bytes} bytes of text");
}
