use super::{VoteMatrix, normalise};

/// No vote is impossible, as in crowd-kit.
const LEAST: f64 = 1e-10;

/// The model of Dawid and Skene (1979): a whole confusion matrix for each function, by expectation maximisation from the
/// shares of votes, `iterations` times. Returns label probabilities for each item; items without votes get the prior.
///
/// A yardstick: it needs many votes by each function on each label, which rules that speak for one label alone never
/// give, and it is too sure of few votes. [`super::fit()`] is what labels are made with.
pub fn dawid_skene(votes: &VoteMatrix, iterations: usize) -> Vec<Vec<f64>> {
    let labels = votes.labels;
    let mut posteriors: Vec<Vec<f64>> = votes
        .items
        .iter()
        .map(|item| {
            let mut shares = vec![0.0; labels];
            item.iter()
                .for_each(|v| shares[v.label as usize] += 1.0 / item.len() as f64);
            shares
        })
        .collect();
    let mut prior = vec![1.0 / labels as f64; labels];
    for step in 0..=iterations {
        // Only items with votes say something of the prior.
        let voted = || votes.items.iter().zip(&posteriors).filter(|(item, _)| !item.is_empty());
        let count = voted().count().max(1) as f64;
        for (label, share) in prior.iter_mut().enumerate() {
            *share = voted().map(|(_, p)| p[label]).sum::<f64>() / count;
        }
        // errors[function][voted label][true label]
        let mut errors = vec![vec![vec![0.0; labels]; labels]; votes.functions];
        let mut seen = vec![vec![false; labels]; votes.functions];
        for (item, posterior) in voted() {
            for vote in item {
                let (function, label) = (vote.function as usize, vote.label as usize);
                seen[function][label] = true;
                errors[function][label]
                    .iter_mut()
                    .zip(posterior)
                    .for_each(|(e, p)| *e += p);
            }
        }
        for (rows, seen) in errors.iter_mut().zip(&seen) {
            for truth in 0..labels {
                let clipped = rows.iter_mut().zip(seen).filter(|(_, seen)| **seen);
                let mut sum = 0.0;
                clipped.for_each(|(row, _)| {
                    row[truth] = f64::max(row[truth], LEAST);
                    sum += row[truth];
                });
                rows.iter_mut().for_each(|row| row[truth] /= sum);
            }
        }
        if step == iterations {
            break;
        }
        for (item, posterior) in votes.items.iter().zip(&mut posteriors) {
            for (truth, p) in posterior.iter_mut().enumerate() {
                let likelihood = item
                    .iter()
                    .map(|v| errors[v.function as usize][v.label as usize][truth].ln());
                *p = prior[truth].ln() + likelihood.sum::<f64>();
            }
            normalise(posterior);
        }
    }
    posteriors
}
