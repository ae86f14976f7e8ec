//! Whatever comes in, nothing panics and nothing is lost in silence.

use proptest::prelude::*;
use wengu_intake::{IntakeError, Options, Sidecar, extract};

const NAMES: [&str; 7] = ["a.txt", "b.md", "c.json", "d.jsonl", "e.csv", "f.tsv", "g.xyz"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_never_panic(
        name in prop_oneof![prop::sample::select(&NAMES[..]).prop_map(str::to_owned), any::<String>()],
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        sidecar in prop::collection::vec(any::<u8>(), 0..40),
        sidecar_name in prop::sample::select(&["a.label", "a.meta.json"][..]),
        encoding in prop::sample::select(&[None, Some("gbk"), Some("utf-16le"), Some("iso-2022-jp"), Some("x")][..]),
    ) {
        let options = Options { encoding: encoding.map(str::to_owned), ..Options::default() };
        let sidecar = Sidecar { name: sidecar_name, bytes: &sidecar };
        for sidecars in [&[][..], &[sidecar]] {
            match extract(&name, &bytes, sidecars, &options) {
                Ok(extracted) => prop_assert!(!extracted.records.is_empty()),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }

    /// Text made of the pieces that the readers look for gets further in than random bytes.
    #[test]
    fn near_misses_never_panic_and_records_are_sound(
        name in prop::sample::select(&NAMES[..6]),
        pieces in prop::collection::vec(prop::sample::select(&[
            "{", "}", "[", "]", "\"", "\"text\"", ":", ",", "\t", "\n", "\r\n", "---\n", "label: a\n", "text", "label",
            "text,label\n", "text\tlabel\n", "{\"text\":\"x\"}", "合同", "：", "\\", "\\u", " ", "\u{fffd}", "\u{feff}",
        ][..]), 0..40),
        tail in prop::collection::vec(any::<u8>(), 0..3),
    ) {
        let mut bytes = pieces.concat().into_bytes();
        bytes.extend(tail);
        if let Ok(extracted) = extract(name, &bytes, &[], &Options::default()) {
            let lines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u32 + 1;
            let mut ordinals: Vec<u32> = extracted.records.iter().map(|record| record.ordinal).collect();
            ordinals.dedup();
            prop_assert_eq!(ordinals.len(), extracted.records.len());
            for record in &extracted.records {
                prop_assert!(!record.text.trim().is_empty() && (1..=lines).contains(&record.line));
                prop_assert!(record.label.as_ref().is_none_or(|label| !label.is_empty()));
            }
            for rejected in &extracted.rejected {
                prop_assert!((1..=lines).contains(&rejected.line) && !rejected.reason.is_empty());
            }
        }
    }

    #[test]
    fn every_line_is_a_record_or_a_rejection(lines in prop::collection::vec(
        prop_oneof![
            "[^\\r\\n\\p{C}]{0,20}",
            "\\PC{1,10}".prop_map(|text| serde_json::json!({"text": text, "label": "A"}).to_string()),
            Just(String::new()),
        ], 1..20,
    )) {
        let text = lines.join("\n");
        let written: Vec<u32> = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty())
            .map(|(index, _)| index as u32 + 1).collect();
        match extract("a.jsonl", text.as_bytes(), &[], &Options::default()) {
            Ok(extracted) => {
                let mut told: Vec<u32> = extracted.records.iter().map(|record| record.line)
                    .chain(extracted.rejected.iter().map(|rejected| rejected.line)).collect();
                told.sort_unstable();
                prop_assert_eq!(told, written);
            }
            Err(IntakeError::NothingUsable { rejected, .. }) => prop_assert_eq!(rejected, written.len()),
            Err(IntakeError::Empty { .. }) => prop_assert!(written.is_empty()),
            Err(IntakeError::Binary { .. }) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn tables_come_back_as_they_were_written(
        rows in prop::collection::vec(("[a-z,\"\n\r\t 合同；，]{0,12}[a-z合]", "[a-zA-Z0-9,\" 合同]{0,6}", "[ -~\n]{0,6}"), 1..12),
        is_crlf in any::<bool>(),
        is_tab in any::<bool>(),
    ) {
        let terminator = if is_crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().terminator(terminator)
            .delimiter(if is_tab { b'\t' } else { b',' }).from_writer(Vec::new());
        writer.write_record(["text", "label", "note"]).unwrap();
        for (text, label, note) in &rows {
            writer.write_record([text, label, note]).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let name = if is_tab { "a.tsv" } else { "a.csv" };
        let extracted = extract(name, &bytes, &[], &Options::default()).unwrap();
        prop_assert_eq!(&extracted.rejected, &[]);
        prop_assert_eq!(extracted.records.len(), rows.len());
        for (record, (text, label, note)) in extracted.records.iter().zip(&rows) {
            prop_assert_eq!(&record.text, text.trim());
            prop_assert_eq!(record.label.as_deref().unwrap_or(""), label.trim());
            prop_assert_eq!(record.metadata["note"].as_str().unwrap(), note);
        }
    }
}
