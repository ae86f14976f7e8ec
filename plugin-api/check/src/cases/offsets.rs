use crate::bench::{Bench, Finding, Verdict, failed, quoted, skipped, warned};
use crate::cases::documents::{METADATA, SEED};
use crate::raw::{Instance, Score, Segment, SinkKind, Vote};
use std::ops::Range;
use wengu_plugin::{Prediction, abi};

/// Segments and spans of votes, each with the call that pushed it.
pub fn ranges(instance: &Instance, text: &str) -> Vec<(&'static str, Range<u32>)> {
    let segments = instance.segment(text.as_bytes(), SinkKind::Takes).items.into_iter();
    let votes = instance
        .label(text.as_bytes(), METADATA, SEED, SinkKind::Takes)
        .items
        .into_iter();
    let votes = votes.filter(|v| (v.begin, v.end) != (0, 0));
    segments
        .map(|s| ("segment", s.begin..s.end))
        .chain(votes.map(|v| ("label", v.begin..v.end)))
        .collect()
}

fn each(bench: &Bench, judge: impl Fn(&Instance, &str) -> Result<(), String>) -> Verdict {
    let instance = bench.instance()?;
    for text in bench.texts() {
        (bench.at)(&quoted(text));
        judge(&instance, text).map_err(|why| Finding::Failed(format!("{why}, of {}", quoted(text))))?;
    }
    Ok(String::new())
}

pub fn in_range(bench: &Bench) -> Verdict {
    each(bench, |instance, text| judge_range(text, &ranges(instance, text)))
}

