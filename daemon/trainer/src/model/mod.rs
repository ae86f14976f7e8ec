//! The base model with its adapters and its classification head.

mod adapter;
mod bert;
mod beside;
pub(crate) mod bottleneck;
mod classifier;
pub(crate) mod compute;
mod config;
mod decoder;
mod device;
mod encoder;
mod experts;
mod generate;
mod head;
mod importance;
mod load;
mod lora;
mod merged;
mod pass;
mod pooling;
mod prompt;
mod random;
mod recompute;
mod rows;
mod save;
mod saved;
pub(crate) mod weights;

pub use crate::peft::{Factors, LoraSite};
pub use encoder::ModelLimits;
pub use generate::{Generation, Sampling};
pub use importance::{HEAD, Held, Product, Tap, Tapped, Trained, Value, held_head};
pub use pooling::Pooling;
pub use recompute::Recompute;
pub(crate) use saved::HEADS;

use crate::error::TrainerError;
use crate::job::tensors::copy_exact;
use adapter::Adapter;
use decoder::Cache;
use encoder::Encoder;
use head::Head;
use lora::Dropout;
use pass::Pass;
use rows::TrainedRows;
use std::path::PathBuf;
use tch::Tensor;
use wengu_protocol::job::{JobEnd, Task};

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
    /// A low-rank factor, or a weight of a bottleneck.
    Adapter,
    /// A bias of a bottleneck.
    AdapterBias,
    /// Lengths of the rows of an adapted weight.
    Magnitude,
    /// Embeddings of term tokens, or of a prompt.
    Embeddings,
    /// The head's weight.
    HeadWeight,
    /// The head's bias.
    HeadBias,
}

/// The base model, frozen, with an adapter and a classification head that are trained.
pub struct Model {
    task: Task,
    pooling: Pooling,
    encoder: Encoder,
    adapter: Adapter,
    head: Head,
    labels: Vec<String>,
    base_path: PathBuf,
    /// In which numbers the frozen part computes, and where.
    computes: (tch::Kind, tch::Device),
}

impl Model {
    /// What the base model takes, beside a prompt.
    pub fn limits(&self) -> ModelLimits {
        let limits = self.encoder.limits;
        ModelLimits {
            max_tokens: limits.max_tokens - self.virtual_tokens(),
            ..limits
        }
    }

    /// Tokens of the prompt that stands before each example. They are in no batch that the model is given.
    pub fn virtual_tokens(&self) -> i64 {
        self.adapter.prompt().map_or(0, TrainedRows::count)
    }

