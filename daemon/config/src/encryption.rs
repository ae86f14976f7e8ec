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
    let report = section.report;
    let (file, credential) = (section.string("key_file"), section.string("key_credential"));
    let source = match (file, credential) {
        (Some(_), Some(credential)) => {
            report.error(
                &credential.place,
                "is a second key",
                "leave `key_file` or `key_credential` out",
            );
            None
        }
        (Some(file), None) => {
            let path = resolve(report, base, file);
            take("the key", &path);
            Some(Source::File(path.value))
        }
        (None, Some(name)) => {
            check_credential(report, &name);
            Some(Source::Credential(name.value))
        }
        (None, None) => None,
    };
    section.finish();
    source
}
