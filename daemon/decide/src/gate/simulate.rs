//! What the gate would make of a change of a given size: the real judge on simulated answers.

use super::{Decision, Era, Evidence, GateConfig, ItemOutcome, Levels, confirm, judge_stage1, stats::wilson_interval};
use crate::random::share;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

/// What is simulated. Items are independent of each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulation {
    /// The gate's rules.
    pub config: GateConfig,
    /// Items of the gate set.
    pub items: u64,
    /// Items of the reserve.
    pub reserve_items: u64,
    /// How much worse the challenger is, in points; below 0 where it is better.
    pub drop_points: f64,
    /// On how many items of a hundred exactly one of both versions is right.
    pub churn_percent: f64,
    /// How many items of a hundred the champion has right.
    pub accuracy_percent: f64,
    /// How many runs.
    pub repeats: u64,
    /// Every random choice follows from it.
    pub seed: u64,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulated {
    /// What was simulated.
    pub simulation: Simulation,
    /// The levels of the tests.
    pub levels: Levels,
    /// Runs whose challenger would serve.
    pub promote: Share,
    /// Runs whose challenger would not, without an alarm.
    pub hold: Share,
    /// Runs with an alarm.
    pub regressed: Share,
    /// Runs that had to ask the reserve.
    pub asked_reserve: Share,
    /// Mean of the drops that the verdicts tell to be noticed nine times in ten, in points.
    pub mde_points: f64,
}

/// A share of the runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// How many.
    pub runs: u64,
    /// Of all, in [0, 1].
    pub share: f64,
    /// Wilson's 95 % interval.
    pub interval95: (f64, f64),
}

impl Share {
    fn of(runs: u64, all: u64) -> Share {
        Share {
            runs,
            share: runs as f64 / all.max(1) as f64,
            interval95: wilson_interval(runs, all, 0.95),
        }
    }
}

/// Why nothing was simulated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SimulationError(String);

impl Simulation {
    fn check(&self) -> Result<(), SimulationError> {
        let refuse = |why: String| Err(SimulationError(why));
        self.config.check().map_err(SimulationError)?;
        if !(0.0..=100.0).contains(&self.churn_percent) {
            return refuse(format!(
                "a churn of {} %; it must lie between 0 and 100",
                self.churn_percent
            ));
        }
        if !(-self.churn_percent..=self.churn_percent).contains(&self.drop_points) {
            return refuse(format!(
                "a drop of {} points at a churn of {} %: accuracy cannot change by more than the share of items whose answers \
                 change",
                self.drop_points, self.churn_percent
            ));
        }
        let lost = (self.churn_percent + self.drop_points) / 2.0;
        let possible = lost..=100.0 - (self.churn_percent - lost);
        if !possible.contains(&self.accuracy_percent) {
            return refuse(format!(
                "an accuracy of {} %: with this drop and churn it lies between {} and {}",
                self.accuracy_percent,
                possible.start(),
                possible.end()
            ));
        }
        if self.repeats == 0 {
            return refuse("no runs: repeat at least once".into());
        }
        Ok(())
    }
}

/// Simulates.
///
/// # Errors
/// Settings that cannot be.
pub fn simulate(simulation: &Simulation) -> Result<Simulated, SimulationError> {
    simulation.check()?;
    let mut rng = ChaCha8Rng::seed_from_u64(simulation.seed);
    let mut gate = [unanswered("gate", simulation.items)];
    let mut reserve = [unanswered("reserve", simulation.reserve_items)];
    let (mut promote, mut hold, mut regressed, mut asked, mut mde_points) = (0, 0, 0, 0, 0.0);
    for _ in 0..simulation.repeats {
        simulation.answer(&mut rng, &mut gate[0].items);
        let evidence = Evidence {
            reserve_items: simulation.reserve_items,
            ..Evidence::gate(&gate)
        };
        let stage1 = judge_stage1(&simulation.config, &evidence);
        mde_points += stage1.verdict.earlier.mde_points;
        asked += u64::from(stage1.needs_reserve);
        let verdict = if stage1.needs_reserve {
            simulation.answer(&mut rng, &mut reserve[0].items);
            confirm(&stage1, &gate, &reserve)
        } else {
            stage1.verdict
        };
        match verdict.decision {
            Decision::Promote => promote += 1,
            Decision::Regressed => regressed += 1,
            Decision::Hold | Decision::EvalFailed | Decision::NoisyEval | Decision::NoData => hold += 1,
        }
    }
    let share = |runs| Share::of(runs, simulation.repeats);
    Ok(Simulated {
        simulation: *simulation,
        levels: Levels::of(simulation.config.alpha, simulation.items, simulation.reserve_items),
        promote: share(promote),
        hold: share(hold),
        regressed: share(regressed),
        asked_reserve: share(asked),
        mde_points: mde_points / simulation.repeats as f64,
    })
}

