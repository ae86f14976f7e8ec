//! The base model with its adapters and its classification head.

mod bert;
mod classifier;
mod config;
mod decoder;
mod encoder;
mod load;
mod lora;
mod pass;
mod pooling;
mod random;
mod terms;
pub(crate) mod weights;

pub use crate::peft::LoraSite;
pub use encoder::ModelLimits;
pub use pooling::Pooling;

use crate::error::TrainerError;
use crate::peft;
use classifier::Classifier;
use encoder::Encoder;
use lora::Dropout;
use pass::Pass;
use std::path::{Path, PathBuf};
use tch::Tensor;
use wengu_protocol::job::JobEnd;

/// Examples padded to one length.
pub struct Batch {
    /// Token ids, I64 [b, t].
    pub ids: Tensor,
    /// 1 or true where there is a token and 0 or false where there is padding, [b, t].
    pub mask: Tensor,
}

/// Which learning rate and weight decay a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamGroup {
    /// A low-rank factor.
    Adapter,
    /// Embeddings of term tokens.
    Terms,
    /// The head's weight.
    HeadWeight,
    /// The head's bias.
    HeadBias,
}

/// A trainable layer's input and output in one forward pass, for gradients of single examples.
pub struct Tap {
    /// The LoRA site, or [`HEAD`].
    pub name: String,
    /// What the layer saw: [b, t, in], or [b, in] where it works on the pooled embedding.
    pub input: Tensor,
    /// What the layer answered, a node of the graph: [b, t, out] or [b, out].
    pub output: Tensor,
}

/// The head's name in [`Tap`] and in parameter names.
pub const HEAD: &str = "classifier";

/// The base model, frozen, with low-rank adapters and a classification head that are trained.
pub struct Model {
    pooling: Pooling,
    encoder: Encoder,
    sites: Vec<LoraSite>,
    lora: Option<LoraSettings>,
    head: Classifier,
    labels: Vec<String>,
    base_path: PathBuf,
}

/// What all sites of an adapter share.
struct LoraSettings {
    rank: u32,
    alpha: f64,
    dropout: f64,
    target_modules: Vec<String>,
}

impl Model {
    /// What the base model takes.
    pub fn limits(&self) -> ModelLimits {
        self.encoder.limits
    }

    /// Token ids are below this: the base model's vocabulary, and the term tokens beyond it.
    pub fn vocab_size(&self) -> i64 {
        let terms = self
            .encoder
            .terms
            .as_ref()
            .map_or(0, |terms| terms.first + terms.rows.size()[0]);
        self.limits().vocab_size.max(terms)
    }

    /// How token vectors become one embedding.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// The labels of the head's rows.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Logits, F32 [b, labels]. With a dropout seed: the forward pass of training, with that seed's masks.
    pub fn forward(&self, batch: &Batch, dropout: Option<u64>) -> Result<Tensor, TrainerError> {
        let pooled = {
            // Nothing below the head is trained.
            let _frozen = self.sites.is_empty().then(tch::no_grad_guard);
            self.pooled(batch, dropout, &mut None)?
        };
        self.classify(&pooled, dropout)
    }

    /// Pooled embeddings, F32 [b, hidden], without dropout.
    pub fn embed(&self, batch: &Batch) -> Result<Tensor, TrainerError> {
        self.pooled(batch, None, &mut None)
    }

    /// Logits of pooled embeddings, F32 [b, labels].
    pub fn classify(&self, pooled: &Tensor, dropout: Option<u64>) -> Result<Tensor, TrainerError> {
        self.head.forward(pooled, dropout)
    }

    /// Logits without dropout, and the input and output of each LoRA site and of the head.
    pub fn forward_tapped(&self, batch: &Batch) -> Result<(Tensor, Vec<Tap>), TrainerError> {
        let mut taps = Some(Vec::with_capacity(self.sites.len() + 1));
        let pooled = self.pooled(batch, None, &mut taps)?;
        let logits = self.classify(&pooled, None)?;
        let mut taps = taps.unwrap_or_default();
        taps.push(Tap {
            name: HEAD.into(),
            input: pooled,
            output: logits.shallow_clone(),
        });
        Ok((logits, taps))
    }

    fn pooled(&self, batch: &Batch, dropout: Option<u64>, taps: &mut Option<Vec<Tap>>) -> Result<Tensor, TrainerError> {
        self.check_batch(batch)?;
        let share = self.lora.as_ref().map_or(0.0, |lora| lora.dropout);
        let dropout = dropout.map(|seed| Dropout { seed, share });
        let mask = batch.mask.f_to_kind(tch::Kind::Float)?;
        let mut pass = Pass {
            sites: &self.sites,
            dropout,
            taps,
        };
        let hidden = self.encoder.forward(&batch.ids, &mask, &mut pass)?;
        match self.pooling {
            Pooling::Mean => Ok(pooling::mean(&hidden, &mask)?),
            Pooling::Cls => Ok(hidden.f_select(1, 0)?),
            Pooling::Last => Ok(pooling::last(&hidden, &mask)?),
            Pooling::Pooler => self.encoder.pooler(&hidden.f_select(1, 0)?, &mut pass),
        }
    }

