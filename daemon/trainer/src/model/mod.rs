//! The base model with its adapters and its classification head.

mod bert;
mod classifier;
mod compute;
mod config;
mod decoder;
mod device;
mod encoder;
mod generate;
mod head;
mod load;
mod lora;
mod merged;
mod pass;
mod pooling;
mod random;
mod recompute;
mod terms;
pub(crate) mod weights;

pub use crate::peft::LoraSite;
pub use encoder::ModelLimits;
pub use generate::{Generation, Sampling};
pub use pooling::Pooling;
pub use recompute::Recompute;

use crate::error::TrainerError;
use crate::peft;
use decoder::Cache;
use encoder::Encoder;
use head::Head;
use lora::Dropout;
use pass::Pass;
use std::path::{Path, PathBuf};
use tch::Tensor;
use wengu_protocol::job::{JobEnd, Lora, Task};

/// Examples padded to one length.
pub struct Batch {
    /// Token ids, I64 [b, t].
    pub ids: Tensor,
    /// 1 or true where there is a token and 0 or false where there is padding, [b, t]. In rows of several examples, which only
    /// decoders take, the number of the token's example, from 1 on.
    pub mask: Tensor,
    /// For tasks that answer by the token: which tokens are asked for, I64 [n], counted through [b, t]. None: all of them.
    pub items: Option<Tensor>,
}

