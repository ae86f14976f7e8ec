//! Slow slides and live performance of a domain, over its runs: the anchor, what was compared with it, and what follows.

use crate::engine::Engine;
use crate::learn::manifest::Manifest;
use crate::learn::watched::Watched;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use wengu_decide::drift::{Live, Signal, SlowDrift};
use wengu_decide::gate::{Comparison, ItemOutcome, Judged, Level};
use wengu_store::records::UnixMs;
use wengu_store::{Batch, Record};

/// The live alarm's chance to be ever raised where there is no reason.
pub const LIVE_ALPHA: f64 = 0.01;

/// Table `drift`: what a domain's versions are held against over time. Key: the domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftRecord {
    /// The version that is the anchor.
    pub anchor: String,
    /// Since when.
    pub since_ms: UnixMs,
    /// Why: the first version that was promoted, or what a person said.
    pub reason: String,
    /// The versions against it, run by run.
    pub slow: SlowDrift,
    /// The versions against it, on new examples before they were learned.
    pub live: Live,
    /// New examples so far that a version in service answered before they were learned.
    pub fresh_items: u64,
    /// Those it had right.
    pub fresh_right: u64,
    /// The anchor is to serve again as soon as no run is under way.
    #[serde(default)]
    pub roll_back: bool,
    /// What the last run said, for people.
    #[serde(default)]
    pub reasons: Vec<String>,
}

impl Record for DriftRecord {
    const TABLE: &'static str = "drift";
    const VERSION: u16 = 1;
}

impl DriftRecord {
    /// A new anchor: nothing is known against it.
    pub fn new(anchor: &str, now_ms: UnixMs, reason: &str) -> DriftRecord {
        DriftRecord {
            anchor: anchor.into(),
            since_ms: now_ms,
            reason: reason.into(),
            slow: SlowDrift::default(),
            live: Live::default(),
            fresh_items: 0,
            fresh_right: 0,
            roll_back: false,
            reasons: Vec::new(),
        }
    }
}

/// What a run says of slides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Against the anchor on audit items; None where nothing was compared.
    pub slow: Option<Signal>,
    /// On new work, once raised.
    pub live: bool,
}

/// The record after a run whose result serves or does not.
pub fn advance(record: &DriftRecord, watched: &Watched, promoted: bool) -> (DriftRecord, Found) {
    let mut next = record.clone();
    next.fresh_items += watched.fresh_items;
    next.fresh_right += watched.fresh_right;
    next.reasons.clear();
    let serving = watched.serving(promoted);
    // What was compared with another anchor says nothing of this one.
    if watched.anchor.as_deref() != Some(record.anchor.as_str()) {
        return (
            next,
            Found {
                slow: None,
                live: false,
            },
        );
    }
    let slow = (!serving.is_empty()).then(|| {
        let (slow, found) = record.slow.advance(&compare(serving));
        next.slow = slow;
        next.reasons = found.reasons;
        found.signal
    });
    let news = watched.fresh.iter();
    next.live = news.fold(record.live, |live, item| {
        live.advance(item.champion_right, item.challenger_right)
    });
    let live = next.live.alarms(LIVE_ALPHA);
    if live {
        let Live { b, c, .. } = next.live;
        next.reasons.push(format!(
            "On new work before it was learned, the anchor was right {b} times where the version in service was wrong, and wrong {c} \
             times where it was right: that happens to a version which is no worse at most once in {:.0} domains, ever.",
            1.0 / LIVE_ALPHA
        ));
        // What was told once is not told of the same answers again.
        next.live = Live::default();
    }
    (next, Found { slow, live })
}

/// The anchor as champion, the version in service as challenger.
pub fn compare(items: &[ItemOutcome]) -> Comparison {
    ItemOutcome::compare(items, &Level::single(wengu_decide::drift::ANCHOR_ALPHA))
}

/// The anchor that a run asks: not where it is the parent, is none of the run's ancestors, or is of another base model or method, which
/// the run's trainer could not load.
pub fn anchor_of(engine: &Engine, manifest: &Manifest, ancestors: &[Manifest]) -> Result<Option<String>> {
    let Some(record) = engine.store.get::<DriftRecord>(&manifest.domain)? else {
        return Ok(None);
    };
    let made = ancestors.iter().find(|ancestor| ancestor.run == run_of(&record.anchor));
    let fits = made.is_some_and(|made| {
        (&made.base.sha256, &made.method, made.task) == (&manifest.base.sha256, &manifest.method, manifest.task)
    });
    let other = manifest.parent.as_ref() != Some(&record.anchor);
    Ok((fits && other).then_some(record.anchor))
}

