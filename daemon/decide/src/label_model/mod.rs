//! What is most likely right, from the votes of labelling functions that nobody has checked: data programming (Ratner et
//! al. 2016). How often a function is right is learned from where functions agree, without gold labels.

mod analysis;
mod dawid_skene;
mod dependence;
mod fit;

pub use analysis::{FunctionAnalysis, analyse};
pub use dawid_skene::dawid_skene;
pub use fit::{Fitted, fit};

use crate::weak::Vote;

/// The votes on a set of items. Each function says at most one thing about an item.
#[derive(Debug, Clone)]
pub struct VoteMatrix {
    labels: usize,
    functions: usize,
    /// By item, in the order of functions.
    items: Vec<Vec<Vote>>,
}

impl VoteMatrix {
    /// Takes the votes on each item. Votes for labels or by functions that do not exist, with a confidence outside
    /// (0, 1], and those of a function that votes for two labels at once are left out.
    pub fn new(labels: usize, functions: usize, items: &[Vec<Vote>]) -> VoteMatrix {
        let clean = |votes: &Vec<Vote>| {
            let good = |v: &&Vote| {
                (v.label as usize) < labels
                    && (v.function as usize) < functions
                    && v.confidence > 0.0
                    && v.confidence <= 1.0
            };
            let mut votes: Vec<Vote> = votes.iter().filter(good).copied().collect();
            votes.sort_by(|a, b| {
                (a.function, a.label)
                    .cmp(&(b.function, b.label))
                    .then(b.confidence.total_cmp(&a.confidence))
            });
            votes.dedup_by_key(|v| (v.function, v.label));
            let all = votes.clone();
            votes.retain(|v| all.iter().filter(|other| other.function == v.function).count() == 1);
            votes
        };
        VoteMatrix {
            labels,
            functions,
            items: items.iter().map(clean).collect(),
        }
    }
}

/// Turns logarithms into probabilities that sum to 1.
fn normalise(logs: &mut [f64]) {
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logs.iter_mut().for_each(|x| *x = (*x - top).exp());
    let sum: f64 = logs.iter().sum();
    logs.iter_mut().for_each(|x| *x /= sum);
}