/// Which learning rate and weight decay a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamGroup {
    /// A low-rank factor.
    Adapter,
    /// Lengths of the rows of an adapted weight.
    Magnitude,
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
    task: Task,
    pooling: Pooling,
    encoder: Encoder,
    sites: Vec<LoraSite>,
    lora: Option<Lora>,
    head: Head,
    labels: Vec<String>,
    base_path: PathBuf,
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

    /// What the model answers.
    pub fn task(&self) -> Task {
        self.task
    }

    /// Logits, F32 [n, labels or vocabulary]: one row an example, or one a token that is asked for. With a dropout seed: the
    /// forward pass of training, with that seed's masks.
    pub fn forward(&self, batch: &Batch, dropout: Option<u64>) -> Result<Tensor, TrainerError> {
        let vectors = {
            // Nothing below the head is trained.
            let _frozen = self.sites.is_empty().then(tch::no_grad_guard);
            self.vectors(batch, dropout, &mut None)?
        };
        self.answer(&vectors, dropout)
    }

    /// The vectors that the head answers, F32 [n, hidden], without dropout.
    pub fn embed(&self, batch: &Batch) -> Result<Tensor, TrainerError> {
        self.vectors(batch, None, &mut None)
    }

    /// Logits of the vectors that the head answers, F32 [n, labels or vocabulary].
    pub fn answer(&self, vectors: &Tensor, dropout: Option<u64>) -> Result<Tensor, TrainerError> {
        self.head.forward(vectors, dropout)
    }

    /// Logits without dropout, and the input and output of each LoRA site and of the head.
    pub fn forward_tapped(&self, batch: &Batch) -> Result<(Tensor, Vec<Tap>), TrainerError> {
        let mut taps = Some(Vec::with_capacity(self.sites.len() + 1));
        let vectors = self.vectors(batch, None, &mut taps)?;
        let logits = self.answer(&vectors, None)?;
        let mut taps = taps.unwrap_or_default();
        if self.head.trained().is_some() {
            taps.push(Tap {
                name: HEAD.into(),
                input: vectors,
                output: logits.shallow_clone(),
            });
        }
        Ok((logits, taps))
    }

    /// Logits of the token after the batch's last, F32 [b, vocabulary]; the cache holds what was read before. The mask is
    /// [b, read + t].
    fn next_logits(&self, batch: &Batch, mask: &Tensor, cache: &mut Cache) -> Result<Tensor, TrainerError> {
        if self.task != Task::CausalLm {
            return Err(TrainerError::new(JobEnd::BadJob, "only a causal model writes text"));
        }
        let batch = self.placed(batch)?;
        let mask = mask.f_to_device(batch.ids.device())?.f_to_kind(tch::Kind::Float)?;
        let mut taps = None;
        let mut pass = self.pass(None, &mut taps);
        let hidden = self.encoder.forward(&batch.ids, &mask, Some(cache), &mut pass)?;
        self.answer(&hidden.f_select(1, -1)?, None)
    }

    fn vectors(
        &self,
        batch: &Batch,
        dropout: Option<u64>,
        taps: &mut Option<Vec<Tap>>,
    ) -> Result<Tensor, TrainerError> {
        let batch = self.placed(batch)?;
        let mut pass = self.pass(dropout, taps);
        let hidden = self.encoder.forward(&batch.ids, &batch.mask, None, &mut pass)?;
        self.pooled(&hidden, &batch, &mut pass)
    }

    /// The batch where the model computes, its mask F32.
    fn placed(&self, batch: &Batch) -> Result<Batch, TrainerError> {
        self.check_batch(batch)?;
        let device = self.encoder.word_embeddings().device();
        let items = batch.items.as_ref().map(|items| items.f_to_device(device));
        Ok(Batch {
            ids: batch.ids.f_to_device(device)?,
            mask: batch.mask.f_to_device(device)?.f_to_kind(tch::Kind::Float)?,
            items: items.transpose()?,
        })
    }

    fn pass<'a>(&'a self, dropout: Option<u64>, taps: &'a mut Option<Vec<Tap>>) -> Pass<'a> {
        let share = self.lora.as_ref().map_or(0.0, |lora| lora.dropout);
        Pass {
            sites: &self.sites,
            dropout: dropout.map(|seed| Dropout { seed, share }),
            taps,
        }
    }

    /// The vectors that the head answers, [n, hidden], from the last layer's [b, t, hidden].
    fn pooled(&self, hidden: &Tensor, batch: &Batch, pass: &mut Pass) -> Result<Tensor, TrainerError> {
        if self.task != Task::SequenceClassification {
            let tokens = hidden.f_flatten(0, 1)?;
            return match &batch.items {
                Some(items) => Ok(tokens.f_index_select(0, items)?),
                None => Ok(tokens),
            };
        }
        if self.pooling == Pooling::Pooler {
            return self.encoder.pooler(&hidden.f_select(1, 0)?, pass);
        }
        let hidden = hidden.f_to_kind(tch::Kind::Float)?;
        match self.pooling {
            Pooling::Mean => Ok(pooling::mean(&hidden, &batch.mask)?),
            Pooling::Last => Ok(pooling::last(&hidden, &batch.mask)?),
            Pooling::Cls | Pooling::Pooler => Ok(hidden.f_select(1, 0)?),
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

    /// The trained head's weight [labels, hidden] and bias [labels]. A causal model has none.
    pub fn head(&self) -> Option<(&Tensor, &Tensor)> {
        self.head.trained()
    }

    /// Numbers in an answer: labels, or entries of the vocabulary.
    pub fn answer_width(&self) -> i64 {
        self.head.width()
    }

    /// All that is trained, in an order that never changes: each site's A, B and magnitude, the term tokens, then the head. The tensors share
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
            if let Some(dora) = &site.dora {
                let name = format!("{}.lora_magnitude_vector", site.name);
                all.push((name, dora.magnitude.shallow_clone(), ParamGroup::Magnitude));
            }
        }
        if let Some(terms) = &self.encoder.terms {
            let name = format!("{}.trainable_tokens", self.encoder.word_embeddings_name());
            all.push((name, terms.rows.shallow_clone(), ParamGroup::Terms));
        }
        if let Some((weight, bias)) = self.head() {
            let of = |part: &str| format!("{HEAD}.{part}");
            all.push((of("weight"), weight.shallow_clone(), ParamGroup::HeadWeight));
            all.push((of("bias"), bias.shallow_clone(), ParamGroup::HeadBias));
        }
        all
    }

    /// Writes the adapter as a PEFT directory. Nothing where only the head is trained.
    pub fn save_adapter(&self, dir: &Path) -> Result<(), TrainerError> {
        let Some(lora) = &self.lora else { return Ok(()) };
        let config = peft::AdapterConfig::lora(
            Model::adapter_task(self.task, self.pooling),
            &self.base_path,
            lora,
            &self.unused_modules(&lora.target_modules),
        );
        let terms = self.encoder.terms.as_ref();
        let config = config.with_token_rows(terms.map(terms::TermRows::ids));
        let table = self.encoder.word_embeddings_name();
        let rows = terms.map(|terms| (table, &terms.rows));
        let keys = peft::Keys::new(config.task_type, self.encoder.prefix());
        peft::write(dir, &config, keys, &self.sites, rows, self.head())
    }

    /// Writes the head and its labels, where there is one that was trained.
    pub fn save_head(&self, dir: &Path) -> Result<(), TrainerError> {
        match &self.head {
            Head::Classifier(classifier) => classifier.save(dir, &self.labels),
            Head::Language(_) => Ok(()),
        }
    }

    /// BERT's own pooler belongs to the model that classifies; embeddings of other poolings to the bare encoder.
    fn adapter_task(task: Task, pooling: Pooling) -> peft::Task {
        match (task, pooling) {
            (Task::TokenClassification, _) => peft::Task::TokenClassification,
            (Task::CausalLm, _) => peft::Task::CausalLm,
            (Task::SequenceClassification, Pooling::Pooler) => peft::Task::SequenceClassification,
            (Task::SequenceClassification, _) => peft::Task::FeatureExtraction,
        }
    }

    /// Layers that PEFT would adapt and that take no part in this model's answer.
    fn unused_modules(&self, target_modules: &[String]) -> Vec<String> {
        let pooler = bert::POOLER_DENSE;
        let loaded = self.task == Task::SequenceClassification;
        let unused = loaded && self.pooling != Pooling::Pooler && lora::is_target(pooler, target_modules);
        if unused { vec![pooler.to_owned()] } else { Vec::new() }
    }
}
