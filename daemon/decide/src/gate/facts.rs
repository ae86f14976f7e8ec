//! What the tests have shown, and what follows.

use super::{Comparison, Decision, GateMode, Subject, Verdict};

/// What follows once every test has been made.
pub(super) fn decide(verdict: &Verdict) -> Decision {
    let found = Facts::of(verdict);
    if found.regressed {
        Decision::Regressed
    } else if found.too_few
        || found.below_floor
        || found.unconfirmed
        || (found.inferior() && verdict.config.mode == GateMode::RequireNoninferiority)
    {
        Decision::Hold
    } else {
        Decision::Promote
    }
}

/// What the tests have shown.
pub(super) struct Facts {
    /// The checklist, the earlier eras together, an era or a slice.
    pub regressed: bool,
    pub too_few: bool,
    pub below_floor: bool,
    /// Something is suspect and the reserve cannot tell.
    pub unconfirmed: bool,
    pub earlier_inferior: bool,
    pub newest_inferior: bool,
}

impl Facts {
    pub fn of(verdict: &Verdict) -> Facts {
        let config = &verdict.config;
        let (earlier, newest) = deciding(verdict);
        let newest = newest.filter(|newest| newest.n >= config.min_items.max(1));
        let inferior = |comparison: &Comparison| comparison.drop_bound95_points >= config.margin_points;
        let tests = verdict.confirmation.iter().flat_map(|c| &c.tests);
        Facts {
            regressed: broken(verdict) || earlier_regressed(verdict) || part_regressed(verdict),
            too_few: earlier.units() < config.min_items,
            below_floor: earlier.challenger_accuracy < config.accuracy_floor,
            unconfirmed: tests
                .into_iter()
                .any(|test| test.adjusted_p.is_none() && !test.regressed),
            earlier_inferior: inferior(earlier),
            newest_inferior: newest.is_some_and(inferior),
        }
    }

    pub fn inferior(&self) -> bool {
        self.earlier_inferior || self.newest_inferior
    }
}

/// What promotion is decided by: the gate set, with the reserve once that was asked.
pub(super) fn deciding(verdict: &Verdict) -> (&Comparison, Option<&Comparison>) {
    let newest = verdict.eras.iter().find(|e| e.newest).map(|e| &e.comparison);
    match &verdict.confirmation {
        Some(confirmation) => (&confirmation.pooled, confirmation.pooled_newest.as_ref()),
        None => (&verdict.earlier, newest),
    }
}

fn broken(verdict: &Verdict) -> bool {
    verdict.checklist.as_ref().is_some_and(|list| !list.broken.is_empty())
}

pub(super) fn earlier_regressed(verdict: &Verdict) -> bool {
    match (&verdict.confirmation, verdict.levels) {
        (Some(confirmation), _) => confirmation
            .tests
            .iter()
            .any(|t| t.subject == Subject::Earlier && t.regressed),
        (None, Some(levels)) if levels.reserve.is_none() => {
            verdict.earlier_adjusted_p.is_some_and(|p| p <= levels.gate)
        }
        _ => false,
    }
}

fn part_regressed(verdict: &Verdict) -> bool {
    verdict.eras.iter().any(|e| e.regressed) || verdict.slices.iter().any(|s| s.regressed)
}
