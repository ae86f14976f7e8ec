//! Whether to start an update now.
//!
//! The caller keeps one [`Mark`] per domain in its store and does what a [`Decision`] says:
//!
//! ```text
//! loop {
//!     match decide(now, &config, &state) {
//!         Start { mark, .. } => write the mark and the run in one record, forget `asked_now`, start the run
//!         Mark { mark, .. }  => write the mark, decide again
//!         Wait { until, .. } => sleep until then or until something changes, in slices of a minute
//!     }
//! }
//! ```

use super::expr::CronExpr;
use super::quiet::{Quiet, QuietHours, quiet_at};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Occurrences that were missed longer ago than this are not made up.
pub const LOOK_BACK: TimeDelta = TimeDelta::days(7);
/// A delivery that is still coming in holds a start up no longer than this.
pub const INTAKE_PATIENCE: TimeDelta = TimeDelta::minutes(10);
/// A start that comes later than this after its occurrence is called missed.
const PUNCTUAL: TimeDelta = TimeDelta::minutes(15);
/// A stored time further in the future than this says that the clock was set back.
const CLOCK_SLACK: TimeDelta = TimeDelta::hours(1);
const BACKOFF_FIRST: TimeDelta = TimeDelta::minutes(1);
const BACKOFF_LONGEST: TimeDelta = TimeDelta::hours(1);

/// When a domain learns.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleConfig {
    /// When to look whether an update is due; None: as soon as `min_new_examples` is reached.
    pub cron: Option<CronExpr>,
    /// Zone of `cron` and `quiet_hours`.
    pub timezone: Tz,
    /// No update with fewer new training examples. 0 counts as 1.
    pub min_new_examples: u64,
    /// New examples wait no longer than this, however few.
    pub max_staleness: Option<Duration>,
    /// No update starts within these.
    pub quiet_hours: Vec<QuietHours>,
}

impl ScheduleConfig {
    /// Names the occurrences that this schedule has; a [`Mark`] under another name does not count.
    pub fn occurrences(&self) -> String {
        match &self.cron {
            Some(cron) => format!("{cron} {}", self.timezone),
            None => String::new(),
        }
    }
}

/// Up to when the occurrences of a schedule are used up. Stored by the caller, durably, whenever a decision carries one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Occurrences up to and including this instant are used up.
    pub at: DateTime<Utc>,
    /// [`ScheduleConfig::occurrences`] of the schedule that they belong to.
    pub schedule: String,
}

/// What the decision depends on besides the configuration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DomainState {
    /// Training examples that no completed run has learned from.
    pub new_examples: u64,
    /// When the oldest of them came in.
    pub oldest_new_at: Option<DateTime<Utc>>,
    /// The stored mark; None for a domain that never had one.
    pub mark: Option<Mark>,
    /// A run of this domain is under way or queued.
    pub running: bool,
    /// Since when files have been coming in without a pause; None while intake is idle.
    pub intake_busy_since: Option<DateTime<Utc>>,
    /// Somebody asked for an update. The caller forgets it when it starts one.
    pub asked_now: bool,
    /// What comes in is unlike what was learned: a quarter of `min_new_examples` is enough, and no occurrence is waited for.
    pub inputs_shifted: bool,
    /// Runs that failed since the last one that completed.
    pub failures_in_a_row: u32,
    /// When the last of them ended.
    pub last_failure_at: Option<DateTime<Utc>>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// Start a run.
    Start {
        /// Why.
        reason: Reason,
        /// To be stored together with the run.
        mark: Mark,
    },
    /// Start nothing, but store this mark and decide again.
    Mark {
        /// Why.
        why: MarkReason,
        /// To be stored.
        mark: Mark,
    },
    /// Nothing to do before `until`, unless the state changes.
    Wait {
        /// None: nothing but a change of state will do.
        until: Option<DateTime<Utc>>,
        /// Why.
        why: WhyNot,
    },
}

/// Why a run starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Somebody asked.
    Asked,
    /// The cron expression's time has come.
    Cron,
    /// Its time went by while nothing could start (the daemon was down, a run was under way, quiet hours), once for
    /// however many times.
    Missed,
    /// Enough new examples.
    Threshold,
    /// The oldest new example has waited long enough.
    Stale,
    /// What comes in is unlike what was learned.
    InputsShifted,
}

/// Why a mark is stored without a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum MarkReason {
    /// The domain or its schedule is new: earlier occurrences are not its own.
    NewSchedule,
    /// An occurrence came and found too few new examples.
    TooFewExamples {
        /// New examples.
        have: u64,
        /// Wanted.
        need: u64,
    },
    /// The mark lies in the future.
    ClockWentBack,
}

/// Why nothing starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum WhyNot {
    /// A run is under way.
    Running,
    /// There is nothing new to learn.
    NoNewExamples,
    /// Fewer new examples than wanted.
    TooFewExamples {
        /// New examples.
        have: u64,
        /// Wanted.
        need: u64,
    },
    /// Enough new examples; the next occurrence is not there yet.
    NotDueYet,
    /// Quiet hours.
    QuietHours,
    /// The last run failed, and the pause after it is not over.
    Backoff {
        /// Failures in a row.
        failures: u32,
    },
    /// A delivery is still coming in.
    IntakeBusy,
}

/// The pause after so many failures in a row: a minute, doubled each time, an hour at most.
pub fn backoff(failures_in_a_row: u32) -> TimeDelta {
    match failures_in_a_row {
        0 => TimeDelta::zero(),
        n => BACKOFF_LONGEST.min(BACKOFF_FIRST * 2_i32.pow((n - 1).min(6))),
    }
}

