//! Why a whole file could not be taken.

use crate::format::{KNOWN_EXTENSIONS, extension};

/// Why a whole file could not be taken, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// No reader for this kind of file.
    #[error("files named {} are not read; {advice}", display_extension(.extension))]
    UnknownExtension {
        /// Lower case, without the dot; empty if the name has none.
        extension: String,
        /// What to do instead.
        advice: String,
    },
    /// No bytes, or white space only.
    #[error("the file is empty ({bytes} bytes, none but white space); drop it again with its text")]
    Empty {
        /// Size of the file.
        bytes: usize,
    },
    /// Not text.
    #[error("the file is not text: {found}; give it the extension of what it is, or save it as plain text")]
    Binary {
        /// What gave it away.
        found: String,
    },
    /// `encoding` in the options is no known label.
    #[error("{label:?} is not the name of an encoding; use one such as \"gb18030\", \"big5\" or \"windows-1252\"")]
    UnknownEncoding {
        /// As given.
        label: String,
    },
    /// Neither UTF-8 nor anything else fits.
    #[error(
        "the character encoding could not be determined: as {tried} {permille}\u{2030} of the characters are unreadable; \
         save the file as UTF-8, or name its encoding under intake.encoding"
    )]
    Undecodable {
        /// The best guess.
        tried: String,
        /// Unreadable characters in a thousand.
        permille: u32,
    },
    /// A `.json` file that is not one JSON value.
    #[error("not valid JSON at line {line}, column {column}: {reason}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
        /// The parser's words, and a hint where there is one.
        reason: String,
    },
    /// The first row of a table does not name the columns as it must.
    #[error("the first row must name the columns: {reason}")]
    Header {
        /// What is missing or doubled.
        reason: String,
    },
    /// Every record was rejected.
    #[error("none of the {rejected} records could be used; line {line}: {reason}")]
    NothingUsable {
        /// How many.
        rejected: usize,
        /// Line of the first one.
        line: u32,
        /// Reason of the first one.
        reason: String,
    },
    /// The file goes on after `max_records`.
    #[error("the file has more than {limit} records, the most that one may have; split it")]
    TooManyRecords {
        /// The limit.
        limit: u32,
    },
    /// A sidecar that cannot be understood, or two that contradict each other.
    #[error("the label file {name:?} beside it cannot be used: {reason}")]
    Sidecar {
        /// File name of the sidecar.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl IntakeError {
    pub(crate) fn unknown_extension(file_name: &str) -> Self {
        let extension = extension(file_name).unwrap_or_default();
        let advice = match extension.as_str() {
            "doc" | "wps" => "save it as .docx".to_owned(),
            "xls" | "xlsx" | "ods" | "et" => "save the sheet as CSV (UTF-8)".to_owned(),
            "msg" => "save it as .eml".to_owned(),
            "arrow" => "write it as Parquet (`to_parquet` of the data set)".to_owned(),
            "gz" | "7z" | "rar" | "xz" | "zst" | "bz2" => "unpack it and drop what it holds".to_owned(),
            _ => format!("known are {KNOWN_EXTENSIONS}"),
        };
        Self::UnknownExtension { extension, advice }
    }
}

fn display_extension(extension: &str) -> String {
    if extension.is_empty() {
        "without an extension".to_owned()
    } else {
        format!("*.{extension}")
    }
}
