use super::{VoteMatrix, dependence, normalise};

/// What a function's author says of it counts like so many votes.
const PRIOR_VOTES: f64 = 20.0;
const ITERATIONS: usize = 200;
/// Of weights and accuracies in turn.
const ROUNDS: usize = 5;
const TOLERANCE: f64 = 1e-9;
/// No function is believed to be always right or always wrong.
const SURE: f64 = 0.99;

/// What the votes say.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Label probabilities of each item; none for an item without votes.
    pub probabilities: Vec<Option<Vec<f64>>>,
    /// How often each function is right, as far as agreement tells. Its author's word for one that spoke little.
    pub accuracies: Vec<f64>,
    /// How much each function's vote counts, in (0, 1]: less for one that says what others say.
    pub weights: Vec<f64>,
}

/// Fits one accuracy for each function, by expectation maximisation towards the most probable parameters (MAP). A wrong
/// vote is for any other label alike. Accuracies have Beta priors with the mean of the votes' confidences and the
/// weight of 20 votes, so one function alone, or an item with one vote, is about as sure as its author said.
///
/// All labels are taken to be equally likely before the votes, as Snorkel does by default. Rules speak for one label each, so
/// the shares of the labels among items with votes are the rules' own coverage: learned, they would let the rules that
/// speak often overrule the others.
///
/// Fitted in rounds: agreement that the accuracies of one round leave unexplained is dependence, and weighs less in the
/// next. One round is not enough, since copies that outvote the others make these look dependent.
pub fn fit(votes: &VoteMatrix) -> Fitted {
    let mut weights = vec![1.0; votes.functions];
    let (mut accuracies, mut posteriors) = maximise(votes, &weights);
    for _ in 0..ROUNDS {
        weights = dependence::weights(votes, &accuracies);
        (accuracies, posteriors) = maximise(votes, &weights);
    }
    let voted = votes.items.iter().zip(posteriors);
    Fitted {
        probabilities: voted.map(|(item, p)| (!item.is_empty()).then_some(p)).collect(),
        accuracies,
        weights,
    }
}

/// Accuracies, and label probabilities of each item.
fn maximise(votes: &VoteMatrix, weights: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let mut spoken = vec![0.0; votes.functions];
    let mut said = vec![0.0; votes.functions];
    for vote in votes.items.iter().flatten() {
        spoken[vote.function as usize] += 1.0;
        said[vote.function as usize] += vote.confidence;
    }
    let blind = 1.0 / votes.labels.max(1) as f64;
    let word = |(said, spoken): (&f64, &f64)| if *spoken > 0.0 { said / spoken } else { blind };
    let words: Vec<f64> = said.iter().zip(&spoken).map(word).collect();
    let mut accuracies = words.clone();
    let mut posteriors = vec![vec![0.0; votes.labels]; votes.items.len()];
    for _ in 0..ITERATIONS {
        let mut right: Vec<f64> = words.iter().map(|word| PRIOR_VOTES * word).collect();
        let voted = votes.items.iter().zip(&mut posteriors);
        for (item, posterior) in voted.filter(|(item, _)| !item.is_empty()) {
            for (truth, p) in posterior.iter_mut().enumerate() {
                let likelihood = item.iter().map(|vote| {
                    let function = vote.function as usize;
                    let accuracy = accuracies[function].clamp(1.0 - SURE, SURE);
                    let likelihood = match vote.label as usize == truth {
                        true => accuracy,
                        false => (1.0 - accuracy) / (votes.labels - 1).max(1) as f64,
                    };
                    weights[function] * likelihood.ln()
                });
                *p = likelihood.sum();
            }
            normalise(posterior);
            for vote in item {
                right[vote.function as usize] += posterior[vote.label as usize];
            }
        }
        let new: Vec<f64> = right.iter().zip(&spoken).map(|(r, n)| r / (n + PRIOR_VOTES)).collect();
        let changes = new.iter().zip(&accuracies).map(|(a, b)| (a - b).abs());
        let change = changes.fold(0.0, f64::max);
        accuracies = new;
        if change < TOLERANCE {
            break;
        }
    }
    (accuracies, posteriors)
}
