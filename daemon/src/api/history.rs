//! What the updates of a domain did to old and new work.

use super::types::{LearningHistory, UpdateView};
use crate::engine::Engine;
use crate::learn::memory::Memory;
use crate::learn::outcome::Judgement;
use anyhow::Result;
use wengu_decide::metrics::{StreamScores, chance_score, negative_flip_rate};
use wengu_store::records::{EraAccuracy, RunRecord};

/// Every judged update of a domain, and the matrix of those that led to the version in service.
pub fn learning(engine: &Engine, domain: &str) -> Result<LearningHistory> {
    let serving = engine.current(domain)?.map(|current| current.version);
    let mut updates = Vec::new();
    for run in engine.runs(domain)? {
        updates.extend(update(engine, &run)?);
    }
    let chain = chain(engine, domain, serving.as_deref())?;
    Ok(LearningHistory {
        domain: domain.to_owned(),
        serving,
        updates,
        scores: chain.scores(),
        eras: chain.eras,
        matrix: chain.matrix,
    })
}

/// The scores of the updates that led to a version, the version's own included.
pub fn scores(engine: &Engine, domain: &str, version: &str) -> Result<Option<StreamScores>> {
    Ok(chain(engine, domain, Some(version))?.scores())
}

/// The runs that led to a version and brought held-out items.
struct Chain {
    eras: Vec<u64>,
    /// R: row i is the model of run i, column j the era of run j.
    matrix: Vec<Vec<Option<f64>>>,
    /// What the model before answered to each era.
    in_advance: Vec<Option<f64>>,
    /// What guessing scores on each.
    chance: Vec<f64>,
}

impl Chain {
    fn scores(&self) -> Option<StreamScores> {
        StreamScores::with_answers_in_advance(&self.matrix, &self.in_advance, &self.chance)
    }
}

fn chain(engine: &Engine, domain: &str, version: Option<&str>) -> Result<Chain> {
    let score = |eras: &[EraAccuracy], run: u64, side: &str| {
        let era = eras.iter().find(|era| era.era == run)?;
        era.accuracy.get(side).copied()
    };
    let mut judged = Vec::new();
    for manifest in engine.ancestry(domain, version)? {
        let run = engine.run(domain, manifest.run)?;
        let eras = engine.accuracy(&run)?;
        if score(&eras, run.run, "challenger").is_some() {
            let chance = chance_score(manifest.task, manifest.labels.len());
            judged.push((run.run, eras, chance));
        }
    }
    let eras: Vec<u64> = judged.iter().map(|(run, ..)| *run).collect();
    let row = |accuracy: &[EraAccuracy]| eras.iter().map(|&run| score(accuracy, run, "challenger")).collect();
    Ok(Chain {
        matrix: judged.iter().map(|(_, accuracy, _)| row(accuracy)).collect(),
        in_advance: judged
            .iter()
            .map(|(run, accuracy, _)| score(accuracy, *run, "champion"))
            .collect(),
        chance: judged.iter().map(|(.., chance)| *chance).collect(),
        eras,
    })
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
