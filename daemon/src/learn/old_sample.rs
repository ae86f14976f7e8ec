//! Examples of earlier updates that are watched while a run is trained: those that were set apart to validate, and never trained on.

use super::manifest::{Item, Manifest};
use std::collections::BTreeMap;

/// Examples at most: a look at them takes seconds, however long the stream has become.
const EXAMPLES_MAX: usize = 256;

/// What a run teaches and sets apart.
#[derive(Clone, Copy)]
pub(super) struct Taught<'a> {
    run: u64,
    train: &'a [Item],
    validation: &'a [Item],
}

impl<'a> From<&'a Manifest> for Taught<'a> {
    fn from(manifest: &'a Manifest) -> Taught<'a> {
        Taught {
            run: manifest.run,
            train: &manifest.train,
            validation: &manifest.validation,
        }
    }
}

/// The sample of the runs `before` this one, oldest first, by run: the same ones whenever the run is prepared, and spread over
/// all that was set apart. What a later run taught otherwise, or teaches `now`, is left out.
pub(super) fn old_sample<'a>(before: impl Iterator<Item = Taught<'a>>, now: Taught) -> BTreeMap<u64, Vec<&'a Item>> {
    let mut held: BTreeMap<&str, (u64, &Item)> = BTreeMap::new();
    for Taught { run, train, validation } in before {
        for item in train {
            held.remove(item.text_id.as_str());
        }
        held.extend(validation.iter().map(|item| (item.text_id.as_str(), (run, item))));
    }
    for item in now.train.iter().chain(now.validation) {
        held.remove(item.text_id.as_str());
    }
    // A text's id is a hash: the first ones are as good as drawn.
    let mut by_run: BTreeMap<u64, Vec<&Item>> = BTreeMap::new();
    for (run, item) in held.into_values().take(EXAMPLES_MAX) {
        by_run.entry(run).or_default().push(item);
    }
    by_run
}

#[cfg(test)]
mod tests {
    use super::super::examples::{LabelSource, text_id};
    use super::*;
    use wengu_store::Hash;

    fn item(text: &str) -> Item {
        Item {
            text_id: text_id(text),
            examples: Hash::of(b"file"),
            ordinal: 0,
            label: "a".into(),
            source: LabelSource::Gold,
            case: None,
            language: None,
            slices: Vec::new(),
            near: None,
        }
    }

    fn taught<'a>(run: u64, train: &'a [Item], validation: &'a [Item]) -> Taught<'a> {
        Taught { run, train, validation }
    }

    #[test]
    fn what_was_set_apart_is_watched_until_a_run_teaches_it() {
        let [a, b, c, d] = ["a", "b", "c", "d"].map(item);
        let first = [a.clone(), b.clone(), c.clone()];
        let second = [d.clone()];
        let (corrected, now) = ([b], [c]);
        let before = [taught(1, &[], &first), taught(3, &corrected, &second)];
        let found = old_sample(before.into_iter(), taught(4, &now, &[]));
        assert_eq!(found, BTreeMap::from([(1, vec![&a]), (3, vec![&d])]));
    }

    #[test]
    fn it_stays_small_and_is_spread_over_the_runs() {
        let many = |from: usize| -> Vec<Item> { (from..from + 600).map(|i| item(&format!("text {i}"))).collect() };
        let (first, second) = (many(0), many(600));
        let before = [taught(1, &[], &first), taught(2, &[], &second)];
        let found = old_sample(before.into_iter(), taught(3, &[], &[]));
        let counts: Vec<usize> = found.values().map(Vec::len).collect();
        assert_eq!(counts.iter().sum::<usize>(), EXAMPLES_MAX);
        // Half of 256, give or take five standard deviations of a fair draw.
        assert!(counts.iter().all(|count| (88..=168).contains(count)), "{counts:?}");
    }
}
