//! Which reader a file name asks for.

/// For messages.
pub(crate) const KNOWN_EXTENSIONS: &str = ".txt, .md, .json, .jsonl, .csv and .tsv";

/// Kind of a case file, by its extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `.txt`
    Text,
    /// `.md`, `.markdown`
    Markdown,
    /// `.json`
    Json,
    /// `.jsonl`, `.ndjson`
    JsonLines,
    /// `.csv`
    Csv,
    /// `.tsv`
    Tsv,
}

impl Format {
    /// The format that the extension names, in any case; None if there is no reader for it.
    pub fn of(file_name: &str) -> Option<Self> {
        Some(match extension(file_name)?.as_str() {
            "txt" => Self::Text,
            "md" | "markdown" => Self::Markdown,
            "json" => Self::Json,
            "jsonl" | "ndjson" => Self::JsonLines,
            "csv" => Self::Csv,
            "tsv" => Self::Tsv,
            _ => return None,
        })
    }

    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Markdown => "md",
            Self::Json => "json",
            Self::JsonLines => "jsonl",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
        }
    }
}

/// Lower case, without the dot. A name that is all extension (".txt") has none.
pub(crate) fn extension(file_name: &str) -> Option<String> {
    let base = file_name.rsplit('/').next().unwrap_or_default();
    let (stem, extension) = base.rsplit_once('.')?;
    (!stem.is_empty() && !extension.is_empty()).then(|| extension.to_lowercase())
}
