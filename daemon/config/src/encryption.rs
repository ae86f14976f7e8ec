//! `[encryption]`.

use crate::folders::resolve;
use crate::section::{Located, Section};
use crate::types::Source;
use crate::webhook::check_credential;
use std::path::{Path, PathBuf};

/// Where the key is that case files, examples and memories are sealed with; None: they are kept as they are.
pub(crate) fn read_encryption(
    mut section: Section<'_>,
    base: &Path,
    take: &mut impl FnMut(&'static str, &Located<PathBuf>),
) -> Option<Source> {
    let source = key_source(&mut section, base, ["key_file", "key_credential"], "the key", take);
    section.finish();
    source
}

/// A key in a file or a credential, under one of two names; None: neither is there, or both, or something is wrong with one, which is told.
pub(crate) fn key_source(
    section: &mut Section<'_>,
    base: &Path,
    [file, credential]: [&'static str; 2],
    what: &'static str,
    take: &mut impl FnMut(&'static str, &Located<PathBuf>),
) -> Option<Source> {
    let report = section.report;
    match (section.string(file), section.string(credential)) {
        (Some(_), Some(second)) => {
            let remedy = format!("leave `{file}` or `{credential}` out");
            report.error(&second.place, "is a second key", remedy);
            None
        }
        (Some(path), None) => {
            let path = resolve(report, base, path);
            take(what, &path);
            Some(Source::File(path.value))
        }
        (None, Some(name)) => {
            check_credential(report, &name);
            Some(Source::Credential(name.value))
        }
        (None, None) => None,
    }
}
