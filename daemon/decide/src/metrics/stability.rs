//! What old work went through while new work was learned, and not only what came of it (De Lange et al. 2023, "Continual evaluation for
//! lifelong learning: identifying the stability gap").

use wengu_protocol::job::{EraStability, Stability};

/// From the right answers of each of `eras` (run and answers asked for) under the parent, after some of the steps (step and right
/// answers), and under the weights that came out.
///
/// `minimum` is min-ACC: `1/k sum_i min_n A(E_i, f_n)` over the measured steps n of this update (there: of all updates since era i
/// was learned). The gap is how far that is below what the parent had; below 0 where old work gained.
///
/// None without eras, with one that asks for nothing, or where a count is missing.
pub fn stability(eras: &[(u64, u64)], before: &[u64], during: &[(u64, Vec<u64>)], after: &[u64]) -> Option<Stability> {
    let counts = || {
        [before, after]
            .into_iter()
            .chain(during.iter().map(|(_, right)| right.as_slice()))
    };
    let whole = counts().all(|right| right.len() == eras.len()) && eras.iter().all(|(_, answers)| *answers > 0);
    if eras.is_empty() || !whole {
        return None;
    }
    let share = |right: &[u64], era: usize| right[era] as f64 / eras[era].1 as f64;
    let by_era: Vec<EraStability> = (0..eras.len())
        .map(|era| EraStability {
            run: eras[era].0,
            answers: eras[era].1,
            before: share(before, era),
            minimum: counts().skip(1).map(|right| share(right, era)).fold(f64::MAX, f64::min),
            after: share(after, era),
        })
        .collect();
    let mean = |of: &dyn Fn(usize) -> f64| (0..eras.len()).map(of).sum::<f64>() / eras.len() as f64;
    let minimum = mean(&|era| by_era[era].minimum);
    let before_mean = mean(&|era| by_era[era].before);
    let points = during
        .iter()
        .map(|(step, right)| (*step, mean(&|era| share(right, era))));
    Some(Stability {
        before: before_mean,
        minimum,
        after: mean(&|era| by_era[era].after),
        gap: before_mean - minimum,
        points: std::iter::once((0, before_mean)).chain(points).collect(),
        eras: by_era,
    })
}

/// WC-ACC: `1/k newest + (1 - 1/k) minimum`, the accuracy on what the last of `updates` taught and the least on what those before it did
/// (De Lange et al. 2023, section 3). The newest alone for one update.
pub fn worst_case_accuracy(updates: usize, newest: f64, minimum: f64) -> f64 {
    let share = 1.0 / updates.max(1) as f64;
    share * newest + (1.0 - share) * minimum
}