pub fn judge_range(text: &str, ranges: &[(&'static str, Range<u32>)]) -> Result<(), String> {
    match ranges
        .iter()
        .find(|(_, r)| r.start >= r.end || r.end as usize > text.len())
    {
        None => Ok(()),
        Some((call, r)) => Err(format!(
            "{call}() pushed {}..{} for a text of {} bytes",
            r.start,
            r.end,
            text.len()
        )),
    }
}

pub fn characters(bench: &Bench) -> Verdict {
    each(bench, |instance, text| judge_characters(text, &ranges(instance, text)))
}

pub fn judge_characters(text: &str, ranges: &[(&'static str, Range<u32>)]) -> Result<(), String> {
    let inside = |r: &Range<u32>| {
        [r.start, r.end]
            .into_iter()
            .find(|at| !text.is_char_boundary(*at as usize))
    };
    match ranges.iter().find_map(|(call, r)| Some((call, r, inside(r)?))) {
        None => Ok(()),
        Some((call, r, at)) => Err(format!(
            "{call}() pushed {}..{}, and byte {at} is inside a character",
            r.start, r.end
        )),
    }
}

pub fn tiling(bench: &Bench) -> Verdict {
    bench.needs_segmenter()?;
    each(bench, |instance, text| {
        judge_tiling(text, &instance.segment(text.as_bytes(), SinkKind::Takes).items)
    })
}

pub fn judge_tiling(text: &str, segments: &[Segment]) -> Result<(), String> {
    let mut end = 0;
    for (i, s) in segments.iter().enumerate() {
        if s.kind > abi::SEGMENT_DROP {
            return Err(format!("segment {i} is of kind {}, which is none of 0, 1, 2", s.kind));
        }
        if s.begin != end {
            return Err(format!(
                "segment {i} begins at {}, the one before it ends at {end}",
                s.begin
            ));
        }
        end = s.end;
    }
    match end as usize == text.len() {
        true => Ok(()),
        false => Err(format!("the segments end at {end}, the text at {}", text.len())),
    }
}

pub fn votes(instance: &Instance, text: &str) -> Vec<Vote> {
    instance.label(text.as_bytes(), METADATA, SEED, SinkKind::Takes).items
}

pub fn indices(bench: &Bench) -> Verdict {
    bench.needs_labeler()?;
    let names = bench.names(&bench.instance()?)?;
    let (functions, labels) = (names.functions.len(), names.labels.len());
    each(bench, |instance, text| {
        judge_indices(&votes(instance, text), functions, labels)
    })
}

pub fn judge_indices(votes: &[Vote], functions: usize, labels: usize) -> Result<(), String> {
    match votes
        .iter()
        .find(|v| v.function as usize >= functions || v.label as usize >= labels)
    {
        None => Ok(()),
        Some(v) => Err(format!(
            "a vote is by function {} of {functions} for label {} of {labels}",
            v.function, v.label
        )),
    }
}

pub fn confidence(bench: &Bench) -> Verdict {
    bench.needs_labeler()?;
    each(bench, |instance, text| judge_confidence(&votes(instance, text)))?;
    let instance = bench.instance()?;
    let all: Vec<Vote> = bench.texts().flat_map(|text| votes(&instance, text)).collect();
    match () {
        () if all.iter().any(|v| v.confidence == 1.0) => {
            warned("a vote's confidence is 1: that is for what a person has said, not for a rule")
        }
        () if all.is_empty() => warned("no document got a vote: give documents of your domain with --document FILE"),
        () => Ok(String::new()),
    }
}

pub fn judge_confidence(votes: &[Vote]) -> Result<(), String> {
    match votes.iter().find(|v| !(v.confidence > 0.0 && v.confidence <= 1.0)) {
        None => Ok(()),
        Some(v) => Err(format!("a vote's confidence is {}", v.confidence)),
    }
}

pub fn scores(bench: &Bench) -> Verdict {
    bench.needs_evaluator()?;
    let instance = bench.instance()?;
    let names = bench.names(&instance)?;
    let answers: Vec<String> = match names.labels.is_empty() {
        true => vec!["yes".into(), "no".into()],
        false => names
            .labels
            .iter()
            .take(8)
            .map(|n| String::from_utf8_lossy(&n.0).into_owned())
            .collect(),
    };
    let mut scored = 0;
    for expected in &answers {
        for actual in &answers {
            let item = Prediction {
                input: crate::corpus::PLAIN,
                expected,
                actual,
            };
            let call = instance.score(&item, SEED, SinkKind::Takes);
            if !call.is_answer() {
                return failed(format!(
                    "score() of expected {expected:?}, actual {actual:?}: {}",
                    call.told()
                ));
            }
            if call.is_ok() {
                scored += 1;
                judge_scores(&call.items, names.metrics.len()).map_err(Finding::Failed)?;
            }
        }
    }
    match scored {
        0 => warned("no item was scored: every pair of the plugin's own labels was refused"),
        _ => Ok(String::new()),
    }
}

pub fn judge_scores(scores: &[Score], metrics: usize) -> Result<(), String> {
    let mut seen = vec![false; metrics];
    for s in scores {
        match seen.get_mut(s.metric as usize) {
            _ if !s.value.is_finite() => return Err(format!("the score for metric {} is {}", s.metric, s.value)),
            None => return Err(format!("a score is for metric {} of {metrics}", s.metric)),
            Some(true) => return Err(format!("metric {} has two scores", s.metric)),
            Some(seen) => *seen = true,
        }
    }
    match seen.iter().position(|seen| !seen) {
        None => Ok(()),
        Some(missing) => Err(format!("metric {missing} has no score")),
    }
}

pub fn odd_items(bench: &Bench) -> Verdict {
    bench.needs_evaluator()?;
    let instance = bench.instance()?;
    let texts: Vec<&str> = bench.texts().chain([""]).collect();
    if texts.is_empty() {
        return skipped("no texts");
    }
    for (i, expected) in texts.iter().enumerate() {
        let actual = texts[texts.len() - 1 - i];
        (bench.at)(&quoted(expected));
        let item = Prediction {
            input: "",
            expected,
            actual,
        };
        let call = instance.score(&item, SEED, SinkKind::Takes);
        if !call.is_answer() {
            return failed(format!("score() of expected {}: {}", quoted(expected), call.told()));
        }
    }
    Ok(String::new())
}
