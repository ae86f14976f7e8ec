//! What does not go into a run though it could be learned: texts that nearly are held-out items, floods of one text, what a person
//! should see first, and what one source brings beyond its share. Pure, as the plan is.

use super::manifest::{Asked, Dropped, Item};
use super::plan::{History, Plan};
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
    pub reviews: HashMap<(String, String), Review>,
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

/// Where the review of an example stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Review {
    /// A person should look at it.
    Held,
    /// A person has said yes.
    Accepted,
    /// A person has said no.
    Rejected,
}

impl Guard {
    fn origin(&self, item: &Item) -> &str {
        self.origin.get(&item.examples).map_or(TOP, String::as_str)
    }

    fn review(&self, item: &Item) -> Option<Review> {
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
    /// Takes out of the new training examples what should not be learned, or not yet.
    pub fn guard(&mut self, history: &History, guard: &Guard) {
        self.drop_leaks(history);
        self.drop_floods(history);
        self.drop_doubtful(history, guard);
        self.drop_beyond_share(history, guard);
    }

    fn refuse(&mut self, mut why: impl FnMut(&Item) -> Option<Refusal>) {
        for item in std::mem::take(&mut self.train) {
            match why(&item) {
                None => self.train.push(item),
                Some((reason, waiting)) => self.dropped.push(Dropped {
                    examples: item.examples,
                    ordinal: item.ordinal,
                    reason,
                    waiting,
                }),
            }
        }
    }

    /// Equal texts are settled in the plan: this is about those that differ in a date or a comma.
    fn drop_leaks(&mut self, history: &History) {
        let mut held_out = NearSet::default();
        let new = self.gate.iter().chain(&self.reserve).chain(&self.audit);
        for near in new.filter_map(|item| item.near) {
            held_out.insert(near);
        }
        self.refuse(|item| {
            let near = item.near?;
            let leaks = held_out.has_near(near) || history.has_held_out_near(near);
            leaks.then(|| ("the text is nearly the same as a held-out item".into(), false))
        });
    }

    /// Near duplicates with one label count once, over all updates.
    fn drop_floods(&mut self, history: &History) {
        let mut by_label: BTreeMap<String, NearSet> = BTreeMap::new();
        self.refuse(|item| {
            let near = item.near?;
            let seen = by_label.entry(item.label.clone()).or_default();
            let is_known = history.has_learned_near(&item.label, near) || !seen.insert(near);
            is_known.then(|| ("nearly the same text is learned with the same label".into(), false))
        });
    }

    fn drop_doubtful(&mut self, history: &History, guard: &Guard) {
        let learned = guard.learned(history);
        let mut asked = Vec::new();
        self.refuse(|item| {
            let source = guard.origin(item);
            match (guard.review(item), guard.trust(source, &learned)) {
                (Some(Review::Accepted), _) => None,
                (Some(Review::Rejected), _) => Some(("a person has refused it".into(), false)),
                (_, Trust::Rejected) => Some((format!("a person has refused all of {source}"), false)),
                (Some(Review::Held), _) => Some(("a person should see it: `wengu files review`".into(), true)),
                (None, Trust::Trusted) => None,
                (None, Trust::OnProbation) => {
                    asked.push(Asked {
                        source: source.to_owned(),
                        item: item.clone(),
                    });
                    let reason = format!("{source} is new: the version in service is asked about it first");
                    Some((reason, true))
                }
                (None, Trust::Suspicious) => {
                    let reason = format!("{source} disagrees with what is known: `wengu files review`");
                    Some((reason, true))
                }
            }
        });
        self.asked = asked;
    }

    fn drop_beyond_share(&mut self, history: &History, guard: &Guard) {
        let offered = count(self.train.iter().map(|item| guard.origin(item)));
        let mut left = allowances(&offered, &guard.learned(history), guard.rules.max_share_percent);
        // In the order of text ids, which are hashes: a sample that no one chooses.
        self.refuse(|item| {
            let source = guard.origin(item);
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
        });
    }
}
