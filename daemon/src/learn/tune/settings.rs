//! Which value a setting has, and where it comes from: what the configuration sets wins, then what was fitted, then the default.

use super::record::{InUse, TuningRecord};
use crate::engine::Engine;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use wengu_config::{Domain, Learning};
use wengu_decide::tune::{Key, Space, Values};
use wengu_protocol::job::{self, Method};

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The configuration sets it.
    Configuration,
    /// It was fitted.
    Tuned,
    /// The version in service has it, and what continues it must.
    Version,
    /// Nobody says otherwise.
    Default,
}

/// One setting that may be fitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name in the configuration.
    pub key: String,
    /// What the next run uses.
    pub value: String,
    /// Why.
    pub source: Source,
}

/// What the domain's next run is trained with.
pub fn learning(engine: &Engine, domain: &Domain) -> Result<Learning> {
    let record = engine.store.get::<TuningRecord>(&domain.name)?;
    let parent = parent_method(engine, &domain.name)?;
    Ok(settled(
        &domain.learning,
        record.and_then(|record| record.in_use).as_ref(),
        parent.as_ref(),
    ))
}

/// The same with nothing fitted: the candidate that the others must beat.
pub(super) fn untuned(engine: &Engine, domain: &Domain) -> Result<Learning> {
    let parent = parent_method(engine, &domain.name)?;
    Ok(settled(&domain.learning, None, parent.as_ref()))
}

/// Every setting that may be fitted.
pub fn sources(engine: &Engine, domain: &Domain) -> Result<Vec<Setting>> {
    let record = engine.store.get::<TuningRecord>(&domain.name)?;
    let in_use = record.and_then(|record| record.in_use);
    let parent = parent_method(engine, &domain.name)?;
    let used = values(&settled(&domain.learning, in_use.as_ref(), parent.as_ref()));
    let searched = in_use.map_or(Vec::new(), |in_use| in_use.searched);
    let serves = parent.is_some();
    let of = |key: Key| Setting {
        key: key.name().into(),
        value: used.shown(key),
        source: match key {
            key if domain.learning.is_explicit(key.name()) => Source::Configuration,
            Key::Rank if serves => Source::Version,
            key if searched.contains(&key) => Source::Tuned,
            _ => Source::Default,
        },
    };
    Ok(Key::ALL.into_iter().map(of).collect())
}

/// What the version in service trains.
fn parent_method(engine: &Engine, domain: &str) -> Result<Option<Method>> {
    let Some(current) = engine.current(domain)? else {
        return Ok(None);
    };
    let run = engine.run(domain, engine.version(domain, &current.version)?.run)?;
    Ok(Some(engine.manifest(&run.manifest)?.method))
}

fn settled(configured: &Learning, in_use: Option<&InUse>, parent: Option<&Method>) -> Learning {
    let mut learning = configured.clone();
    let is_explicit = |key: &str| configured.is_explicit(key);
    if let Some(fitted) = in_use {
        let keys: Vec<Key> = fitted
            .searched
            .iter()
            .copied()
            .filter(|key| !is_explicit(key.name()))
            .collect();
        put(
            &mut learning.training,
            &mut learning.method,
            &fitted.values,
            &keys,
            &is_explicit,
        );
    }
    // An adapter goes on with the rank that it has.
    if let (Method::Lora(lora), Some(Method::Lora(parent))) = (&mut learning.method, parent)
        && !["rank", "rank_pattern", "alpha_pattern"]
            .iter()
            .any(|key| is_explicit(key))
        && parent.rank_pattern.is_empty()
        && parent.alpha_pattern.is_empty()
    {
        lora.rank = parent.rank;
        if !is_explicit("alpha") {
            lora.alpha = parent.alpha;
        }
    }
    learning
}

/// Puts the values of `keys` in place. The head's rate keeps its factor to the adapter's, and alpha its factor to the rank, unless they are
/// set explicitly.
pub(super) fn put(
    training: &mut job::Learning,
    method: &mut Method,
    values: &Values,
    keys: &[Key],
    is_explicit: &dyn Fn(&str) -> bool,
) {
    for key in keys {
        match key {
            Key::LearningRate => {
                if !is_explicit("head_learning_rate") {
                    training.head_learning_rate *= values.learning_rate / training.learning_rate;
                }
                training.learning_rate = values.learning_rate;
            }
            Key::BatchSize => {
                training.batch_size = values.batch_size;
                training.accumulation = training.accumulation.min(values.batch_size);
            }
            Key::Rank => {
                if let (Method::Lora(lora), Some(rank)) = (&mut *method, values.rank) {
                    if !is_explicit("alpha") {
                        lora.alpha *= f64::from(rank) / f64::from(lora.rank);
                    }
                    lora.rank = rank;
                }
            }
            Key::EwcLambda => training.ewc_lambda = values.ewc_lambda,
            Key::DistillTemperature => training.distill_temperature = values.distill_temperature,
            Key::ReplayRatio => training.replay_ratio = values.replay_ratio,
        }
    }
}

