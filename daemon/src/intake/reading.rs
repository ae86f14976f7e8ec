//! From an ingested file to its records: plain text is read here, everything else by a process of its own.

use super::label::ReadError;
use super::ocr;
use crate::engine::Engine;
use crate::model::sibling;
use std::panic::AssertUnwindSafe;
use wengu_intake::{Extracted, Format, IntakeError, Options, Part, Place, Sidecar, extract, extract_parts, format_of};
use wengu_protocol::reader::{self as wire, PartKind, Verdict};
use wengu_reader_client::{Failure, Found};
use wengu_store::Hash;
use wengu_store::records::FileRecord;

/// The records of a file.
pub async fn records(
    engine: &Engine,
    file: &FileRecord,
    content: &Hash,
    options: &Options,
) -> Result<Extracted, ReadError> {
    let bytes = engine.store.objects().get(content)?;
    let mut held = Vec::new();
    for sidecar in &file.sidecars {
        held.push((sidecar.name.clone(), engine.store.objects().get(&sidecar.content)?));
    }
    let sidecars: Vec<Sidecar> = held.iter().map(|(name, bytes)| Sidecar { name, bytes }).collect();
    let name = file.path.rsplit('/').next().unwrap_or(&file.path);
    let refused = |e: IntakeError| ReadError::File(e.to_string());
    let format = format_of(name).map_err(refused)?;
    if format.is_plain() {
        return unharmed(|| extract(name, &bytes, &sidecars, options).map_err(refused));
    }
    if bytes.is_empty() {
        return Err(refused(IntakeError::Empty { bytes: 0 }));
    }
    let (parts, left_out) = parts(engine, name, format, &bytes, options).await?;
    unharmed(|| extract_parts(format, &parts, left_out, &sidecars, options).map_err(refused))
}

/// A file that makes its parser panic is at fault itself, and must not take the daemon down at each start.
fn unharmed<T>(parse: impl FnOnce() -> Result<T, ReadError>) -> Result<T, ReadError> {
    std::panic::catch_unwind(AssertUnwindSafe(parse)).unwrap_or_else(|_| {
        let why = "reading it made wengu panic; the log says where (`panicked`): please report that place";
        Err(ReadError::File(why.to_owned()))
    })
}

/// The texts of a file, and what could not be turned into text.
async fn parts(
    engine: &Engine,
    name: &str,
    format: Format,
    bytes: &[u8],
    options: &Options,
) -> Result<(Vec<Part>, Vec<String>), ReadError> {
    let reader = &engine.config.reader;
    let exe = sibling("wengu-reader")?;
    let read = wengu_reader_client::read(&exe, name, bytes, options.encoding.as_deref(), &reader.limits).await;
    let refusal = match read {
        Ok(Found { parts, refused }) => {
            let left_out = refused.iter().map(|(member, refusal)| format!("{member}: {refusal}"));
            return Ok((parts.into_iter().map(part).collect(), left_out.collect()));
        }
        Err(Failure::File(refusal)) => refusal,
        Err(failure @ Failure::Reader(_)) => return Err(ReadError::Later(failure.into())),
    };
    match &reader.ocr {
        Some(program) if refusal.verdict == Verdict::NeedsOcr && format == Format::Pdf => {
            let text = ocr::read(program, bytes, reader.limits.text_bytes).await;
            let text = text.map_err(|why| ReadError::File(format!("needs_ocr: {why}")))?;
            Ok((vec![text], Vec::new()))
        }
        _ => Err(ReadError::File(refusal.to_string())),
    }
}

fn part((part, text): (wire::Part, String)) -> Part {
    let format = match part.kind {
        PartKind::Text => Some(Format::Text),
        PartKind::Markdown => Some(Format::Markdown),
        PartKind::Json => Some(Format::Json),
        PartKind::JsonLines => Some(Format::JsonLines),
        PartKind::Csv => Some(Format::Csv),
        PartKind::Tsv => Some(Format::Tsv),
        PartKind::Sidecar => None,
    };
    Part {
        place: Place {
            member: part.member,
            case: part.case,
            pages: part.pages,
        },
        format,
        encoding: part.encoding,
        is_malformed: part.is_malformed,
        text: text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_a_parser_is_the_files_fault() {
        let ended: Result<(), ReadError> = unharmed(|| panic!("text of a case"));
        let Err(ReadError::File(why)) = ended else {
            panic!("it is tried again")
        };
        assert!(why.contains("panic") && !why.contains("text of a case"), "{why}");
        assert!(matches!(unharmed(|| Ok(7)), Ok(7)));
    }
}
