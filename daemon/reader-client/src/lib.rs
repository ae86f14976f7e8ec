//! Starts a reader for a file, gathers what it finds, and names every way in which it can end.
//!
//! A process for each file: what a document does to its parser is over with it, and nothing of one file is left in memory
//! when the next is read. A document inside a file that ends its reader is passed over by the next one, so that its
//! neighbours are read all the same.

mod run;

use run::{Ended, run};
use std::path::Path;
use wengu_protocol::reader::{Limits, Part, READER_PROTOCOL, Refusal, Request};

/// Documents inside one file that may end a reader; with one more the file is refused.
const DEATHS_MAX: usize = 3;

/// What was found in a file.
#[derive(Debug, Default)]
pub struct Found {
    /// Parts with their texts, in the order of the file.
    pub parts: Vec<(Part, String)>,
    /// Documents inside the file that were not read, by their paths.
    pub refused: Vec<(String, Refusal)>,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The file's own fault.
    #[error(transparent)]
    File(#[from] Refusal),
    /// The system's, or of a reader of another build. The file is tried again.
    #[error("the reader {0}")]
    Reader(String),
}

/// Reads a file. Of its name only the extension counts.
///
/// # Errors
/// See [`Failure`].
pub async fn read(
    reader_exe: &Path,
    file_name: &str,
    document: &[u8],
    encoding: Option<&str>,
    limits: &Limits,
) -> Result<Found, Failure> {
    let document = run::in_memory(document).map_err(|e| Failure::Reader(format!("got no document: {e}")))?;
    let extension = file_name.rsplit('/').next().unwrap_or_default();
    let extension = match extension.to_lowercase().ends_with(".tar.gz") {
        true => "tar.gz",
        false => extension.rsplit_once('.').map_or("", |(_, extension)| extension),
    };
    let mut request = Request {
        protocol: READER_PROTOCOL,
        file_name: format!("document.{extension}"),
        encoding: encoding.map(str::to_owned),
        limits: limits.clone(),
        skip: Vec::new(),
    };
    let mut deaths = Vec::new();
    loop {
        match run(reader_exe, &document, &request).await {
            Ok(mut found) => {
                found.refused.extend(deaths);
                return Ok(found);
            }
            Err(Ended::Failure(failure)) => return Err(failure),
            Err(Ended::At {
                ordinal,
                member,
                refusal,
            }) => match member {
                Some(member) if deaths.len() < DEATHS_MAX => {
                    request.skip.push(ordinal);
                    deaths.push((member, refusal));
                }
                _ => return Err(Failure::File(refusal)),
            },
        }
    }
}
