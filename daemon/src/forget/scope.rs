//! What a forgetting reaches: objects, runs and versions. Found once, before anything is changed, and kept with the order:
//! later the journal does not say it any more.

use super::history::History;
use super::order::Order;
use super::redo::scrub;
use crate::engine::Engine;
use crate::learn::examples::{Examples, LabelSource};
use crate::learn::manifest::{Item, Manifest};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use wengu_store::Hash;
use wengu_store::records::{RunRecord, VersionRecord};

/// Shorter words are not struck out of texts for people: they would be found in others.
const WORD_BYTES_MIN: usize = 4;

/// What is reached.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scope {
    /// File records of which nothing stays.
    pub keys: BTreeSet<String>,
    /// The paths.
    pub paths: BTreeSet<Place>,
    /// Objects to remove, unless a record that stays needs one.
    pub objects: BTreeSet<Hash>,
    /// Words that would say it.
    pub words: Vec<String>,
    /// By domain.
    pub domains: Vec<DomainScope>,
}

/// A path, of which JSON has the text where it is one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Place {
    /// It is UTF-8.
    Text(String),
    /// It is not.
    Bytes(Vec<u8>),
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Place {
        match path.to_str() {
            Some(text) => Place::Text(text.to_owned()),
            None => Place::Bytes(path.as_os_str().as_bytes().to_vec()),
        }
    }
}

impl AsRef<Path> for Place {
    fn as_ref(&self) -> &Path {
        match self {
            Place::Text(text) => Path::new(text),
            Place::Bytes(bytes) => Path::new(OsStr::from_bytes(bytes)),
        }
    }
}

/// What is reached of a domain.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DomainScope {
    /// The domain.
    pub domain: String,
    /// Runs that had it, or continue a version that had.
    pub runs: Vec<u64>,
    /// The versions that they made.
    pub versions: Vec<String>,
    /// The version in service is one of them.
    pub serves: bool,
    /// The last version in the lineage of the one in service that never saw it.
    pub clean: Option<String>,
    /// What the runs of that lineage were made of, without it, oldest first.
    pub redo: Vec<Manifest>,
}

impl Scope {
    /// Reads what has to be read. Changes nothing.
    pub fn find(engine: &Engine, history: &History, order: &Order) -> Result<Scope> {
        let mut scope = Scope {
            keys: history.emptied(order),
            objects: order.contents.clone(),
            ..Scope::default()
        };
        let mut seen = Seen {
            since_ms: i64::MAX,
            ..Seen::default()
        };
        let mut words: BTreeSet<String> = order.cases.iter().map(|case| bare(case).to_owned()).collect();
        let mut domains = BTreeSet::new();
        for (key, told) in history.reached(order) {
            domains.extend(key.split_once('/').map(|(domain, _)| domain.to_owned()));
            scope.paths.insert(told.location.as_path().into());
            words.extend([told.path.clone(), told.case_key.clone(), told.name().to_owned()]);
            scope
                .objects
                .extend(told.content.iter().chain(&told.sidecars).chain(&told.examples));
            seen.examples.extend(told.examples);
            seen.since_ms = seen.since_ms.min(told.first_seen_ms);
        }
        for hash in seen
            .examples
            .iter()
            .filter(|hash| engine.store.objects().contains(hash))
        {
            let read = Examples::read(&engine.store, hash)?;
            seen.voted |= read.voting.is_some();
        }
        // The longest first: a name stands in its path.
        scope.words = words.into_iter().filter(|word| word.len() >= WORD_BYTES_MIN).collect();
        scope.words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        for domain in domains {
            let reached = domain_scope(engine, &domain, &seen)?;
            for run in &reached.runs {
                let key = RunRecord::key(&domain, *run);
                scope.objects.extend(history.runs.get(&key).into_iter().flatten());
            }
            scope.domains.push(reached);
        }
        Ok(scope)
    }
}

fn bare(case: &str) -> &str {
    case.split_once(':').map_or(case, |(_, name)| name)
}

/// What a run may have seen.
#[derive(Debug, Default)]
struct Seen {
    examples: BTreeSet<Hash>,
    /// Labelling functions voted on it: what is held of the votes on other texts was fitted on these as well.
    voted: bool,
    /// From when on.
    since_ms: i64,
}

impl Seen {
    fn by(&self, run: &RunRecord, manifest: &Manifest) -> bool {
        let named = manifest.files.values().any(|hash| self.examples.contains(hash))
            || items(manifest).any(|item| self.examples.contains(&item.examples))
            || manifest
                .dropped
                .iter()
                .any(|dropped| self.examples.contains(&dropped.examples));
        let weak =
            |item: &Item| matches!(&item.source, LabelSource::Weak { probabilities, .. } if !probabilities.is_empty());
        named || (self.voted && run.planned_ms >= self.since_ms && items(manifest).any(weak))
    }
}

/// Every example that a run uses.
fn items(manifest: &Manifest) -> impl Iterator<Item = &Item> {
    let trained = manifest.train.iter().chain(&manifest.validation);
    trained.chain(manifest.held_out())
}

fn domain_scope(engine: &Engine, domain: &str, seen: &Seen) -> Result<DomainScope> {
    let versions = engine.store.scan::<VersionRecord>(&format!("{domain}/"))?;
    let versions: BTreeMap<u64, VersionRecord> = versions
        .into_iter()
        .map(|(_, version)| (version.run, version))
        .collect();
    let mut reached = DomainScope {
        domain: domain.to_owned(),
        ..DomainScope::default()
    };
    let mut tainted: BTreeSet<String> = BTreeSet::new();
    // Oldest first, so that a parent is known before what continues it.
    for run in engine.runs(domain)? {
        let continues = run.parent.as_ref().is_some_and(|parent| tainted.contains(parent));
        if continues || seen.by(&run, &engine.manifest(&run.manifest)?) {
            reached.runs.push(run.run);
            tainted.extend(versions.get(&run.run).map(|version| version.id.clone()));
        }
    }
    let mut next = engine.current(domain)?.map(|current| current.version);
    while let Some(id) = next {
        if !tainted.contains(&id) {
            reached.clean = Some(id);
            break;
        }
        reached.serves = true;
        let version = engine.version(domain, &id)?;
        let manifest = engine.manifest(&engine.run(domain, version.run)?.manifest)?;
        let without = scrub(&manifest, &seen.examples);
        if !without.files.is_empty() {
            reached.redo.insert(0, without);
        }
        next = version.parent;
    }
    reached.versions = tainted.into_iter().collect();
    Ok(reached)
}
