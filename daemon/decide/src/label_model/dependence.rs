use super::VoteMatrix;

/// Fewer items in common say nothing.
const COMMON_MIN: f64 = 5.0;

/// How much each function's vote counts: 1 for one that stands alone, 1/n for each of n copies, so that a rule that was
/// written ten times does not outvote nine others.
///
/// Two functions depend on each other as far as they speak on the same items (Jaccard index) and say the same there
/// beyond what their accuracies explain.
pub(super) fn weights(votes: &VoteMatrix, accuracies: &[f64]) -> Vec<f64> {
    let n = votes.functions;
    let mut spoken = vec![0.0; n];
    let mut common = vec![vec![0.0; n]; n];
    let mut agreed = vec![vec![0.0; n]; n];
    for item in &votes.items {
        for a in item {
            spoken[a.function as usize] += 1.0;
            for b in item {
                let (i, j) = (a.function as usize, b.function as usize);
                common[i][j] += 1.0;
                agreed[i][j] += f64::from(u8::from(a.label == b.label));
            }
        }
    }
    let others = votes.labels.saturating_sub(1).max(1) as f64;
    let dependence = |i: usize, j: usize| {
        if i == j {
            return 1.0;
        }
        if common[i][j] < COMMON_MIN {
            return 0.0;
        }
        let jaccard = common[i][j] / (spoken[i] + spoken[j] - common[i][j]);
        let expected = accuracies[i] * accuracies[j] + (1.0 - accuracies[i]) * (1.0 - accuracies[j]) / others;
        let excess = (agreed[i][j] / common[i][j] - expected) / (1.0 - expected).max(1e-9);
        jaccard * excess.clamp(0.0, 1.0)
    };
    (0..n)
        .map(|i| 1.0 / (0..n).map(|j| dependence(i, j)).sum::<f64>())
        .collect()
}
