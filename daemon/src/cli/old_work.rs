//! What old work went through while a version was trained, for people.

use super::render::{percent, points};
use crate::learn::outcome::OldWork;
use std::fmt::Write;

pub fn print(old_work: &OldWork) {
    print!("{}", told(old_work));
}

fn told(old_work: &OldWork) -> String {
    let mut text = String::new();
    if let Some(stability) = &old_work.stability {
        let (least, step) = stability
            .points
            .iter()
            .skip(1)
            .map(|(step, accuracy)| (*accuracy, *step))
            .reduce(|least, next| if next.0 < least.0 { next } else { least })
            .unwrap_or((stability.after, 0));
        let answers: u64 = stability.eras.iter().map(|era| era.answers).sum();
        let _ = writeln!(
            text,
            "old validation examples while it was trained ({answers} answers, told, never used to decide):\n    \
             - right before {}, at the end {}, each era's least {}: a stability gap of {}",
            percent(stability.before),
            percent(stability.after),
            percent(stability.minimum),
            points(stability.gap).trim_start_matches('+'),
        );
        if step > 0 {
            let _ = writeln!(text, "    - the worst moment was step {step}, with {}", percent(least));
        }
    }
    if let Some(mixing) = &old_work.mixing {
        let _ = writeln!(
            text,
            "share of new examples in a step (loss on old validation examples {:.4} before, {:.4} allowed):",
            mixing.reference_loss, mixing.limit
        );
        for point in &mixing.points {
            let _ = writeln!(
                text,
                "    - to step {}: {}, then a loss of {:.4}{}",
                point.step,
                percent(point.new_share),
                point.old_loss,
                if point.old_loss <= mixing.limit {
                    ""
                } else {
                    ", too much"
                },
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use wengu_decide::metrics::stability;
    use wengu_protocol::job::{Mixing, MixingPoint};

    #[test]
    fn the_gap_and_every_share_are_told() {
        let during = [(10, vec![4, 18]), (20, vec![6, 8])];
        let point = |step, new_share, old_loss| MixingPoint {
            step,
            new_share,
            old_loss,
        };
        let told = told(&OldWork {
            stability: stability(&[(1, 10), (2, 20)], &[9, 16], &during, &[7, 14]),
            mixing: Some(Mixing {
                reference_loss: 0.4,
                limit: 0.42,
                points: vec![point(8, 0.5, 0.41), point(16, 2.0 / 3.0, 0.5)],
            }),
        });
        assert_eq!(
            told,
            "old validation examples while it was trained (30 answers, told, never used to decide):\n    \
             - right before 85.0 %, at the end 70.0 %, each era's least 40.0 %: a stability gap of 45.0 points\n    \
             - the worst moment was step 20, with 50.0 %\n\
             share of new examples in a step (loss on old validation examples 0.4000 before, 0.4200 allowed):\n    \
             - to step 8: 50.0 %, then a loss of 0.4100\n    \
             - to step 16: 66.7 %, then a loss of 0.5000, too much\n"
        );
    }
}