    /// libtorch would read beyond a table or fail with a text that names no file.
    fn check_batch(&self, batch: &Batch) -> Result<(), TrainerError> {
        let bad = |message: String| Err(TrainerError::new(JobEnd::BadData, message));
        let (ids, mask) = (batch.ids.size(), batch.mask.size());
        if ids.len() != 2 || ids != mask || ids[0] == 0 || ids[1] == 0 {
            return bad(format!("a batch has ids of shape {ids:?} and a mask of shape {mask:?}"));
        }
        if ids[1] > self.limits().max_tokens {
            let limit = self.limits().max_tokens;
            return bad(format!(
                "an example has {} tokens; the base model takes {limit} at most",
                ids[1]
            ));
        }
        let (low, high) = (
            batch.ids.f_min()?.f_int64_value(&[])?,
            batch.ids.f_max()?.f_int64_value(&[])?,
        );
        if low < 0 || high >= self.vocab_size() {
            let size = self.vocab_size();
            return bad(format!(
                "token ids go from {low} to {high}; the base model's vocabulary has {size} entries"
            ));
        }
        Ok(())
    }

    /// The adapter's sites in the model's order. Empty where only the head is trained.
    pub fn adapters(&self) -> &[LoraSite] {
        &self.sites
    }

    /// The head's weight [labels, hidden] and bias [labels].
    pub fn head(&self) -> (&Tensor, &Tensor) {
        (&self.head.weight, &self.head.bias)
    }

    /// All that is trained, in an order that never changes: each site's A and B, the term tokens, then the head. The tensors share
    /// their storage with the model.
    pub fn trainable(&self) -> Vec<(String, Tensor, ParamGroup)> {
        let mut all = Vec::with_capacity(2 * self.sites.len() + 2);
        for site in &self.sites {
            all.push((
                format!("{}.lora_A.weight", site.name),
                site.a.shallow_clone(),
                ParamGroup::Adapter,
            ));
            all.push((
                format!("{}.lora_B.weight", site.name),
                site.b.shallow_clone(),
                ParamGroup::Adapter,
            ));
        }
        if let Some(terms) = &self.encoder.terms {
            let name = format!("{}.trainable_tokens", self.encoder.word_embeddings_name());
            all.push((name, terms.rows.shallow_clone(), ParamGroup::Terms));
        }
        all.push((
            format!("{HEAD}.weight"),
            self.head.weight.shallow_clone(),
            ParamGroup::HeadWeight,
        ));
        all.push((
            format!("{HEAD}.bias"),
            self.head.bias.shallow_clone(),
            ParamGroup::HeadBias,
        ));
        all
    }

    /// Writes the adapter as a PEFT directory. Nothing where only the head is trained.
    pub fn save_adapter(&self, dir: &Path) -> Result<(), TrainerError> {
        let Some(lora) = &self.lora else { return Ok(()) };
        let config = peft::AdapterConfig::lora(
            Model::adapter_task(self.pooling),
            &self.base_path,
            lora.rank,
            lora.alpha,
            lora.dropout,
            &lora.target_modules,
            &self.unused_modules(&lora.target_modules),
        );
        let terms = self.encoder.terms.as_ref();
        let config = config.with_token_rows(terms.map(terms::TermRows::ids));
        let table = self.encoder.word_embeddings_name();
        let rows = terms.map(|terms| (table, &terms.rows));
        peft::write(dir, &config, &self.sites, rows, self.head())
    }

    /// Writes the head and its labels.
    pub fn save_head(&self, dir: &Path) -> Result<(), TrainerError> {
        self.head.save(dir, &self.labels)
    }

    /// BERT's own pooler belongs to the model that classifies; embeddings of other poolings to the bare encoder.
    fn adapter_task(pooling: Pooling) -> peft::Task {
        match pooling {
            Pooling::Pooler => peft::Task::SequenceClassification,
            Pooling::Mean | Pooling::Cls | Pooling::Last => peft::Task::FeatureExtraction,
        }
    }

    /// Layers that PEFT would adapt and that take no part in this model's answer.
    fn unused_modules(&self, target_modules: &[String]) -> Vec<String> {
        let pooler = bert::POOLER_DENSE;
        let unused = self.pooling != Pooling::Pooler && lora::is_target(pooler, target_modules);
        if unused { vec![pooler.to_owned()] } else { Vec::new() }
    }
}
