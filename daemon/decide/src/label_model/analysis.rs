use super::VoteMatrix;

/// How a labelling function stands to the others. Shares are of all items, as in Snorkel's `LFAnalysis`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FunctionAnalysis {
    /// Items that it votes on.
    pub coverage: f64,
    /// Items that it and another vote on.
    pub overlap: f64,
    /// Items that it and another vote on differently.
    pub conflict: f64,
}

/// Analyses every function. Without items all is 0.
pub fn analyse(votes: &VoteMatrix) -> Vec<FunctionAnalysis> {
    let mut counts = vec![[0u64; 3]; votes.functions];
    for item in &votes.items {
        for vote in item {
            let counts = &mut counts[vote.function as usize];
            counts[0] += 1;
            counts[1] += u64::from(item.len() > 1);
            counts[2] += u64::from(item.iter().any(|other| other.label != vote.label));
        }
    }
    let items = votes.items.len().max(1) as f64;
    let share = |counts: [u64; 3]| FunctionAnalysis {
        coverage: counts[0] as f64 / items,
        overlap: counts[1] as f64 / items,
        conflict: counts[2] as f64 / items,
    };
    counts.into_iter().map(share).collect()
}
