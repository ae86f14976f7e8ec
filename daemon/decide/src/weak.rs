//! One label from the votes of weak labelling functions.

/// What one labelling function says about one item. A function that has nothing to say gives no vote.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vote {
    /// Index of the function.
    pub function: u32,
    /// Index of the label.
    pub label: u32,
    /// In (0, 1].
    pub confidence: f64,
}

/// Below this, two sums of confidences are the same: addition is not exact, and a tie must not be decided by that.
const TIE: f64 = 1e-9;

/// The label that holds more than half of all confidence, and how sure the functions are of it on average: a function
/// that votes for something else counts as 0. None: nobody voted, it is a tie, or no label has more than half (the
/// functions contradict each other). Votes for labels that do not exist, votes with a confidence outside (0, 1], and
/// functions that vote for two labels at once are left out. The order of the votes does not matter.
pub fn aggregate(votes: &[Vote], labels: usize) -> Option<(u32, f64)> {
    let votes = clean(votes, labels);
    let mut sums = std::collections::BTreeMap::<u32, f64>::new();
    for vote in &votes {
        *sums.entry(vote.label).or_default() += vote.confidence;
    }
    let total: f64 = sums.values().sum();
    let (label, sum) = sums.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    (sum > total / 2.0 + TIE).then(|| (label, sum / votes.len() as f64))
}

/// The votes that count, by function: for a label that exists, with a confidence in (0, 1], and one for each function. Of a
/// function that says the same twice, the surer vote counts; one that votes for two labels says nothing.
pub(crate) fn clean(votes: &[Vote], labels: usize) -> Vec<Vote> {
    let good = |v: &&Vote| (v.label as usize) < labels && v.confidence > 0.0 && v.confidence <= 1.0;
    let mut votes: Vec<Vote> = votes.iter().filter(good).copied().collect();
    // Also fixes the order of later additions.
    votes.sort_by(|a, b| {
        (a.function, a.label)
            .cmp(&(b.function, b.label))
            .then(b.confidence.total_cmp(&a.confidence))
    });
    votes.dedup_by_key(|v| (v.function, v.label));
    let all = votes.clone();
    let contradicts = |v: &Vote| all.iter().any(|o| o.function == v.function && o.label != v.label);
    votes.retain(|v| !contradicts(v));
    votes
}
