//! How it is trained.

use super::{AdapterStart, is_zero};
use serde::{Deserialize, Serialize};

/// Hyper-parameters. The objective is
/// `CE(new) + CE(replay) + alpha D(replay) + alpha_new T^2 KL(teacher || student) on new + lambda/2 sum F (W - W*)^2
/// + lambda_o sum |A_parent A'|^2`, where D is one of [`DistillLoss`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learning {
    /// Passes over the new examples, at most.
    pub epochs: u32,
    /// Epochs in a row that may do no better on the validation set than the best before them; then training ends. The result has the
    /// best epoch's weights. Counts only where there is a validation set.
    #[serde(default)]
    pub patience: u32,
    /// New examples in one optimizer step, before accumulation is split.
    pub batch_size: u32,
    /// Micro-batches that one optimizer step is split into.
    pub accumulation: u32,
    /// Peak learning rate of the adapter.
    pub learning_rate: f64,
    /// Peak learning rate of the head.
    pub head_learning_rate: f64,
    /// Decoupled weight decay (AdamW) on adapter and head weights; biases are not decayed.
    pub weight_decay: f64,
    /// Share of the steps in which the rate rises linearly from 0; then it falls linearly to 0.
    pub warmup_fraction: f64,
    /// Global gradient norm above which gradients are scaled down.
    pub clip_norm: f64,
    /// Dropout on the pooled embedding before the head.
    pub head_dropout: f64,
    /// Replay examples in a step, as a share of `batch_size`. 0 switches replay off.
    pub replay_ratio: f64,
    /// Epsilon: how much more than under the parent, as a share of it, the loss on [`super::OldSample`] may become. `replay_ratio` is then
    /// where the search for the largest share of new examples that keeps to it begins. None: `replay_ratio` stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_loss_tolerance: Option<f64>,
    /// Steps between measurements of accuracy on [`super::OldSample`]. 0: it is not measured.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stability_steps: u32,
    /// Weight alpha of the distillation term on replay. 0 switches it off.
    pub distill_alpha: f64,
    /// What distillation on replay is measured by.
    #[serde(default)]
    pub distill_loss: DistillLoss,
    /// Weight of the distillation term on the new examples, which the parent answers before the first step (Learning without
    /// Forgetting, Li and Hoiem 2016). 0 switches it off. It keeps no text.
    #[serde(default)]
    pub distill_new_alpha: f64,
    /// Temperature T of the distillation term.
    pub distill_temperature: f64,
    /// Strength tau of the correction of logits for labels that are more or less frequent in a step than in all that was
    /// learned ([`super::Data::learned`]): the cross entropy is of `logits + tau log(share in the step / share in all)` (Menon et al.
    /// 2021, "Long-tail learning via logit adjustment", eq. 10). 0 switches it off, and so does a job without replay.
    #[serde(default)]
    pub prior_correction: f64,
    /// Factor of the linear discriminant that is added to the trained head: class means and one shared covariance, of all examples that
    /// were ever learned. 0 switches it off. It keeps no text.
    #[serde(default)]
    pub discriminant_weight: f64,
    /// Weight lambda of the EWC penalty. 0 switches it off.
    pub ewc_lambda: f64,
    /// What becomes of the parent's low-rank adapter.
    #[serde(default)]
    pub adapter_start: AdapterStart,
    /// Weight lambda_o of the squared Frobenius norm of `A_parent A'`, summed over the adapted layers, which keeps the rows of a new A at
    /// right angles to those of the parent's. 0 switches it off; only for [`AdapterStart::Orthogonal`].
    #[serde(default)]
    pub orthogonal_lambda: f64,
    /// How the Fisher information of the result is estimated.
    pub fisher: FisherEstimate,
    /// What of it is kept of a low-rank update's product.
    #[serde(default)]
    pub fisher_form: FisherForm,
    /// Examples (drawn by seed from the training data) that the Fisher is estimated on. 0: no Fisher is written.
    pub fisher_examples: u32,
    /// Decay of the parent's Fisher when the new one is added (online EWC): F = decay * F_old + F_new.
    pub fisher_decay: f64,
    /// Steps between checkpoints.
    pub checkpoint_steps: u32,
}

/// What distillation on replay is measured by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DistillLoss {
    /// `T^2 KL(teacher || student)` (Hinton et al. 2015), on the examples whose cross entropy is taken.
    #[default]
    Kl,
    /// The mean squared distance of the logits, on examples of their own beside those whose cross entropy is taken: dark experience
    /// replay, DER++ (Buzzega et al. 2020, eq. 6).
    Logits,
}

/// What is kept of the diagonal Fisher of a low-rank update's product, which has a number for each of the weight's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FisherForm {
    /// [`FisherForm::Diagonal`], but of a model with large products [`FisherForm::Factored`].
    #[default]
    Auto,
    /// All of it.
    Diagonal,
    /// Its row and column sums, and of the weight its factors.
    Factored,
}

/// Estimators of the diagonal Fisher information (van de Ven 2025, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FisherEstimate {
    /// Expectation over the model's own predictive distribution.
    Exact,
    /// One label drawn from the model's own predictive distribution per example.
    Sampled,
    /// The label in the data.
    Empirical,
}
