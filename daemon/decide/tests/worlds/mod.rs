//! Simulated domains. A fifth of the items is contested: each version has such an item right with a chance of one half,
//! so two versions differ on one item in ten. The rest every version has right, until it slides.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use wengu_decide::drift::{ANCHOR_ALPHA, Signal, SlowDrift};
use wengu_decide::gate::{
    Decision, Era, Evidence, GateConfig, ItemOutcome, Judged, Level, Verdict, confirm, judge_stage1,
};

const CONTESTED: f64 = 0.2;

pub struct Rng(ChaCha8Rng);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(ChaCha8Rng::seed_from_u64(seed))
    }

    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Items that all versions answer.
struct Set {
    era: Era<ItemOutcome>,
    contested: Vec<bool>,
}

impl Set {
    fn new(rng: &mut Rng, name: &str, items: usize) -> Set {
        let item = |i| ItemOutcome {
            item: format!("{name} {i}"),
            ..ItemOutcome::default()
        };
        Set {
            era: Era {
                era: "one".into(),
                items: (0..items).map(item).collect(),
            },
            contested: (0..items).map(|_| rng.uniform() < CONTESTED).collect(),
        }
    }

    fn version(&self, rng: &mut Rng) -> Vec<bool> {
        self.contested
            .iter()
            .map(|contested| !contested || rng.uniform() < 0.5)
            .collect()
    }

    fn answer(&mut self, champion: &[bool], challenger: &[bool]) {
        for (i, item) in self.era.items.iter_mut().enumerate() {
            (item.champion_right, item.challenger_right) = (champion[i], challenger[i]);
        }
    }
}

/// One verdict on 500 + 1,000 items of three eras, in `slices` slices of equal size; one item in `1 / churn` differs, and in
/// the first slice the challenger is `drop` worse.
pub fn sliced(config: &GateConfig, rng: &mut Rng, slices: usize, churn: f64, drop: f64) -> Verdict {
    let mut set = |name: &str, items: usize| -> Vec<Era<ItemOutcome>> {
        let mut item = |i: usize| {
            let drop = if i.is_multiple_of(slices) { drop } else { 0.0 };
            let u = rng.uniform();
            ItemOutcome {
                item: format!("{name} {i}"),
                champion_right: u < (churn + drop) / 2.0 || u >= churn.max(drop),
                challenger_right: u >= (churn + drop) / 2.0,
                slices: vec![format!("source={}", i % slices)],
                ..ItemOutcome::default()
            }
        };
        // The newest era is small, as a night's is.
        let eras = [("a", 0, 6), ("b", 6, 9), ("c", 9, 10)];
        let era = |(era, from, until): (&str, usize, usize)| Era {
            era: era.to_owned(),
            items: (items * from / 10..items * until / 10).map(&mut item).collect(),
        };
        eras.map(era).into()
    };
    let (gate, reserve) = (set("g", 500), set("r", 1000));
    let evidence = Evidence {
        reserve_items: 1000,
        ..Evidence::gate(&gate)
    };
    confirm(&judge_stage1(config, &evidence), &gate, &reserve)
}

/// A year in which no version is better than another, and the gate decides each night which one serves.
pub struct Year {
    /// Nights with a verdict of regressed.
    pub alarms: Vec<usize>,
    /// Challengers that were promoted.
    pub promoted: usize,
}

impl Year {
    /// With 500 items in the gate set and 1,000 in the reserve, the same all year.
    pub fn live(config: &GateConfig, nights: usize, seed: u64) -> Year {
        let mut rng = Rng::new(seed);
        let mut sets = [("g", 500), ("r", 1000)].map(|(name, items)| Set::new(&mut rng, name, items));
        let mut champion = [0, 1].map(|i| sets[i].version(&mut rng));
        let mut year = Year {
            alarms: Vec::new(),
            promoted: 0,
        };
        for night in 0..nights {
            let challenger = [0, 1].map(|i| sets[i].version(&mut rng));
            (0..2).for_each(|i| sets[i].answer(&champion[i], &challenger[i]));
            let (gate, reserve) = (std::slice::from_ref(&sets[0].era), std::slice::from_ref(&sets[1].era));
            let evidence = Evidence {
                reserve_items: 1000,
                ..Evidence::gate(gate)
            };
            let verdict = confirm(&judge_stage1(config, &evidence), gate, reserve);
            match verdict.decision {
                Decision::Regressed => year.alarms.push(night),
                Decision::Promote => {
                    champion = challenger;
                    year.promoted += 1;
                }
                _ => {}
            }
        }
        year
    }
}

/// Nights on which a new version is compared with the anchor on 500 audit items.
pub struct Nights {
    rng: Rng,
    audit: Set,
    anchor: Vec<bool>,
    /// When each item is lost for good, in points of accuracy lost by then.
    lost_at: Vec<f64>,
    drift: SlowDrift,
    /// Points of accuracy that versions have lost.
    pub lost_points: f64,
}

pub struct Night {
    pub signal: Signal,
}

impl Nights {
    pub fn new(seed: u64) -> Nights {
        let mut rng = Rng::new(seed);
        let audit = Set::new(&mut rng, "a", 500);
        Nights {
            anchor: audit.version(&mut rng),
            lost_at: (0..500).map(|_| 100.0 * rng.uniform()).collect(),
            audit,
            rng,
            drift: SlowDrift::default(),
            lost_points: 0.0,
        }
    }
}

impl Iterator for Nights {
    type Item = Night;

    fn next(&mut self) -> Option<Night> {
        let mut version = self.audit.version(&mut self.rng);
        // An item that is right with a chance of 0.9 in the mean costs so much less than a point when it is lost.
        let lost = self.lost_points / (1.0 - CONTESTED / 2.0);
        for (right, at) in version.iter_mut().zip(&self.lost_at) {
            *right &= *at >= lost;
        }
        let anchor = std::mem::take(&mut self.anchor);
        self.audit.answer(&anchor, &version);
        self.anchor = anchor;
        let compared = ItemOutcome::compare(&self.audit.era.items, &Level::single(ANCHOR_ALPHA));
        let (next, found) = self.drift.advance(&compared);
        self.drift = next;
        Some(Night { signal: found.signal })
    }
}

/// The points lost when the alarm comes, sorted, if versions become worse by `slide` points a night after so many nights in
/// which they did not. A year that alarms before that is drawn again.
pub fn points_lost(slide: f64, nights_before: usize, repeats: usize) -> Vec<f64> {
    let one = |seed: u64| {
        let mut nights = Nights::new(seed);
        let alarmed = nights
            .by_ref()
            .take(nights_before)
            .any(|night| night.signal == Signal::Alarm);
        if alarmed {
            return None;
        }
        loop {
            nights.lost_points += slide;
            if nights.next()?.signal == Signal::Alarm {
                return Some(nights.lost_points);
            }
        }
    };
    let mut lost: Vec<f64> = (10_000..).filter_map(one).take(repeats).collect();
    lost.sort_by(f64::total_cmp);
    lost
}
