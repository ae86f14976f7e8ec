//! Trying again files that were set aside: what kept them from being read may be gone.

use super::types::RetryRequest;
use super::views;
use crate::engine::Engine;
use crate::files::change_states;
use anyhow::{Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use wengu_store::records::{FileRecord, FileState};

/// Has quarantined files read again as if they had just come, in domains that are `seen`; one of another is as if it were
/// not there. Returns how many.
///
/// # Errors
/// One of the paths is no quarantined file, or one that cannot be read however often it is tried. Then none is.
pub fn ask(engine: &Engine, request: &RetryRequest, seen: impl Fn(&str) -> bool) -> Result<u64> {
    let wanted: BTreeSet<&str> = request.paths.iter().map(String::as_str).collect();
    ensure!(!wanted.is_empty(), "no file is named");
    let is_asked = |domain: &str| seen(domain) && request.domain.as_deref().is_none_or(|only| only == domain);
    let mut found: Vec<(String, FileRecord)> = Vec::new();
    engine.store.each("", |key, file: FileRecord| {
        // Nobody reads for a domain that is not configured any more.
        let is_watched = engine.config.domains.contains_key(&file.domain);
        if is_watched && wanted.contains(file.path.as_str()) && is_asked(&file.domain) {
            found.push((key.to_owned(), file));
        }
    })?;
    let mut wrong = Vec::new();
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for &path in &wanted {
        let (set_aside, others): (Vec<_>, Vec<_>) = found
            .iter()
            .filter(|(_, file)| file.path == path)
            .partition(|(_, file)| is_set_aside(file));
        if set_aside.is_empty() {
            wrong.push(match others.first() {
                Some((_, file)) => otherwise(path, &file.state),
                None => views::not_there(engine, path, is_asked),
            });
        }
        for (key, file) in set_aside {
            match in_vain(engine, file) {
                Some(why) => wrong.push(format!("{path}: {why}")),
                None => keys.entry(file.domain.clone()).or_default().push(key.clone()),
            }
        }
    }
    if !wrong.is_empty() {
        if !keys.is_empty() {
            wrong.push("no file was tried again; leave these out to have the others tried".into());
        }
        bail!(wrong.join("\n"));
    }
    let mut retried = 0;
    for (domain, keys) in keys {
        // What was never taken stays as it is until it is.
        change_states(engine, &domain, "files.retried", |file| {
            let is_meant = wanted.contains(file.path.as_str()) && is_set_aside(file) && file.content.is_some();
            is_meant.then_some(FileState::Ingested)
        })?;
        retried += keys.len() as u64;
        engine.retry(&domain, keys);
    }
    Ok(retried)
}

fn is_set_aside(file: &FileRecord) -> bool {
    matches!(file.state, FileState::Quarantined { .. })
}

/// What a file is that was not set aside, and what to do instead.
fn otherwise(path: &str, state: &FileState) -> String {
    let what = views::explain_state(state);
    let instead = match state {
        FileState::Pooled { .. } | FileState::Learned { .. } => "; it is read again once it has changed",
        FileState::Duplicate { .. } => "; name that file",
        _ => "",
    };
    format!("{path} is {}, not quarantined: {what}{instead}", state.name())
}

/// Why trying a quarantined file again can give nothing.
fn in_vain(engine: &Engine, file: &FileRecord) -> Option<String> {
    match &file.content {
        Some(content) => engine.forgetting.refuses_content(content),
        None => {
            let is_gone = std::fs::symlink_metadata(file.location()).is_err_and(|e| e.kind() == ErrorKind::NotFound);
            is_gone.then(|| "it was never taken and is not in its folder any more; deliver it again".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wengu_store::Hash;
    use wengu_store::records::Counts;

    #[test]
    fn what_was_not_set_aside_is_named_with_what_to_do() {
        let (examples, counts) = (Hash::of(b"examples"), Counts::default());
        for (state, told) in [
            (
                FileState::Duplicate { of: "in/a.txt".into() },
                "in/b.txt is duplicate, not quarantined: the same bytes as in/a.txt; name that file",
            ),
            (
                FileState::Pooled {
                    examples,
                    counts,
                    tried_in_run: None,
                },
                "in/b.txt is pooled, not quarantined: its examples wait for the next update; it is read again once it has changed",
            ),
            (
                FileState::Ingested,
                "in/b.txt is ingested, not quarantined: a durable copy is held; it will be read next",
            ),
        ] {
            assert_eq!(otherwise("in/b.txt", &state), told);
        }
        let held_back = FileState::HeldBack {
            examples,
            counts,
            run: 7,
        };
        let told = otherwise("in/b.txt", &held_back);
        assert!(
            told.contains("run 7") && told.ends_with("`wengu files release`"),
            "{told}"
        );
    }
}
