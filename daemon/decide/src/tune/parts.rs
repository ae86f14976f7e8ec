//! How the texts of a domain become two deliveries in a row, with texts to ask about after each.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// With fewer texts to train on in a part nothing can be fitted.
pub const PART_TEXTS_MIN: usize = 10;
/// With fewer texts to ask about in a part nothing can be told apart.
pub const VALIDATION_TEXTS_MIN: usize = 8;
/// Share of the texts that are asked about.
const VALIDATION_SHARE: f64 = 0.25;
/// From so many labels on, half of them come with the second part.
const LABELS_MIN: usize = 4;

/// A text that may be learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    /// Its case.
    pub case: &'a str,
    /// Its label.
    pub label: &'a str,
}

/// The first or the second update of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What is there before.
    Old,
    /// What comes.
    New,
}

/// What a text is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// In which update.
    pub part: Part,
    /// Asked about, and not trained on.
    pub asked: bool,
}

/// Where each text is used; None: nothing teaches its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// In the order of the texts.
    pub places: Vec<Option<Place>>,
    /// Labels that only the second update brings; without any, the parts differ by their cases.
    pub late: BTreeSet<String>,
}

impl Parts {
    /// How many texts are used so.
    pub fn count(&self, part: Part, asked: bool) -> usize {
        let meant = Some(Place { part, asked });
        self.places.iter().filter(|place| **place == meant).count()
    }
}

/// There is too little.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is too little to fit settings on: the {part} part has {train} texts to learn and {asked} to ask about, of {labels} labels; it needs \
     {PART_TEXTS_MIN} and {VALIDATION_TEXTS_MIN}, and the first part two labels, over several cases. Deliver more labelled case files first"
)]
pub struct PartsError {
    part: &'static str,
    train: usize,
    asked: usize,
    labels: usize,
}

/// Divides texts. About a quarter, by whole cases, is asked about. With four labels or more, half of the labels make the second part
/// (as where new classes arrive); with fewer, half of the cases. Depends on cases, labels and the seed alone, not on the order.
pub fn parts(texts: &[Text], seed: u64) -> Result<Parts, PartsError> {
    let sizes = texts.iter().fold(BTreeMap::new(), |mut sizes, text| {
        *sizes.entry(text.case).or_insert(0usize) += 1;
        sizes
    });
    let asked = drawn(&sizes, VALIDATION_SHARE, seed, "asked");
    let labels: BTreeSet<&str> = texts.iter().map(|text| text.label).collect();
    let late: BTreeSet<&str> = match labels.len() >= LABELS_MIN {
        true => {
            let half = labels.len() / 2;
            ordered(labels.iter().copied(), seed, "label")
                .into_iter()
                .take(half)
                .collect()
        }
        false => BTreeSet::new(),
    };
    let halves = |is_asked: bool| {
        let of = sizes.iter().filter(|(case, _)| asked.contains(*case) == is_asked);
        drawn(&of.map(|(case, size)| (*case, *size)).collect(), 0.5, seed, "new")
    };
    let new_cases: BTreeSet<&str> = halves(true).into_iter().chain(halves(false)).collect();
    let place = |text: &Text| Place {
        part: match late.contains(text.label) || (late.is_empty() && new_cases.contains(text.case)) {
            true => Part::New,
            false => Part::Old,
        },
        asked: asked.contains(text.case),
    };
    let taught = |part: Part| -> BTreeSet<&str> {
        let of_part = texts.iter().filter(|text| place(text) == Place { part, asked: false });
        of_part.map(|text| text.label).collect()
    };
    let old = taught(Part::Old);
    let known: BTreeSet<&str> = old.union(&taught(Part::New)).copied().collect();
    let places = texts.iter().map(|text| {
        let place = place(text);
        let teaches = if place.part == Part::Old { &old } else { &known };
        (!place.asked || teaches.contains(text.label)).then_some(place)
    });
    let parts = Parts {
        places: places.collect(),
        late: late.into_iter().map(str::to_owned).collect(),
    };
    for (part, name, labels) in [(Part::Old, "old", old.len()), (Part::New, "new", known.len())] {
        let (train, asked) = (parts.count(part, false), parts.count(part, true));
        if train < PART_TEXTS_MIN || asked < VALIDATION_TEXTS_MIN || labels < 2 {
            return Err(PartsError {
                part: name,
                train,
                asked,
                labels,
            });
        }
    }
    Ok(parts)
}

/// Names in an order that only the seed decides.
fn ordered<'a>(names: impl Iterator<Item = &'a str>, seed: u64, what: &str) -> Vec<&'a str> {
    let key = |name: &&str| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(what.as_bytes()).update(&[0]);
        *hasher.update(name.as_bytes()).finalize().as_bytes()
    };
    let mut names: Vec<&str> = names.collect();
    names.sort_by_cached_key(key);
    names
}

/// Whole cases that hold about this share of the texts. A case that would overshoot by half of that is passed over.
fn drawn<'a>(sizes: &BTreeMap<&'a str, usize>, share: f64, seed: u64, what: &str) -> BTreeSet<&'a str> {
    let wanted = share * sizes.values().sum::<usize>() as f64;
    let (mut taken, mut chosen) = (0, BTreeSet::new());
    for case in ordered(sizes.keys().copied(), seed, what) {
        let size = sizes[case];
        if (taken as f64) < wanted && (taken + size) as f64 <= 1.5 * wanted {
            taken += size;
            chosen.insert(case);
        }
    }
    chosen
}
