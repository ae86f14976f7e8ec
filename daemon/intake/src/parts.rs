//! Files that were turned into text elsewhere: a document, or several in one file.

use crate::record::Collector;
use crate::sidecar::SidecarData;
use crate::{Extracted, Format, IntakeError, Options, Place, Sidecar, collect, sidecar_names};
use wengu_protocol::CaseText;

/// One text of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where it stands in the file.
    pub place: Place,
    /// How its records are written: a plain format; None: it is a sidecar of the member that its name begins with.
    pub format: Option<Format>,
    /// WHATWG name of the encoding that it was written in.
    pub encoding: String,
    /// Bytes that the encoding does not allow are U+FFFD in the text.
    pub is_malformed: bool,
    /// The text.
    pub text: CaseText,
}

/// Reads the records of a file's parts. `refused` says what could not be turned into text, and why. A part's own sidecars
/// go before those of the file. A part that cannot be read is rejected, its neighbours are not.
///
/// # Errors
/// No record could be used, or there are too many; the sidecars of the file cannot be understood.
pub fn extract_parts(
    format: Format,
    parts: &[Part],
    refused: Vec<String>,
    sidecars: &[Sidecar<'_>],
    options: &Options,
) -> Result<Extracted, IntakeError> {
    let beside_the_file = SidecarData::merge(sidecars)?;
    let mut collector = Collector::new(options, SidecarData::default(), false);
    let documents = || parts.iter().filter_map(|part| Some((part, part.format?)));
    for (part, part_format) in documents() {
        let own = own_sidecars(part, parts);
        let sidecar = if own.is_empty() {
            Ok(beside_the_file.clone())
        } else {
            SidecarData::merge(&own).map(|own| own.or(&beside_the_file))
        };
        let read = sidecar.and_then(|sidecar| {
            collector.begin_part(sidecar, part.place.clone(), part.is_malformed);
            collect(part_format, &part.text, &mut collector)
        });
        match (read, &part.place.member) {
            (Ok(()), _) => {}
            (Err(error @ IntakeError::TooManyRecords { .. }), _) | (Err(error), None) => return Err(error),
            (Err(error), Some(member)) => collector.reject_part(format!("{member}: {error}")),
        }
    }
    for reason in refused {
        collector.reject_part(reason);
    }
    let encoding = documents().next().map_or("UTF-8", |(part, _)| part.encoding.as_str());
    collector.finish(format, encoding)
}

fn own_sidecars<'p>(part: &Part, parts: &'p [Part]) -> Vec<Sidecar<'p>> {
    let Some(member) = &part.place.member else {
        return Vec::new();
    };
    let names = sidecar_names(member);
    parts
        .iter()
        .filter(|other| other.format.is_none())
        .filter_map(|other| Some((other.place.member.as_deref()?, other)))
        .filter(|(name, _)| names.iter().any(|own| own == name))
        .map(|(name, other)| Sidecar {
            name,
            bytes: other.text.as_bytes(),
        })
        .collect()
}
