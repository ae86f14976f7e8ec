//! The plugin's own scores of the gate's answers, item by item; the statistics are ours. Told beside the verdict, never
//! used to decide: a plugin that fails here costs its scores and nothing else.

use super::data_files::Objects;
use super::manifest::Item;
use super::outcome::Judgement;
use super::runner::Work;
use crate::model::sibling;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use wengu_decide::gate::{Paired, paired};
use wengu_plugin_client::{Options, PluginClient};
use wengu_protocol::CaseText;
use wengu_protocol::plugin::{Metric, ScoreInput};

/// What a plugin's evaluator says of both models over the gate items of all eras.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginScores {
    /// Id, version and digest of the plugin.
    pub plugin: String,
    /// Its metrics.
    pub metrics: Vec<MetricScores>,
    /// Items that it refused to score for either model.
    pub refused: u64,
    /// The first of its reasons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// One metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricScores {
    /// Its name.
    pub name: String,
    /// Whether a larger value is a better answer.
    pub higher_is_better: bool,
    /// Mean of the new version's answers.
    pub challenger: f64,
    /// Mean of the answers of the version in service; none for a first version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion: Option<f64>,
    /// The challenger's scores minus the champion's, turned so that more is better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paired: Option<Paired>,
    /// Item by item, in the order of eras and items: the challenger's score and the champion's.
    pub items: Vec<(f64, Option<f64>)>,
}

/// Asks the domain's plugin, if it has one with an evaluator.
///
/// # Errors
/// A plugin that cannot be used or that fails.
pub(super) fn plugin_scores(work: &Work, judgement: &Judgement) -> Result<Option<PluginScores>> {
    let engine = work.engine;
    let domain = engine.config.domains.get(&work.manifest.domain);
    let Some((id, config)) = domain.and_then(|d| Some((d.plugin.as_deref()?, &d.plugin_config))) else {
        return Ok(None);
    };
    let installed = engine.plugins.usable(id)?;
    if !installed.manifest.provides.iter().any(|p| p == "wengu.evaluator/1") {
        return Ok(None);
    }
    let (mut by_challenger, mut by_champion) = (Vec::new(), Vec::new());
    let mut texts = Objects::new(&engine.store);
    let gate: HashMap<&str, &Item> = work
        .ancestors
        .iter()
        .chain([&work.manifest])
        .flat_map(|m| &m.gate)
        .map(|i| (i.text_id.as_str(), i))
        .collect();
    for answer in judgement.answers.iter().flat_map(|era| &era.items) {
        let item = gate.get(answer.text_id.as_str()).context("an answer to no gate item")?;
        let asked = |actual: &str, input: CaseText| ScoreInput {
            input,
            expected: answer.label.as_str().into(),
            actual: actual.into(),
            seed: work.manifest.seed,
        };
        let text = texts.remembered(item)?.text;
        by_champion.extend(answer.champion.as_deref().map(|champion| asked(champion, text.clone())));
        by_challenger.push(asked(&answer.challenger, text));
    }
    // This thread has no runtime: it waits for trainers.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let host = sibling("wengu-plugin-host")?;
    let options = Options {
        config: config.clone(),
        ..Options::default()
    };
    let (ready, challenger, champion) = runtime.block_on(async {
        let mut client = PluginClient::start(&host, &installed, options).await?;
        let ready = client.ready().clone();
        let challenger = client.score(&by_challenger).await?;
        let champion = client.score(&by_champion).await?;
        client.stop().await;
        anyhow::Ok((ready, challenger, champion))
    })?;
    let champion = if by_champion.is_empty() { None } else { Some(champion) };
    let mut refusals = challenger
        .iter()
        .chain(champion.iter().flatten())
        .filter_map(|o| o.as_ref().err());
    let refusal = refusals.next().map(ToString::to_string);
    let rows: Vec<(&[f64], Option<&[f64]>)> = challenger
        .iter()
        .enumerate()
        .filter_map(|(i, scores)| {
            let champion = match &champion {
                None => None,
                Some(champion) => Some(champion[i].as_deref().ok()?),
            };
            Some((scores.as_deref().ok()?, champion))
        })
        .collect();
    let metrics = ready.metrics.iter().enumerate();
    Ok(Some(PluginScores {
        plugin: format!(
            "{} {} {}",
            ready.descriptor.id, ready.descriptor.version, ready.library_sha256
        ),
        refused: (challenger.len() - rows.len()) as u64,
        refusal,
        metrics: metrics
            .filter_map(|(m, metric)| summary(metric, m, &rows, work.manifest.seed))
            .collect(),
    }))
}

/// None where no item was scored.
fn summary(metric: &Metric, index: usize, rows: &[(&[f64], Option<&[f64]>)], seed: u64) -> Option<MetricScores> {
    let items: Vec<(f64, Option<f64>)> = rows.iter().map(|(a, b)| (a[index], b.map(|b| b[index]))).collect();
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let (n, sum) = values.fold((0u64, 0.0), |(n, sum), value| (n + 1, sum + value));
        (n > 0).then(|| sum / n as f64)
    };
    let sign = if metric.higher_is_better { 1.0 } else { -1.0 };
    let differences: Vec<f64> = items.iter().filter_map(|(a, b)| Some(sign * (a - (*b)?))).collect();
    Some(MetricScores {
        name: metric.name.clone(),
        higher_is_better: metric.higher_is_better,
        challenger: mean(&mut items.iter().map(|i| i.0))?,
        champion: mean(&mut items.iter().filter_map(|i| i.1)),
        paired: paired(&differences, seed),
        items,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_where_less_is_better_is_turned() {
        let metric = Metric {
            name: "errors".into(),
            higher_is_better: false,
        };
        let (a, b) = (vec![[1.0], [2.0]], [[3.0], [2.0]]);
        let rows: Vec<(&[f64], Option<&[f64]>)> = a.iter().zip(&b).map(|(a, b)| (&a[..], Some(&b[..]))).collect();
        let found = summary(&metric, 0, &rows, 1).unwrap();
        assert_eq!((found.challenger, found.champion), (1.5, Some(2.5)));
        assert_eq!(found.paired.unwrap().difference, 1.0);
        assert_eq!(summary(&metric, 0, &[], 1), None);
        let first: Vec<(&[f64], Option<&[f64]>)> = a.iter().map(|a| (&a[..], None)).collect();
        assert_eq!(summary(&metric, 0, &first, 1).unwrap().paired, None);
    }
}
