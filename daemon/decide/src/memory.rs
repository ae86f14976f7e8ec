//! Which examples are kept for replay: a class-balanced reservoir with a byte budget.
//!
//! Every example has a random key that follows from the seed and its id. Within a class the examples with the smallest
//! keys are kept, which makes them a uniform sample of all that the class ever had, whatever came in which order, and
//! without a count of what was seen. Classes fill up side by side, so each gets the same number of bytes, and what a
//! small class leaves over goes to the larger ones. Near duplicates count once, and what one source brings beyond its share of a class
//! comes after what others bring.

use crate::near::NearSet;
use std::collections::{BTreeMap, BTreeSet};

/// The part of a class's fair share that one source may fill before the others had their turn.
const SOURCE_PART: u64 = 4;

/// An example that may be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Unique and lasting: the key is derived from it.
    pub id: String,
    /// The class it counts for.
    pub class: String,
    /// What it takes of the budget: its text, and its logits where these are kept.
    pub bytes: u64,
    /// The case file it comes from; empty where that is not known.
    pub source: String,
    /// [`crate::near::fingerprint`] of its text; None: it is no near duplicate of anything.
    pub fingerprint: Option<u64>,
}

/// The ids to keep, in ascending order, of at most `capacity_bytes` together.
///
/// `existing` is what an earlier call kept and `fresh` is what has come since; an id that is in both counts once, with
/// what `fresh` says about it. With the same `seed` throughout, the result for examples of equal size is the same as
/// if all had come at once; for sizes that differ it is so up to the last example of each class. Examples larger than
/// a class's fair share of the capacity come last in their class, after those of a source that has filled a quarter of it.
/// Of near duplicates in a class, the one with the smallest key is kept.
pub fn select(capacity_bytes: u64, existing: &[Candidate], fresh: &[Candidate], seed: u64) -> Vec<String> {
    let by_id: BTreeMap<&str, &Candidate> = existing.iter().chain(fresh).map(|c| (c.id.as_str(), c)).collect();
    let mut classes: BTreeMap<&str, Vec<(u64, &Candidate)>> = BTreeMap::new();
    for candidate in by_id.into_values() {
        classes
            .entry(&candidate.class)
            .or_default()
            .push((key(seed, &candidate.id), candidate));
    }
    let share = capacity_bytes / classes.len().max(1) as u64;

    // An example's level: the bytes of its class up to and with it. Taking examples by level fills all classes at the
    // same pace.
    let mut queue = Vec::new();
    for (class, mut members) in classes {
        members.sort_unstable_by_key(|&(key, c)| (key, &c.id));
        let mut level = 0u64;
        for (key, candidate) in put_last(without_near_duplicates(members), share) {
            level = level.saturating_add(candidate.bytes);
            queue.push((level, key, class, candidate));
        }
    }
    queue.sort_unstable_by_key(|&(level, key, _, candidate)| (level, key, &candidate.id));

    let mut left = capacity_bytes;
    let mut closed = BTreeSet::new();
    let mut kept = Vec::new();
    for (_, _, class, candidate) in queue {
        if closed.contains(class) {
            continue;
        }
        match left.checked_sub(candidate.bytes) {
            Some(rest) => {
                left = rest;
                kept.push(candidate.id.clone());
            }
            // Smaller examples behind it must not slip in, or the sample would favour short texts.
            None => {
                closed.insert(class);
            }
        }
    }
    kept.sort_unstable();
    kept
}

type Member<'a> = (u64, &'a Candidate);

fn without_near_duplicates(members: Vec<Member>) -> Vec<Member> {
    let mut kept = NearSet::default();
    let is_new = |(_, candidate): &Member| candidate.fingerprint.is_none_or(|fingerprint| kept.insert(fingerprint));
    members.into_iter().filter(is_new).collect()
}

/// Keeps the order but for examples beyond their source's part of the class's `share` of bytes, which come later, and those larger than
/// the share, which come last.
fn put_last(members: Vec<Member>, share: u64) -> impl Iterator<Item = Member> {
    let mut filled: BTreeMap<&str, u64> = BTreeMap::new();
    let mut placed = Vec::with_capacity(members.len());
    for (key, candidate) in members {
        let of_source = filled.entry(&candidate.source).or_default();
        *of_source += candidate.bytes;
        let beyond = !candidate.source.is_empty() && *of_source > (share / SOURCE_PART).max(candidate.bytes);
        placed.push(((candidate.bytes > share, beyond), (key, candidate)));
    }
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, member)| member)
}

fn key(seed: u64, id: &str) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("wengu 2026 memory key v1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(id.as_bytes());
    u64::from_le_bytes(
        hasher.finalize().as_bytes()[..8]
            .try_into()
            .expect("a BLAKE3 hash has 32 bytes"),
    )
}