/// The run that a version's id begins with.
pub fn run_of(version: &str) -> u64 {
    version.split('-').next().and_then(|run| run.parse().ok()).unwrap_or(0)
}

/// A person makes another version the anchor: one that was in service, by default the one that is.
pub fn move_anchor(engine: &Engine, domain: &str, to: Option<&str>, reason: &str) -> Result<DriftRecord> {
    crate::forget::require_free(engine, domain)?;
    let _lock = engine.lock(domain);
    let Some(current) = engine.current(domain)? else {
        bail!("domain {domain} has no version in service; the first that is promoted becomes the anchor");
    };
    let version = engine.version(domain, to.unwrap_or(&current.version))?;
    if !version.promoted {
        bail!(
            "version {} was never promoted (gate: {}); an anchor is a version that people relied on",
            version.id,
            version.decision
        );
    }
    let now = crate::clock::now_ms();
    let record = DriftRecord::new(&version.id, now, reason);
    engine
        .store
        .commit(Batch::new("anchor.moved").at(now).put(domain, &record)?)?;
    tracing::info!(domain, anchor = version.id, reason, "anchor_moved");
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(
        n: usize,
        anchor_right: impl Fn(usize) -> bool,
        serving_right: impl Fn(usize) -> bool,
    ) -> Vec<ItemOutcome> {
        let item = |i: usize| ItemOutcome {
            item: i.to_string(),
            champion_right: anchor_right(i),
            challenger_right: serving_right(i),
            ..ItemOutcome::default()
        };
        (0..n).map(item).collect()
    }

    fn watched(anchor: &str, before: Vec<ItemOutcome>, after: Vec<ItemOutcome>) -> Watched {
        Watched {
            fresh_items: 10,
            fresh_right: 9,
            anchor: Some(anchor.into()),
            before,
            after,
            ..Watched::default()
        }
    }

    #[test]
    fn three_versions_in_a_row_that_are_worse_than_the_anchor_are_a_slide_and_what_does_not_serve_is_not_counted() {
        let good = || items(100, |_| true, |_| true);
        let worse = || items(100, |_| true, |i| i >= 15);
        let mut record = DriftRecord::new("0001-a", 5, "the first");
        for run in 0..3 {
            let found;
            (record, found) = advance(&record, &watched("0001-a", good(), worse()), true);
            assert_eq!(found.slow == Some(Signal::Alarm), run == 2, "run {run}");
        }
        assert!(
            record.reasons[0].contains("significantly worse than the anchor"),
            "{:?}",
            record.reasons
        );
        assert_eq!((record.fresh_items, record.fresh_right), (30, 27));
        // Refused: the version before it serves, and is as good as the anchor.
        let (record, found) = advance(&record, &watched("0001-a", good(), worse()), false);
        assert_eq!((found.slow, record.slow.worse_in_a_row), (Some(Signal::Quiet), 0));
        // Answers of another anchor say nothing of this one.
        let (same, found) = advance(&record, &watched("0002-b", worse(), worse()), true);
        assert_eq!((found.slow, same.slow), (None, record.slow));
    }

    #[test]
    fn new_work_that_the_anchor_knows_better_raises_the_live_alarm_once() {
        let record = DriftRecord::new("0001-a", 5, "the first");
        let mut bad = watched("0001-a", Vec::new(), Vec::new());
        bad.fresh = items(60, |_| true, |i| i % 3 != 0);
        let (next, found) = advance(&record, &bad, true);
        assert_eq!(found, Found { slow: None, live: true });
        assert!(next.reasons[0].contains("right 20 times"), "{:?}", next.reasons);
        assert_eq!(next.live, Live::default(), "the same answers are not told again");
        bad.fresh = items(60, |i| i % 3 != 0, |_| true);
        assert!(!advance(&record, &bad, true).1.live, "to be better is no alarm");
    }
}
