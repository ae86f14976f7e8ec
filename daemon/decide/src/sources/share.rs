//! What each source may bring to one update.

use std::collections::BTreeMap;

/// So many new examples any source may bring.
pub const FEW: u64 = 200;

/// How many of its `offered` new examples each source may bring. A source may bring a few, or as many as `percent` of all that is
/// offered, or as many again as it has brought to the updates in use so far (`learned`), whichever is most: one that goes on bringing
/// what is accepted grows into its share, at most twice as much each time. Where no other source brings anything now or has
/// brought anything before, there is nobody to be protected from it.
pub fn allowances<'s>(
    offered: &BTreeMap<&'s str, u64>,
    learned: &BTreeMap<&str, u64>,
    percent: u64,
) -> BTreeMap<&'s str, u64> {
    let total: u64 = offered.values().sum();
    let by_share = total.saturating_mul(percent.min(100)) / 100;
    let allowance = |source: &str, offered: u64| {
        let before = learned.get(source).copied().unwrap_or(0);
        offered.min(FEW.max(by_share).max(before))
    };
    let others = |source: &str| {
        let brings = |(name, n): (&&str, &u64)| *name != source && *n > 0;
        offered.iter().any(brings) || learned.iter().any(brings)
    };
    offered
        .iter()
        .map(|(&source, &n)| (source, if others(source) { allowance(source, n) } else { n }))
        .collect()
}
