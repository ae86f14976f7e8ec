//! The configuration file: read, checked, every error at once.

mod adapter_start;
mod api;
mod domain;
mod encryption;
mod environment;
mod folders;
mod learning;
mod method;
mod patterns;
mod problem;
mod reader;
mod section;
mod sources;
mod top;
mod types;
mod webhook;

pub use api::{Api, ApiLimits, Members, Tcp, Who, check_people};
pub use environment::check_environment;
pub use problem::{Problem, Problems, Severity};
pub use sources::Sources;
pub use types::*;

use section::{Place, Report, Section};
use std::path::Path;
use toml::de::DeTable;

/// Larger files are refused.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A commented configuration that can be read as it is.
pub fn example() -> &'static str {
    include_str!("example.toml")
}

/// Reads and checks a file. Relative paths in it are relative to its folder.
pub fn load(path: &Path) -> Result<Config, Problems> {
    let refuse = |message: String, remedy: &str| Problems::new(path, vec![Problem::error("", &message, remedy)]);
    let cannot_read = |error| refuse(format!("cannot be read: {error}"), "name another file with --config");
    let bytes = match std::fs::metadata(path) {
        Ok(about) if about.len() > FILE_BYTES_MAX => {
            let message = format!(
                "has {} bytes; a configuration has {FILE_BYTES_MAX} at most",
                about.len()
            );
            return Err(refuse(message, "name another file with --config"));
        }
        Ok(_) => std::fs::read(path).map_err(cannot_read)?,
        Err(error) => return Err(cannot_read(error)),
    };
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse(text, path),
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()]
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count();
            Err(refuse(format!("line {line} is not UTF-8"), "save the file as UTF-8"))
        }
    }
}

/// Checks the text of the file at `path`, without looking at the file system.
pub fn parse(text: &str, path: &Path) -> Result<Config, Problems> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let report = Report::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let mut config = top::read_config(Section::root(&report, document.get_ref()), &absolute);
        let problems = Problems::new(path, report.problems.into_inner());
        if problems.has_errors() {
            return Err(problems);
        }
        config.warnings = problems.list().to_vec();
        config.positions = report.positions.into_inner();
        return Ok(config);
    }
    // What the rest of a broken document says cannot be relied on.
    let mut lines = std::collections::BTreeSet::new();
    for error in errors {
        let position = error.span().map(|span| report.position(span.start));
        // One slip gives several errors on its line; the first tells.
        if lines.insert(position.map(|position| position.line)) {
            let place = Place {
                key: String::new(),
                position,
            };
            let message = error.message().replace('\n', ", ");
            let remedy = if message.contains("unquoted key") {
                "put a name with other letters in quotes, as in `[domains.\"合同\"]`"
            } else {
                "texts stand in quotes, lists in brackets, and each key once in its table"
            };
            report.error(&place, format!("is not TOML: {message}"), remedy);
        }
    }
    Err(Problems::new(path, report.problems.into_inner()))
}
