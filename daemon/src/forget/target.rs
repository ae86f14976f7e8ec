//! From what somebody typed to the files that are meant.

use super::history::History;
use super::order::Order;
use crate::engine::Engine;
use crate::learn::examples::Examples;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use wengu_store::Hash;

/// A file that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFile {
    /// Its path.
    pub path: String,
    /// Texts that were read from it, over all revisions.
    pub examples: u64,
    /// Cases in it that were not asked for; they go with it.
    pub other_cases: u64,
}

/// Fills in what an order is about: a path, the hash of a file's bytes, or a case. Returns its files.
pub fn resolve(
    engine: &Engine,
    history: &History,
    what: &str,
    path: &str,
    order: &mut Order,
) -> Result<Vec<TargetFile>> {
    let with_path = history
        .files
        .iter()
        .filter(|(_, told)| told.iter().any(|told| told.path == path));
    order.keys = with_path.map(|(key, _)| key.clone()).collect();
    if order.keys.is_empty()
        && let Ok(content) = what.parse::<Hash>()
        && history
            .files
            .values()
            .flatten()
            .any(|told| told.content == Some(content))
    {
        order.contents.insert(content);
    }
    if order.keys.is_empty() && order.contents.is_empty() {
        by_case(engine, history, what, order)?;
    }
    if order.keys.is_empty() && order.contents.is_empty() {
        bail!(
            "nothing of {what:?} is known: no watched folder has shown such a path, no file has such a hash (`wengu files explain` \
             tells it), and no record names such a case"
        );
    }
    // All revisions of a file.
    for key in &order.keys {
        order
            .contents
            .extend(history.files[key].iter().filter_map(|told| told.content));
    }
    files(engine, history, order)
}

fn by_case(engine: &Engine, history: &History, what: &str, order: &mut Order) -> Result<()> {
    for (key, told) in &history.files {
        for hash in told.iter().filter_map(|told| told.examples) {
            let found = cases(engine, &hash)?.into_keys().filter(|case| is_case(case, what));
            let found: Vec<String> = found.collect();
            if !found.is_empty() {
                order.keys.insert(key.clone());
                order.cases.extend(found);
            }
        }
    }
    Ok(())
}

/// Whether a case goes by this name: as records name it, as a file, or as a document inside one.
fn is_case(case: &str, what: &str) -> bool {
    let named = case.strip_prefix("case:").or_else(|| case.strip_prefix("file:"));
    let inside = |name: &str| name.strip_prefix(what).is_some_and(|rest| rest.starts_with('/'));
    case == what || named.is_some_and(|name| name == what) || case.strip_prefix("file:").is_some_and(inside)
}

/// The cases in an object of examples, with the number of their texts. None where the object has gone.
fn cases(engine: &Engine, hash: &Hash) -> Result<BTreeMap<String, u64>> {
    let mut cases = BTreeMap::new();
    if engine.store.objects().contains(hash) {
        let read = Examples::read(&engine.store, hash)?;
        for example in read.examples {
            *cases.entry(example.case).or_default() += 1;
        }
    }
    Ok(cases)
}

/// Whether an object of examples names a case of this kind.
pub fn names_case(engine: &Engine, examples: &Hash, is_meant: impl Fn(&str) -> bool) -> Result<bool> {
    Ok(cases(engine, examples)?.keys().any(|case| is_meant(case)))
}

fn files(engine: &Engine, history: &History, order: &Order) -> Result<Vec<TargetFile>> {
    let mut by_path: BTreeMap<&str, (u64, BTreeSet<String>, BTreeSet<Hash>)> = BTreeMap::new();
    for (_, told) in history.reached(order) {
        let (examples, others, seen) = by_path.entry(&told.path).or_default();
        if let Some(hash) = told.examples.filter(|hash| seen.insert(*hash)) {
            for (case, texts) in cases(engine, &hash)? {
                *examples += texts;
                if !order.cases.is_empty() && !order.cases.contains(&case) {
                    others.insert(case);
                }
            }
        }
    }
    let files = by_path.into_iter().map(|(path, (examples, others, _))| TargetFile {
        path: path.to_owned(),
        examples,
        other_cases: others.len() as u64,
    });
    Ok(files.collect())
}

#[cfg(test)]
mod tests {
    use super::is_case;

    #[test]
    fn a_case_goes_by_its_name_and_by_no_beginning_of_it() {
        for (case, what, meant) in [
            ("case:P-17", "P-17", true),
            ("case:P-17", "case:P-17", true),
            ("case:P-17", "P-1", false),
            ("case:P-17/a", "P-17", false),
            ("file:inbox/a.zip/letter.pdf", "inbox/a.zip", true),
            ("file:inbox/a.zip", "inbox/a.zip", true),
            ("file:inbox/a.zip2", "inbox/a.zip", false),
        ] {
            assert_eq!(is_case(case, what), meant, "{case} {what}");
        }
    }
}