    /// Token ids are below this: the base model's vocabulary, and the term tokens beyond it.
    pub fn vocab_size(&self) -> i64 {
        let terms = self.adapter.terms().map_or(0, |terms| terms.first + terms.count());
        self.encoder.limits.vocab_size.max(terms)
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
            let _frozen = self.adapter.is_none().then(tch::no_grad_guard);
            self.vectors(&self.placed(batch)?, dropout, &mut None)?
        };
        self.answer(&vectors, dropout)
    }

    /// The vectors that the head answers, F32 [n, hidden] on the processor, without dropout.
    pub fn embed(&self, batch: &Batch) -> Result<Tensor, TrainerError> {
        let vectors = self.vectors(&self.placed(batch)?, None, &mut None)?;
        Ok(vectors.f_to_device(tch::Device::Cpu)?.f_to_kind(tch::Kind::Float)?)
    }

    /// Logits of the vectors that the head answers, F32 [n, labels or vocabulary].
    pub fn answer(&self, vectors: &Tensor, dropout: Option<u64>) -> Result<Tensor, TrainerError> {
        self.head.forward(vectors, dropout)
    }

    /// Logits without dropout, with taps at all that is trained.
    pub fn forward_tapped(&self, batch: &Batch) -> Result<Tapped, TrainerError> {
        let batch = self.placed(batch)?;
        let mut taps = Some(Vec::new());
        let vectors = self.vectors(&batch, None, &mut taps)?;
        let logits = self.answer(&vectors, None)?;
        let mut taps = taps.unwrap_or_default();
        if self.head.trained().is_some() {
            taps.push(Tap {
                name: HEAD.into(),
                output: logits.shallow_clone(),
                trained: Trained::Weight(vectors),
            });
        }
        let mask = batch.mask;
        Ok(Tapped { logits, taps, mask })
    }

    /// Logits of the token after the last of `ids` [b, t], F32 [b, vocabulary]; the cache holds what was read before. The mask
    /// is [b, read + t]. Both are where the model computes.
    fn next_logits(&self, ids: &Tensor, mask: &Tensor, cache: &mut Cache) -> Result<Tensor, TrainerError> {
        if self.task != Task::CausalLm {
            return Err(TrainerError::new(JobEnd::BadJob, "only a causal model writes text"));
        }
        let mut taps = None;
        let mut pass = self.pass(None, &mut taps);
        let hidden = self.encoder.forward(ids, mask, Some(cache), &mut pass)?;
        self.answer(&hidden.f_select(1, -1)?, None)
    }

    /// The vectors that the head answers, from a batch in its place.
    fn vectors(
        &self,
        batch: &Batch,
        dropout: Option<u64>,
        taps: &mut Option<Vec<Tap>>,
    ) -> Result<Tensor, TrainerError> {
        let mut pass = self.pass(dropout, taps);
        let hidden = self.encoder.forward(&batch.ids, &batch.mask, None, &mut pass)?;
        self.pooled(&hidden, batch, &mut pass)
    }

    /// The batch with its prompts, where the model computes; its mask is F32.
    fn placed(&self, batch: &Batch) -> Result<Batch, TrainerError> {
        self.check_batch(batch)?;
        let prepended = self.adapter.prompt().map(|prompt| prompt::prepended(batch, prompt));
        let prepended = prepended.transpose()?;
        let batch = prepended.as_ref().unwrap_or(batch);
        // Not the table of embeddings', which is on the processor where it is trained.
        let (_, device) = self.computes;
        let items = batch.items.as_ref().map(|items| items.f_to_device(device));
        Ok(Batch {
            ids: batch.ids.f_to_device(device)?,
            mask: batch.mask.f_to_device(device)?.f_to_kind(tch::Kind::Float)?,
            items: items.transpose()?,
        })
    }

    fn pass<'a>(&'a self, dropout: Option<u64>, taps: &'a mut Option<Vec<Tap>>) -> Pass<'a> {
        let share = self.adapter.dropout();
        Pass {
            adapter: &self.adapter,
            computes: self.computes,
            dropout: dropout.map(|seed| Dropout { seed, share }),
            taps,
        }
    }

    /// The vectors that the head answers, [n, hidden], from the last layer's [b, t, hidden].
    fn pooled(&self, hidden: &Tensor, batch: &Batch, pass: &mut Pass) -> Result<Tensor, TrainerError> {
        if !self.task.is_by_text() {
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
            let beside = match self.virtual_tokens() {
                0 => String::new(),
                more => format!(" beside the prompt's {more}"),
            };
            return bad(format!(
                "an example has {} tokens; the base model takes {limit} at most{beside}",
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

    /// The sites of low-rank updates, in the model's order.
    pub fn adapters(&self) -> &[LoraSite] {
        self.adapter.sites()
    }

    /// Whether something is trained beside the head.
    pub fn has_adapter(&self) -> bool {
        !self.adapter.is_none()
    }

    /// The base model as it is, with the same head.
    pub fn without_adapter(mut self) -> Model {
        self.adapter = Adapter::None;
        self.encoder.linears().into_iter().for_each(|linear| linear.site = None);
        self
    }

    /// The trained head's weight [labels, hidden] and bias [labels]. A causal model has none.
    pub fn head(&self) -> Option<(&Tensor, &Tensor)> {
        self.head.trained()
    }

    /// Gives the head's first rows these values: weight [rows, hidden] and bias [rows].
    pub fn set_head_rows(&self, weight: &Tensor, bias: &Tensor) -> Result<(), TrainerError> {
        let internal = |why| TrainerError::new(JobEnd::Internal, format!("the head's rows: {why}"));
        let Some(head) = self.head() else {
            return Err(internal("a causal model has none".to_owned()));
        };
        let rows = weight.size()[0];
        for (part, values) in [(head.0, weight), (head.1, bias)] {
            copy_exact(&part.f_detach()?.f_narrow(0, 0, rows)?, values).map_err(internal)?;
        }
        Ok(())
    }

    /// Numbers in an answer: labels, or entries of the vocabulary.
    pub fn answer_width(&self) -> i64 {
        self.head.width()
    }

    /// All that is trained, in an order that never changes: the adapter's parts, then the head. The tensors share their storage with the
    /// model.
    pub fn trainable(&self) -> Vec<(String, Tensor, ParamGroup)> {
        let mut all = self.adapter.trainable(self.encoder.word_embeddings_name());
        if let Some((weight, bias)) = self.head() {
            let of = |part: &str| format!("{HEAD}.{part}");
            all.push((of("weight"), weight.shallow_clone(), ParamGroup::HeadWeight));
            all.push((of("bias"), bias.shallow_clone(), ParamGroup::HeadBias));
        }
        all
    }
}
