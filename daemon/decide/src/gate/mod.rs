//! Which version may serve.
//!
//! Champion (the version that serves) and challenger answer the same items; the decision is a paired test, three-way
//! and closed on failure. Items are grouped by era, the stretch of time in which their case files arrived. The newest
//! era is what the challenger has just learned, possibly classes that the champion never saw, so gains there must not
//! pay for losses on what was known: the regression test runs on all earlier eras together and on each era alone, with
//! one level over all of them (Holm), and the challenger must be non-inferior on the earlier eras together.
//!
//! There are three sets of items: the gate set; a reserve, which is answered only if the gate set finds something suspect
//! and has to confirm it ([`judge_stage1`], [`confirm`]); and a checklist of items that must not break. Items count as
//! independent unless they name a case file: files that share items are compared as wholes.

mod compare;
mod comparisons;
mod config;
mod confirm;
mod facts;
mod family;
mod items;
mod judge;
mod levels;
mod macro_f1;
mod normal;
mod paired;
mod proportions;
mod report;
mod scores;
mod simulate;
pub mod stats;
mod units;
mod verdict;
mod wear;

pub use compare::{Judged, Level};
pub use config::{GateConfig, GateMode};
pub use confirm::confirm;
pub use family::holm;
pub use items::{Era, EraOutcomes, EraScores, ItemLabels, ItemOutcome, ItemScores, PairError};
pub use judge::{Evidence, Stage1, judge, judge_first, judge_stage1};
pub use levels::{FIRST_STAGE_ALPHA, LevelError, Levels, RUN_ALPHA_MAX, TWO_STAGE_ITEMS, run_alpha};
pub use macro_f1::{ItemLabelSets, label_sets_worse_p};
pub use paired::{Paired, one_sided_low, paired};
pub use simulate::{Share, Simulated, Simulation, SimulationError, simulate};
pub use verdict::{
    Checklist, Comparison, Confirmation, Confirmed, Decision, EraVerdict, Metric, Repeated, SliceVerdict, Subject,
    VERDICT_SCHEMA, Verdict,
};
pub use wear::{Wear, selection_points};
