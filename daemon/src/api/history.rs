//! What the updates of a domain did to old and new work.

use super::types::{LearningHistory, UpdateView};
use crate::engine::Engine;
use crate::learn::memory::Memory;
use crate::learn::outcome::Judgement;
use anyhow::Result;
use wengu_decide::metrics::{StreamScores, negative_flip_rate};
use wengu_store::records::{EraAccuracy, RunRecord};

/// Every judged update of a domain, and the matrix of those that led to the version in service.
pub fn learning(engine: &Engine, domain: &str) -> Result<LearningHistory> {
    let serving = engine.current(domain)?.map(|current| current.version);
    let mut updates = Vec::new();
    for run in engine.runs(domain)? {
        updates.extend(update(engine, &run)?);
    }
    let (eras, matrix) = chain(engine, domain, serving.as_deref())?;
    Ok(LearningHistory {
        domain: domain.to_owned(),
        serving,
        updates,
        scores: StreamScores::of(&matrix, None),
        eras,
        matrix,
    })
}

/// The scores of the updates that led to a version, the version's own included.
pub fn scores(engine: &Engine, domain: &str, version: &str) -> Result<Option<StreamScores>> {
    Ok(StreamScores::of(&chain(engine, domain, Some(version))?.1, None))
}

/// R: rows are models, columns eras.
type Matrix = Vec<Vec<Option<f64>>>;

/// The runs that led to a version and brought held-out items, and R: row i is the model of run i, column j the era of run j.
fn chain(engine: &Engine, domain: &str, version: Option<&str>) -> Result<(Vec<u64>, Matrix)> {
    let mut judged: Vec<(u64, Vec<EraAccuracy>)> = Vec::new();
    for manifest in engine.ancestry(domain, version)? {
        let run = engine.run(domain, manifest.run)?;
        judged.push((run.run, engine.accuracy(&run)?));
    }
    let score = |eras: &[EraAccuracy], run: u64| {
        let era = eras.iter().find(|era| era.era == run)?;
        era.accuracy.get("challenger").copied()
    };
    judged.retain(|(run, eras)| score(eras, *run).is_some());
    let runs: Vec<u64> = judged.iter().map(|(run, _)| *run).collect();
    let row = |(_, eras): &(u64, Vec<EraAccuracy>)| runs.iter().map(|&run| score(eras, run)).collect();
    let matrix = judged.iter().map(row).collect();
    Ok((runs, matrix))
}

fn update(engine: &Engine, run: &RunRecord) -> Result<Option<UpdateView>> {
    let (Some(verdict), Some(decision)) = (&run.verdict, &run.decision) else {
        return Ok(None);
    };
    let verdict = engine.judgement(verdict)?;
    let version = engine.version_of_run(&run.domain, run.run)?;
    let memory_examples = match &version {
        Some(id) => Memory::count(&engine.layout.version(&run.domain, id), engine.key())?,
        None => 0,
    };
    Ok(Some(UpdateView {
        run: run.run,
        version,
        decision: decision.clone(),
        train_examples: run.train_examples,
        memory_examples,
        planned_ms: run.planned_ms,
        ended_ms: run.ended_ms,
        accuracy: engine.accuracy(run)?,
        negative_flip_rate: flip_rate(&verdict),
        stability: verdict.old_work.and_then(|old_work| old_work.stability),
    }))
}

/// Share of the held-out items that the version in service answered right and the new one answers wrong. An answer that has a score
/// counts as right from one half on.
pub fn flip_rate(judgement: &Judgement) -> Option<f64> {
    let items = judgement.answers.iter().flat_map(|era| &era.items);
    let (before, after): (Vec<bool>, Vec<bool>) = items
        .filter_map(|item| Some((item.champion_worth()? >= 0.5, item.challenger_worth() >= 0.5)))
        .unzip();
    negative_flip_rate(&before, &after)
}
