//! What does not go into a run though it could be learned: texts that nearly are held-out items, floods of one text, what a person
//! should see first, and what one source brings beyond its share. Pure, as the plan is.

use super::manifest::{Asked, Dropped, Item};
use super::plan::{History, Plan};
use super::sources::ReviewState;
use std::collections::{BTreeMap, HashMap};
use wengu_config::Sources;
use wengu_decide::near::NearSet;
use wengu_decide::sources::allowances;
use wengu_store::Hash;

/// The source of files that lie directly in a watched folder.
pub const TOP: &str = ".";

/// What is known of sources and examples beside the pool.
#[derive(Debug, Default)]
pub struct Guard {
    /// What sources may do.
    pub rules: Sources,
    /// Where each examples object came from.
    pub origin: HashMap<Hash, String>,
    /// How sources stand that have a record.
    pub standing: BTreeMap<String, Trust>,
    /// What was found or decided of single examples, by text and label.
    pub reviews: HashMap<(String, String), ReviewState>,
}

/// How far a source is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It is learned from.
    Trusted,
    /// The version in service is asked first.
    OnProbation,
    /// A person is asked.
    Suspicious,
    /// A person has said no.
    Rejected,
}

impl Guard {
    fn origin(&self, item: &Item) -> &str {
        self.origin.get(&item.examples).map_or(TOP, String::as_str)
    }

    fn review(&self, item: &Item) -> Option<ReviewState> {
        let key = (item.text_id.clone(), item.label.clone());
        self.reviews.get(&key).copied()
    }

    /// What sources have brought to the updates that led to the version in service.
    fn learned(&self, history: &History) -> BTreeMap<&str, u64> {
        let mut learned = BTreeMap::new();
        for (examples, n) in history.trained() {
            let source = self.origin.get(examples).map_or(TOP, String::as_str);
            *learned.entry(source).or_default() += n;
        }
        learned
    }

    /// A source that has never been learned from is new, once there is a version that can be asked.
    fn trust(&self, source: &str, learned: &BTreeMap<&str, u64>) -> Trust {
        let is_new = self.rules.probation_items > 0 && !learned.is_empty() && !learned.contains_key(source);
        let unknown = if is_new { Trust::OnProbation } else { Trust::Trusted };
        match self.standing.get(source) {
            Some(Trust::OnProbation) | None => unknown,
            Some(&known) => known,
        }
    }

    fn doubt(&self, item: &Item, learned: &BTreeMap<&str, u64>) -> Option<Refusal> {
        let source = self.origin(item);
        let (reason, waiting) = match (self.review(item), self.trust(source, learned)) {
            (Some(ReviewState::Accepted), _) | (None, Trust::Trusted) => return None,
            (Some(ReviewState::Rejected), _) => ("a person has refused it".into(), false),
            (_, Trust::Rejected) => (format!("a person has refused all of {source}"), false),
            (Some(ReviewState::Held), _) => ("a person should see it: `wengu files review`".into(), true),
            (None, Trust::OnProbation) => {
                let reason = format!("{source} is new: the version in service is asked about it first");
                (reason, true)
            }
            (None, Trust::Suspicious) => {
                let reason = format!("{source} disagrees with what is known: `wengu files review`");
                (reason, true)
            }
        };
        Some((reason, waiting))
    }

    /// What is beyond the share of its source, in the order of text ids, which are hashes: a sample that no one chooses.
    fn beyond_share<'g>(
        &'g self,
        set: &[Item],
        learned: &BTreeMap<&str, u64>,
    ) -> impl FnMut(&Item) -> Option<Refusal> + use<'g> {
        let offered = count(set.iter().map(|item| self.origin(item)));
        let mut left = allowances(&offered, learned, self.rules.max_share_percent);
        move |item| {
            let source = self.origin(item);
            let left = left.get_mut(source)?;
            match left.checked_sub(1) {
                Some(rest) => {
                    *left = rest;
                    None
                }
                None => {
                    let reason = format!("{source} brings more than its share of this update; the next one goes on");
                    Some((reason, true))
                }
            }
        }
    }
}