fn unanswered(set: &str, items: u64) -> Era<ItemOutcome> {
    let item = |i: u64| ItemOutcome {
        item: format!("{set} {i}"),
        ..ItemOutcome::default()
    };
    Era {
        era: "simulated".into(),
        items: (0..items).map(item).collect(),
    }
}

impl Simulation {
    /// Lost, gained, right for both or wrong for both, each with its chance.
    fn answer(&self, rng: &mut ChaCha8Rng, items: &mut [ItemOutcome]) {
        let lost = (self.churn_percent + self.drop_points) / 200.0;
        let changed = self.churn_percent / 100.0;
        let both = self.accuracy_percent / 100.0 - lost;
        for item in items {
            let u = share(rng);
            item.champion_right = u < lost || (changed..changed + both).contains(&u);
            item.challenger_right = (lost..changed + both).contains(&u);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{GateMode, Metric, run_alpha};
    use super::*;

    fn simulation(drop_points: f64) -> Simulation {
        Simulation {
            config: GateConfig {
                alpha: run_alpha(1.0, 365.0).unwrap(),
                margin_points: 5.0,
                min_items: 100,
                min_era_items: 50,
                mode: GateMode::RequireNoninferiority,
                accuracy_floor: 0.0,
                metric: Metric::Accuracy,
            },
            items: 500,
            reserve_items: 1000,
            drop_points,
            churn_percent: 10.0,
            accuracy_percent: 85.0,
            repeats: 60,
            seed: 3,
        }
    }

    #[test]
    fn shares_add_up_and_follow_the_drop() {
        let (none, large) = (simulate(&simulation(0.0)).unwrap(), simulate(&simulation(8.0)).unwrap());
        for simulated in [&none, &large] {
            assert_eq!(
                simulated.promote.runs + simulated.hold.runs + simulated.regressed.runs,
                60
            );
            assert!((3.0..5.0).contains(&simulated.mde_points), "{}", simulated.mde_points);
        }
        assert!(none.promote.share > 0.8 && none.regressed.runs <= 2, "{none:?}");
        assert_eq!((large.regressed.runs, large.asked_reserve.runs), (60, 60));
        assert!(large.regressed.interval95.0 > 0.9 && large.regressed.interval95.1 > 0.999);
        assert_eq!(
            simulate(&simulation(0.0)).unwrap(),
            none,
            "the same seed, the same result"
        );
    }

    #[test]
    fn simulated_answers_have_the_wanted_shares() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut items = unanswered("x", 200_000).items;
        simulation(4.0).answer(&mut rng, &mut items);
        let share = |what: fn(&&ItemOutcome) -> bool| items.iter().filter(what).count() as f64 / 200_000.0;
        assert!((share(|i| i.champion_right) - 0.85).abs() < 0.005);
        assert!((share(|i| i.challenger_right) - 0.81).abs() < 0.005);
        assert!((share(|i| i.champion_right != i.challenger_right) - 0.10).abs() < 0.005);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |change: fn(&mut Simulation)| {
            let mut simulation = simulation(5.0);
            change(&mut simulation);
            simulate(&simulation).unwrap_err().to_string()
        };
        assert!(refused(|s| s.churn_percent = 4.0).contains("a drop of 5 points at a churn of 4 %"));
        assert!(refused(|s| s.churn_percent = f64::NAN).contains("a churn of NaN %"));
        assert!(refused(|s| s.drop_points = f64::NAN).contains("a drop of NaN points"));
        assert!(refused(|s| s.accuracy_percent = 99.0).contains("between 7.5 and 97.5"));
        assert!(refused(|s| s.repeats = 0).contains("repeat at least once"));
        assert!(refused(|s| s.config.alpha = 0.0).contains("alpha is 0"));
    }
}
