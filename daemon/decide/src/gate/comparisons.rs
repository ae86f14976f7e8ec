//! Every comparison of the gate set, with its share of the level.

use super::compare::{Judged, Level, SEED};
use super::family::shares;
use super::levels::{CONFIDENCE, GATE_CONFIDENCE};
use super::{Decision, Era, EraVerdict, Evidence, GateConfig, Levels, SliceVerdict, VERDICT_SCHEMA, Verdict};
use std::collections::{BTreeMap, HashSet};

/// All comparisons, with nothing decided yet.
pub(super) fn compare_all<T: Judged>(config: &GateConfig, evidence: &Evidence<'_, T>) -> Verdict {
    let eras = evidence.eras;
    let newest = eras.len().saturating_sub(1);
    let earlier: Vec<&T> = earlier_items(eras).collect();
    let slices = by_slice(&earlier);
    let judged: Vec<bool> = (0..eras.len()).map(|i| judged_alone(config, eras, i)).collect();
    // A slice that all items are in would only be tested twice.
    let enough = |items: u64| items > 0 && items >= config.min_era_items;
    let slice_judged = |items: &[&T]| enough(items.len() as u64) && items.len() < earlier.len();

    let alone = judged.iter().filter(|judged| **judged).count();
    let parts = alone + slices.values().filter(|items| slice_judged(items)).count();
    let (share, part_share) = shares(parts);

    let all_items: u64 = eras.iter().map(|era| era.items.len() as u64).sum();
    let levels = Levels::of(config.alpha, all_items, evidence.reserve_items);
    // The reserve is taken to have as large a share of each era and slice as the gate set has.
    let level = |share: f64, items: usize| Level {
        alpha: levels.gate * share,
        confirm: levels.reserve.map(|alpha| {
            let confirming = evidence.reserve_items as f64 * items as f64 / all_items.max(1) as f64;
            (alpha * share, confirming.round() as u64)
        }),
        confidence: match levels.reserve {
            Some(_) => GATE_CONFIDENCE,
            None => CONFIDENCE,
        },
    };
    let whole = T::compare(earlier.iter().copied(), &level(share, earlier.len()));
    // With a single era there is one set of items only.
    let compare = |items: &[T], share: f64| match eras.len() {
        1 => whole.clone(),
        _ => T::compare(items, &level(share, items.len())),
    };
    Verdict {
        schema: VERDICT_SCHEMA,
        decision: Decision::EvalFailed,
        reasons: Vec::new(),
        config: *config,
        levels: Some(levels),
        items_blake3: Some(hash_names(eras)),
        seed: Some(SEED),
        first: false,
        repeated: None,
        checklist: None,
        overall: match eras.len() {
            1 => whole.clone(),
            _ => T::compare(eras.iter().flat_map(|e| &e.items), &level(share, all_items as usize)),
        },
        earlier_adjusted_p: None,
        eras: eras
            .iter()
            .zip(judged)
            .enumerate()
            .map(|(i, (era, judged))| EraVerdict {
                era: era.era.clone(),
                newest: i == newest && eras.len() > 1,
                comparison: compare(&era.items, part_share),
                judged,
                adjusted_p: None,
                regressed: false,
            })
            .collect(),
        slices: slices
            .into_iter()
            .map(|(slice, items)| SliceVerdict {
                slice: slice.to_owned(),
                judged: slice_judged(&items),
                comparison: T::compare(items.iter().copied(), &level(part_share, items.len())),
                adjusted_p: None,
                regressed: false,
            })
            .collect(),
        earlier: whole,
        confirmation: None,
    }
}

/// The items that must not get worse: those of all eras but the newest, or of the only one.
pub(super) fn earlier_items<T>(eras: &[Era<T>]) -> impl Iterator<Item = &T> {
    let until = if eras.len() > 1 { eras.len() - 1 } else { eras.len() };
    eras[..until].iter().flat_map(|era| &era.items)
}

pub(super) fn by_slice<'a, T: Judged>(items: &[&'a T]) -> BTreeMap<&'a str, Vec<&'a T>> {
    let mut slices: BTreeMap<&str, Vec<&T>> = BTreeMap::new();
    for item in items {
        let keys: HashSet<&str> = item.slices().iter().map(String::as_str).collect();
        keys.into_iter()
            .for_each(|key| slices.entry(key).or_default().push(item));
    }
    slices
}

fn hash_names<T: Judged>(eras: &[Era<T>]) -> String {
    let mut hasher = blake3::Hasher::new();
    for item in eras.iter().flat_map(|era| &era.items) {
        hasher.update(item.name().as_bytes()).update(b"\n");
    }
    hasher.finalize().to_hex().to_string()
}

/// An era that is all there is of the earlier eras is not tested a second time: that would only cost power.
fn judged_alone<T>(config: &GateConfig, eras: &[Era<T>], index: usize) -> bool {
    let items = eras[index].items.len() as u64;
    let newest = eras.len() - 1;
    let earlier_with_items = eras[..newest].iter().filter(|e| !e.items.is_empty()).count();
    let duplicate = if index == newest {
        eras.len() == 1
    } else {
        earlier_with_items == 1
    };
    items > 0 && items >= config.min_era_items && !duplicate
}