/// Decides. Total: every state has an answer, a clock that was set back and times in the future included.
pub fn decide(now: DateTime<Utc>, config: &ScheduleConfig, state: &DomainState) -> Decision {
    let schedule = config.occurrences();
    let marked = match usable_mark(now, config, state) {
        Ok(marked) => marked,
        Err(why) => {
            let mark = Mark { at: now, schedule };
            return Decision::Mark { why, mark };
        }
    };
    // A clock that was set back a little does not give occurrences back.
    let at = now.max(marked);
    let mark = || Mark {
        at,
        schedule: schedule.clone(),
    };
    if state.running {
        return Decision::Wait {
            until: None,
            why: WhyNot::Running,
        };
    }
    let (have, need) = (state.new_examples, config.min_new_examples.max(1));
    if state.asked_now && have > 0 {
        return Decision::Start {
            reason: Reason::Asked,
            mark: mark(),
        };
    }

    let occurrence = config
        .cron
        .as_ref()
        .and_then(|cron| occurrence(now, cron, config.timezone, marked));
    let stale_at = stale_at(now, config, state);
    let stale = stale_at.is_some_and(|at| at <= now);
    let threshold = config.cron.is_none() && have >= need;
    let shifted = state.inputs_shifted && have >= need.div_ceil(4);
    if occurrence.is_none() && !stale && !threshold && !shifted {
        let next = config
            .cron
            .as_ref()
            .and_then(|cron| cron.next_after(now.max(marked), config.timezone));
        let why = match have {
            0 => WhyNot::NoNewExamples,
            _ if have < need => WhyNot::TooFewExamples { have, need },
            _ => WhyNot::NotDueYet,
        };
        return Decision::Wait {
            until: next.into_iter().chain(stale_at).min(),
            why,
        };
    }

    match quiet_at(now, &config.quiet_hours, config.timezone) {
        Quiet::No => {}
        Quiet::Until(end) => {
            return Decision::Wait {
                until: Some(end),
                why: WhyNot::QuietHours,
            };
        }
        Quiet::Always => {
            return Decision::Wait {
                until: None,
                why: WhyNot::QuietHours,
            };
        }
    }
    let failures = state.failures_in_a_row;
    if let Some(until) = state.last_failure_at.and_then(|at| ends(now, at, backoff(failures))) {
        return Decision::Wait {
            until: Some(until),
            why: WhyNot::Backoff { failures },
        };
    }
    if stale {
        return Decision::Start {
            reason: Reason::Stale,
            mark: mark(),
        };
    }
    if let Some(until) = state
        .intake_busy_since
        .and_then(|since| ends(now, since, INTAKE_PATIENCE))
    {
        return Decision::Wait {
            until: Some(until),
            why: WhyNot::IntakeBusy,
        };
    }
    if shifted && have < need {
        return Decision::Start {
            reason: Reason::InputsShifted,
            mark: mark(),
        };
    }
    match occurrence {
        Some(_) if have < need => Decision::Mark {
            why: MarkReason::TooFewExamples { have, need },
            mark: mark(),
        },
        Some(reason) => Decision::Start { reason, mark: mark() },
        None => Decision::Start {
            reason: match threshold {
                true => Reason::Threshold,
                false => Reason::InputsShifted,
            },
            mark: mark(),
        },
    }
}

/// The instant after which occurrences count, or why a new mark is needed. Without cron nothing is counted.
fn usable_mark(now: DateTime<Utc>, config: &ScheduleConfig, state: &DomainState) -> Result<DateTime<Utc>, MarkReason> {
    if config.cron.is_none() {
        return Ok(now);
    }
    match &state.mark {
        Some(mark) if mark.schedule == config.occurrences() => match is_believable(now, mark.at) {
            true => Ok(mark.at),
            false => Err(MarkReason::ClockWentBack),
        },
        _ => Err(MarkReason::NewSchedule),
    }
}

/// Whether an occurrence in (`marked`, `now`] waits to be used, and what a start would be called.
fn occurrence(now: DateTime<Utc>, cron: &CronExpr, tz: Tz, marked: DateTime<Utc>) -> Option<Reason> {
    let within = |span| {
        let from = now.checked_sub_signed(span).map_or(marked, |from| marked.max(from));
        cron.next_after(from, tz).is_some_and(|at| at <= now)
    };
    if within(PUNCTUAL) {
        Some(Reason::Cron)
    } else if within(LOOK_BACK) {
        Some(Reason::Missed)
    } else {
        None
    }
}

/// When the oldest new example has waited long enough. One from the future has waited nobody knows how long: enough.
fn stale_at(now: DateTime<Utc>, config: &ScheduleConfig, state: &DomainState) -> Option<DateTime<Utc>> {
    let oldest = state.oldest_new_at.filter(|_| state.new_examples > 0)?;
    let patience = TimeDelta::from_std(config.max_staleness?).unwrap_or(TimeDelta::MAX);
    if is_believable(now, oldest) {
        oldest.checked_add_signed(patience)
    } else {
        Some(now)
    }
}

/// The end of a pause that began at `from`, while it is still to come. A pause from the future is over.
fn ends(now: DateTime<Utc>, from: DateTime<Utc>, pause: TimeDelta) -> Option<DateTime<Utc>> {
    let end = from.checked_add_signed(pause)?;
    (is_believable(now, from) && end > now).then_some(end)
}

fn is_believable(now: DateTime<Utc>, stored: DateTime<Utc>) -> bool {
    stored <= now.checked_add_signed(CLOCK_SLACK).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
