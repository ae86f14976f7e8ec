//! Which reader a file name asks for.

/// For messages.
pub(crate) const KNOWN_EXTENSIONS: &str = ".txt, .md, .json, .jsonl, .csv, .tsv, .pdf, .docx, .odt, .rtf, .html, .xml, \
     .eml, .parquet, .conll, .zip, .tar and .tar.gz";

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
    /// `.pdf`
    Pdf,
    /// `.docx`, `.docm`
    Docx,
    /// `.odt`, `.ott`
    Odt,
    /// `.rtf`
    Rtf,
    /// `.html`, `.htm`, `.xhtml`
    Html,
    /// `.xml`
    Xml,
    /// `.eml`
    Mail,
    /// `.parquet`
    Parquet,
    /// `.conll`, `.bio`, `.iob`
    Conll,
    /// `.zip`
    Zip,
    /// `.tar`
    Tar,
    /// `.tar.gz`, `.tgz`
    TarGzip,
}

impl Format {
    /// The format that the extension names, in any case; None if there is no reader for it.
    pub fn of(file_name: &str) -> Option<Self> {
        let extension = extension(file_name)?;
        Some(match extension.as_str() {
            "txt" => Self::Text,
            "md" | "markdown" => Self::Markdown,
            "json" => Self::Json,
            "jsonl" | "ndjson" => Self::JsonLines,
            "csv" => Self::Csv,
            "tsv" => Self::Tsv,
            "pdf" => Self::Pdf,
            "docx" | "docm" => Self::Docx,
            "odt" | "ott" => Self::Odt,
            "rtf" => Self::Rtf,
            "html" | "htm" | "xhtml" => Self::Html,
            "xml" => Self::Xml,
            "eml" => Self::Mail,
            "parquet" => Self::Parquet,
            "conll" | "bio" | "iob" => Self::Conll,
            "zip" => Self::Zip,
            "tar" => Self::Tar,
            "tgz" => Self::TarGzip,
            "gz" if file_name.to_lowercase().ends_with(".tar.gz") => Self::TarGzip,
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
            Self::Pdf => "pdf",
            Self::Docx => "docx",
            Self::Odt => "odt",
            Self::Rtf => "rtf",
            Self::Html => "html",
            Self::Xml => "xml",
            Self::Mail => "eml",
            Self::Parquet => "parquet",
            Self::Conll => "conll",
            Self::Zip => "zip",
            Self::Tar => "tar",
            Self::TarGzip => "tar.gz",
        }
    }

    /// Whether its records are read here, from its text; the others are turned into text first, in a process of their own.
    pub fn is_plain(self) -> bool {
        matches!(
            self,
            Self::Text | Self::Markdown | Self::Json | Self::JsonLines | Self::Csv | Self::Tsv
        )
    }
}

/// Lower case, without the dot. A name that is all extension (".txt") has none.
pub(crate) fn extension(file_name: &str) -> Option<String> {
    let base = file_name.rsplit('/').next().unwrap_or_default();
    let (stem, extension) = base.rsplit_once('.')?;
    (!stem.is_empty() && !extension.is_empty()).then(|| extension.to_lowercase())
}
