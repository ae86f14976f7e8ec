//! The classification head: dropout and one linear layer.

use super::lora::Dropout;
use super::weights::TensorFile;
use super::{HEAD, random};
use crate::error::TrainerError;
use crate::job::files::write_durable;
use crate::peft;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tch::{Kind, Tensor};
use wengu_protocol::job::JobEnd;

/// The head's tensors.
pub const HEAD_FILE: &str = "head.safetensors";
/// The labels of the head's rows.
pub const LABELS_FILE: &str = "labels.json";
const LABELS_SCHEMA: u32 = 1;
/// Deviation of a new row, BERT's `initializer_range`.
const NEW_ROW_DEVIATION: f64 = 0.02;

/// labels.json.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Labels {
    schema: u32,
    labels: Vec<String>,
}

/// Weight [labels, hidden] and bias [labels].
pub struct Classifier {
    pub weight: Tensor,
    pub bias: Tensor,
    pub dropout: f64,
}

impl Classifier {
    /// A head for `labels` rows: first those of `old`, if any, then new ones, small and random.
    pub fn grow(
        old: Option<(Tensor, Tensor)>,
        labels: i64,
        hidden: i64,
        dropout: f64,
        seed: u64,
    ) -> Result<Classifier, TrainerError> {
        let known = old.as_ref().map_or(0, |(weight, _)| weight.size()[0]);
        let mut weights = Vec::new();
        let mut biases = Vec::new();
        if let Some((weight, bias)) = old {
            weights.push(weight);
            biases.push(bias);
        }
        for row in known..labels {
            weights.push(random::normal(
                seed,
                &format!("{HEAD}.weight.{row}"),
                &[1, hidden],
                NEW_ROW_DEVIATION,
            )?);
        }
        biases.push(Tensor::f_zeros([labels - known], (Kind::Float, tch::Device::Cpu))?);
        let weight = Tensor::f_cat(&weights, 0)?.f_set_requires_grad(true)?;
        let bias = Tensor::f_cat(&biases, 0)?.f_set_requires_grad(true)?;
        Ok(Classifier { weight, bias, dropout })
    }

    /// Weight and bias of a parent's head, which must have exactly these labels.
    pub fn read(dir: &Path, labels: &[String], hidden: i64) -> Result<(Tensor, Tensor), TrainerError> {
        let path = dir.join(LABELS_FILE);
        let bad = |error: &dyn std::fmt::Display| TrainerError::at(JobEnd::BadModel, &path, error);
        let text = std::fs::read(&path).map_err(|e| bad(&e))?;
        let stored: Labels = serde_json::from_slice(&text).map_err(|e| bad(&e))?;
        if stored.schema != LABELS_SCHEMA {
            return Err(bad(&format!("schema {} is not {LABELS_SCHEMA}", stored.schema)));
        }
        if stored.labels != labels {
            return Err(bad(&"these are not the labels that the job gives its parent"));
        }
        let file = TensorFile::open(&dir.join(HEAD_FILE))?;
        let weights = file.parse()?;
        let names = [format!("{HEAD}.weight"), format!("{HEAD}.bias")];
        let rows = labels.len() as i64;
        let (weight, bias) = (
            weights.tensor(&names[0], &[rows, hidden])?,
            weights.tensor(&names[1], &[rows])?,
        );
        if let Some(name) = weights.untaken().first() {
            return Err(TrainerError::at(
                JobEnd::BadModel,
                &dir.join(HEAD_FILE),
                format!("unexpected tensor {name}"),
            ));
        }
        Ok((weight, bias))
    }

    /// Writes head.safetensors and labels.json.
    pub fn save(&self, dir: &Path, labels: &[String]) -> Result<(), TrainerError> {
        let tensors = [
            (format!("{HEAD}.weight"), &self.weight),
            (format!("{HEAD}.bias"), &self.bias),
        ];
        let labels = Labels {
            schema: LABELS_SCHEMA,
            labels: labels.to_vec(),
        };
        write_durable(&dir.join(HEAD_FILE), &peft::tensor_bytes(&tensors)?)?;
        let text =
            serde_json::to_vec_pretty(&labels).map_err(|e| TrainerError::new(JobEnd::Internal, e.to_string()))?;
        write_durable(&dir.join(LABELS_FILE), &text)
    }

    /// Logits of pooled embeddings.
    pub fn forward(&self, pooled: &Tensor, dropout: Option<u64>) -> Result<Tensor, TrainerError> {
        let seen = match dropout {
            Some(seed) => Dropout {
                seed,
                share: self.dropout,
            }
            .apply(HEAD, pooled)?,
            None => pooled.shallow_clone(),
        };
        Ok(seen.f_linear(&self.weight, Some(&self.bias))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("标签{i}")).collect()
    }

    #[test]
    fn a_grown_head_keeps_the_old_rows_and_adds_small_ones() {
        let old = Classifier::grow(None, 3, 8, 0.0, 1).unwrap();
        let kept = (old.weight.detach().copy(), Tensor::from_slice(&[1.0f32, 2.0, 3.0]));
        let grown = Classifier::grow(Some((kept.0.copy(), kept.1.copy())), 5, 8, 0.0, 2).unwrap();
        assert_eq!(grown.weight.size(), [5, 8]);
        assert_eq!(grown.weight.narrow(0, 0, 3), kept.0);
        assert_eq!(
            Vec::<f32>::try_from(grown.bias.detach()).unwrap(),
            [1.0, 2.0, 3.0, 0.0, 0.0]
        );
        let largest = grown.weight.narrow(0, 3, 2).abs().max().double_value(&[]);
        assert!(largest > 0.0 && largest < 0.2, "{largest}");
        assert!(grown.weight.requires_grad() && grown.weight.is_leaf() && grown.bias.requires_grad());
    }

    #[test]
    fn a_saved_head_comes_back_the_same_and_only_for_its_labels() {
        let folder = tempfile::tempdir().unwrap();
        let head = Classifier::grow(None, 3, 8, 0.0, 1).unwrap();
        head.save(folder.path(), &names(3)).unwrap();
        let (weight, bias) = Classifier::read(folder.path(), &names(3), 8).unwrap();
        assert_eq!((weight, bias), (head.weight.detach(), head.bias.detach()));
        assert_eq!(
            Classifier::read(folder.path(), &names(2), 8).unwrap_err().end,
            JobEnd::BadModel
        );
        let error = Classifier::read(folder.path(), &names(3), 9).unwrap_err();
        assert!(error.message.contains("[3, 8]"), "{error}");
    }

    #[test]
    fn dropout_masks_follow_from_the_seed() {
        let head = Classifier::grow(None, 3, 64, 0.5, 1).unwrap();
        let pooled = Tensor::ones([4, 64], (Kind::Float, tch::Device::Cpu));
        let run = |seed| head.forward(&pooled, seed).unwrap().detach();
        assert_eq!(run(Some(1)), run(Some(1)));
        assert_ne!(run(Some(1)), run(Some(2)));
        assert_ne!(run(Some(1)), run(None));
    }
}