fn count<'a>(sources: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    for source in sources {
        *counts.entry(source).or_default() += 1;
    }
    counts
}

/// Why an example does not go, and whether later runs look at it again.
type Refusal = (String, bool);

impl Plan {
    /// Takes out what should not be learned or judged by, or not yet. Held-out items first: a flood must not decide what the gate measures,
    /// nor what is too near to it to be learned.
    pub fn guard(&mut self, history: &History, guard: &Guard) {
        let learned = guard.learned(history);
        let mut dropped = Vec::new();
        let mut seen = BTreeMap::new();
        for set in [&mut self.audit, &mut self.reserve, &mut self.gate] {
            let known = |label: &str, near| history.has_held_out_near(label, near);
            once(set, &mut dropped, guard, &learned, flood(&mut seen, known));
            refuse(set, &mut dropped, |item| guard.doubt(item, &learned));
            let share = guard.beyond_share(set, &learned);
            refuse(set, &mut dropped, share);
        }
        let held_out: NearSet = [&self.gate, &self.reserve, &self.audit, &self.checklist]
            .into_iter()
            .flatten()
            .filter_map(|item| item.near)
            .collect();
        // Equal texts are settled in the plan: this is about those that differ in a date or a comma.
        refuse(&mut self.train, &mut dropped, |item| {
            let near = item.near?;
            let leaks = held_out.has_near(near) || history.has_any_held_out_near(near);
            leaks.then(|| ("the text is nearly the same as a held-out item".into(), false))
        });
        let mut seen = BTreeMap::new();
        let is_learned = |label: &str, near| history.has_learned_near(label, near);
        once(
            &mut self.train,
            &mut dropped,
            guard,
            &learned,
            flood(&mut seen, is_learned),
        );
        let asked = &mut self.asked;
        refuse(&mut self.train, &mut dropped, |item| {
            let doubt = guard.doubt(item, &learned)?;
            if guard.review(item).is_none() && guard.trust(guard.origin(item), &learned) == Trust::OnProbation {
                asked.push(Asked {
                    source: guard.origin(item).to_owned(),
                    item: item.clone(),
                });
            }
            Some(doubt)
        });
        let share = guard.beyond_share(&self.train, &learned);
        refuse(&mut self.train, &mut dropped, share);
        self.dropped.extend(dropped);
    }
}

/// Moves what there is a reason against out of a set.
fn refuse(set: &mut Vec<Item>, dropped: &mut Vec<Dropped>, mut why: impl FnMut(&Item) -> Option<Refusal>) {
    for item in std::mem::take(set) {
        match why(&item) {
            None => set.push(item),
            Some((reason, waiting)) => dropped.push(Dropped {
                examples: item.examples,
                ordinal: item.ordinal,
                reason,
                waiting,
            }),
        }
    }
}

/// Refuses what is there again. What nobody doubts is looked at first: a copy that is refused later must not take its place.
fn once(
    set: &mut Vec<Item>,
    dropped: &mut Vec<Dropped>,
    guard: &Guard,
    learned: &BTreeMap<&str, u64>,
    flood: impl FnMut(&Item) -> Option<Refusal>,
) {
    set.sort_by_cached_key(|item| guard.doubt(item, learned).is_some());
    refuse(set, dropped, flood);
    set.sort_by(|a, b| a.text_id.cmp(&b.text_id));
}

/// Near duplicates with one label count once, over all updates.
fn flood(
    seen: &mut BTreeMap<String, NearSet>,
    is_known: impl Fn(&str, u64) -> bool,
) -> impl FnMut(&Item) -> Option<Refusal> {
    move |item| {
        let near = item.near?;
        let seen = seen.entry(item.label.clone()).or_default();
        let again = is_known(&item.label, near) || !seen.insert(near);
        again.then(|| ("nearly the same text is there with the same label".into(), false))
    }
}
