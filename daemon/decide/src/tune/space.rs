//! What is searched.

use serde::{Deserialize, Serialize};

/// A setting that is searched, by its name in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// Peak rate of the adapter. The head's goes with it by a fixed factor.
    LearningRate,
    /// New examples of a step.
    BatchSize,
    /// Rank of a LoRA adapter. Its alpha goes with it by a fixed factor.
    Rank,
    /// Weight of the EWC penalty.
    EwcLambda,
    /// Temperature of the distillation.
    DistillTemperature,
    /// Replayed examples of a step, as a share of the new ones.
    ReplayRatio,
}

impl Key {
    /// All of them.
    pub const ALL: [Key; 6] = [
        Key::LearningRate,
        Key::BatchSize,
        Key::Rank,
        Key::EwcLambda,
        Key::DistillTemperature,
        Key::ReplayRatio,
    ];

    /// As the configuration has it.
    pub fn name(self) -> &'static str {
        match self {
            Key::LearningRate => "learning_rate",
            Key::BatchSize => "batch_size",
            Key::Rank => "rank",
            Key::EwcLambda => "ewc_lambda",
            Key::DistillTemperature => "distill_temperature",
            Key::ReplayRatio => "replay_ratio",
        }
    }
}

/// A value for each setting.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// [`Key::LearningRate`].
    pub learning_rate: f64,
    /// [`Key::BatchSize`].
    pub batch_size: u32,
    /// [`Key::Rank`]; None where what is trained has none.
    pub rank: Option<u32>,
    /// [`Key::EwcLambda`].
    pub ewc_lambda: f64,
    /// [`Key::DistillTemperature`].
    pub distill_temperature: f64,
    /// [`Key::ReplayRatio`].
    pub replay_ratio: f64,
}

impl Values {
    /// One of them, as it is written.
    pub fn shown(&self, key: Key) -> String {
        match key {
            Key::LearningRate => format!("{:?}", self.learning_rate),
            Key::BatchSize => self.batch_size.to_string(),
            Key::Rank => self.rank.map_or("-".into(), |rank| rank.to_string()),
            Key::EwcLambda => format!("{:?}", self.ewc_lambda),
            Key::DistillTemperature => format!("{:?}", self.distill_temperature),
            Key::ReplayRatio => format!("{:?}", self.replay_ratio),
        }
    }
}

/// The values that may be tried. What has none is not searched, and stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Space {
    /// Least and largest rate; in between every order of magnitude is as likely as another.
    pub learning_rate: Option<(f64, f64)>,
    /// One of these.
    pub batch_size: Vec<u32>,
    /// One of these.
    pub rank: Vec<u32>,
    /// One of these.
    pub ewc_lambda: Vec<f64>,
    /// One of these.
    pub distill_temperature: Vec<f64>,
    /// One of these.
    pub replay_ratio: Vec<f64>,
}

impl Space {
    /// All that is ever searched.
    pub fn full() -> Space {
        Space {
            learning_rate: Some((1e-5, 5e-3)),
            batch_size: vec![8, 16, 32],
            rank: vec![4, 8, 16, 32],
            ewc_lambda: vec![10.0, 100.0, 1000.0, 10_000.0],
            distill_temperature: vec![1.0, 2.0, 4.0],
            replay_ratio: vec![0.5, 1.0, 2.0],
        }
    }

    /// The same with a setting left as it is.
    pub fn without(mut self, key: Key) -> Space {
        match key {
            Key::LearningRate => self.learning_rate = None,
            Key::BatchSize => self.batch_size.clear(),
            Key::Rank => self.rank.clear(),
            Key::EwcLambda => self.ewc_lambda.clear(),
            Key::DistillTemperature => self.distill_temperature.clear(),
            Key::ReplayRatio => self.replay_ratio.clear(),
        }
        self
    }

    /// What is searched.
    pub fn searched(&self) -> Vec<Key> {
        let is_searched = |key: &Key| match key {
            Key::LearningRate => self.learning_rate.is_some(),
            Key::BatchSize => !self.batch_size.is_empty(),
            Key::Rank => !self.rank.is_empty(),
            Key::EwcLambda => !self.ewc_lambda.is_empty(),
            Key::DistillTemperature => !self.distill_temperature.is_empty(),
            Key::ReplayRatio => !self.replay_ratio.is_empty(),
        };
        Key::ALL.into_iter().filter(is_searched).collect()
    }
}