/// The values that settings have.
pub(super) fn values(learning: &Learning) -> Values {
    let training = &learning.training;
    Values {
        learning_rate: training.learning_rate,
        batch_size: training.batch_size,
        rank: match &learning.method {
            Method::Lora(lora) => Some(lora.rank),
            Method::PromptTuning(_) | Method::Bottleneck(_) | Method::HeadOnly => None,
        },
        ewc_lambda: training.ewc_lambda,
        distill_temperature: training.distill_temperature,
        replay_ratio: training.replay_ratio,
    }
}

/// What may be searched: nothing that is set explicitly, no rank where there is none or a version has one already, and none that the
/// server cannot load.
pub(super) fn space(domain: &Domain, learning: &Learning, has_parent: bool) -> Space {
    let set = Key::ALL.into_iter().filter(|key| learning.is_explicit(key.name()));
    let mut space = set.fold(Space::full(), Space::without);
    let Method::Lora(lora) = &learning.method else {
        return space.without(Key::Rank);
    };
    if has_parent || !lora.rank_pattern.is_empty() || !lora.alpha_pattern.is_empty() {
        return space.without(Key::Rank);
    }
    space.rank.retain(|&rank| {
        let lora = job::Lora { rank, ..lora.clone() };
        crate::serving::require(domain, &Method::Lora(lora)).is_ok()
    });
    space
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn domain(learning: &str) -> Domain {
        let text = format!(
            "state_dir = \"state\"\n[models.base]\npath = \"m\"\n[domains.d]\nwatch = [\"in\"]\nmodel = \"base\"\n[domains.d.learning]\n{learning}"
        );
        let config = wengu_config::parse(&text, Path::new("/etc/wengu.toml")).unwrap_or_else(|e| panic!("{e}"));
        config.domains["d"].clone()
    }

    fn fitted() -> InUse {
        InUse {
            values: Values {
                learning_rate: 5e-3,
                batch_size: 8,
                rank: Some(32),
                ewc_lambda: 10.0,
                distill_temperature: 4.0,
                replay_ratio: 2.0,
            },
            searched: Key::ALL.to_vec(),
            since_ms: 0,
            examples: String::new(),
        }
    }

    fn lora(learning: &Learning) -> (u32, f64) {
        match &learning.method {
            Method::Lora(lora) => (lora.rank, lora.alpha),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_fitted_is_used_with_what_is_tied_to_it() {
        let used = settled(&domain("").learning, Some(&fitted()), None);
        assert_eq!(values(&used), fitted().values);
        assert!((used.training.head_learning_rate - 0.05).abs() < 1e-12);
        assert_eq!(lora(&used), (32, 64.0));
    }

    #[test]
    fn what_the_configuration_sets_wins_key_by_key() {
        let domain = domain("learning_rate = 1e-3\nalpha = 16.0\nreplay_ratio = 1.0\naccumulation = 16\n");
        let used = settled(&domain.learning, Some(&fitted()), None);
        assert_eq!(
            (used.training.learning_rate, used.training.head_learning_rate),
            (1e-3, 1e-2)
        );
        assert_eq!(lora(&used), (32, 16.0));
        assert_eq!((used.training.replay_ratio, used.training.ewc_lambda), (1.0, 10.0));
        assert_eq!((used.training.batch_size, used.training.accumulation), (8, 8));
        let space = space(&domain, &domain.learning, false);
        assert_eq!(
            space.searched(),
            [Key::BatchSize, Key::Rank, Key::EwcLambda, Key::DistillTemperature]
        );
    }

    #[test]
    fn an_adapter_goes_on_with_the_rank_that_it_has() {
        let plain = domain("");
        let parent = settled(&plain.learning, Some(&fitted()), None).method;
        assert_eq!(lora(&settled(&plain.learning, None, Some(&parent))), (32, 64.0));
        let set = domain("rank = 8");
        assert_eq!(
            lora(&settled(&set.learning, None, Some(&parent))),
            (8, 16.0),
            "a person says so"
        );
        assert!(!space(&plain, &plain.learning, true).searched().contains(&Key::Rank));
    }

    #[test]
    fn no_rank_is_tried_that_the_server_cannot_load() {
        let text = "state_dir = \"state\"\n[models.base]\npath = \"m\"\n[domains.d]\nwatch = [\"in\"]\nmodel = \"base\"\n\
                    serve = { kind = \"vllm\", max_lora_rank = 8 }\n[domains.d.learning]\ntarget_modules = [\"q_proj\"]\n";
        let config = wengu_config::parse(text, Path::new("/etc/wengu.toml")).unwrap_or_else(|e| panic!("{e}"));
        let domain = &config.domains["d"];
        let found = space(domain, &domain.learning, false).rank;
        assert!(found.iter().all(|rank| *rank <= 8), "{found:?}");
    }
}
