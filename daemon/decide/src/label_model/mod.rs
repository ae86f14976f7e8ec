//! What is most likely right, from the votes of labelling functions that nobody has checked: data programming (Ratner et
//! al. 2016). How often a function is right is learned from where functions agree, without gold labels.

mod analysis;
mod dawid_skene;
mod dependence;
mod fit;

pub use analysis::{FunctionAnalysis, analyse};
pub use dawid_skene::dawid_skene;
pub use fit::{Fitted, fit};

use crate::weak::{Vote, clean};

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
        let known = |votes: &Vec<Vote>| {
            let mut votes = clean(votes, labels);
            votes.retain(|v| (v.function as usize) < functions);
            votes
        };
        VoteMatrix {
            labels,
            functions,
            items: items.iter().map(known).collect(),
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
