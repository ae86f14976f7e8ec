//! Rows beyond the base model's table of embeddings: term tokens, or a prompt. They are the only embeddings that are trained.

use super::lora::as_input;
use crate::data::random::{Purpose, Stream};
use crate::error::TrainerError;
use tch::{Kind, Tensor};
use wengu_protocol::job::{JobEnd, TermToken};

/// Rows of ids that follow the vocabulary.
#[derive(Debug)]
pub struct TrainedRows {
    /// Id of the first.
    pub first: i64,
    /// F32 [tokens, hidden].
    pub rows: Tensor,
}

impl TrainedRows {
    /// The parent's rows, then one for each further term: the mean of its pieces' rows in `table` [vocabulary, hidden].
    /// None without terms.
    pub fn of_terms(
        terms: &[TermToken],
        parent: Option<Tensor>,
        table: &Tensor,
    ) -> Result<Option<TrainedRows>, TrainerError> {
        let Some(first) = terms.first() else { return Ok(None) };
        let known = parent.as_ref().map_or(0, |rows| rows.size()[0]) as usize;
        let mut rows: Vec<Tensor> = parent.into_iter().collect();
        for term in terms.get(known..).unwrap_or_default() {
            let pieces: Vec<i64> = term.pieces.iter().map(|&piece| i64::from(piece)).collect();
            if pieces.iter().any(|&piece| piece >= table.size()[0]) {
                let message = format!("term `{}` has pieces beyond the base model's vocabulary", term.text);
                return Err(TrainerError::new(JobEnd::BadJob, message));
            }
            let pieces = table.f_index_select(0, &Tensor::f_from_slice(&pieces)?.f_to_device(table.device())?)?;
            rows.push(pieces.f_mean_dim(0, true, Kind::Float)?.f_to_device(tch::Device::Cpu)?);
        }
        let rows = Tensor::f_cat(&rows, 0)?.f_detach()?.f_set_requires_grad(true)?;
        let first = i64::from(first.id);
        Ok(Some(TrainedRows { first, rows }))
    }

    /// A new prompt: embeddings of random entries of `table` [vocabulary, hidden], from which prompts learn better than from
    /// random numbers (Lester et al. 2021, section 3.2; PEFT's "SAMPLE_VOCAB").
    pub fn fresh_prompt(virtual_tokens: u32, table: &Tensor, seed: u64) -> Result<TrainedRows, TrainerError> {
        let mut stream = Stream::new(seed, Purpose::Prompt, 0);
        let vocabulary = table.size()[0];
        let ids: Vec<i64> = (0..virtual_tokens)
            .map(|_| stream.below(vocabulary as u64) as i64)
            .collect();
        let rows = table.f_index_select(0, &Tensor::f_from_slice(&ids)?.f_to_device(table.device())?)?;
        let rows = rows.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?;
        Ok(TrainedRows {
            first: vocabulary,
            rows: rows.f_set_requires_grad(true)?,
        })
    }

    /// Number of rows.
    pub fn count(&self) -> i64 {
        self.rows.size()[0]
    }

    /// Ids of the tokens.
    pub fn ids(&self) -> Vec<i64> {
        (self.first..self.first + self.count()).collect()
    }

    /// Embeddings of `ids` [b, t], from `table` or from these rows: [b, t, hidden].
    pub fn look_up(&self, table: &Tensor, ids: &Tensor) -> Result<Tensor, TrainerError> {
        let own = ids.f_ge(self.first)?;
        let base = Tensor::f_embedding(table, &ids.f_masked_fill(&own, 0)?, -1, false, false)?;
        let row = ids.f_sub_scalar(self.first)?.f_clamp_min(0)?;
        let trained = Tensor::f_embedding(&as_input(&self.rows, table)?, &row, -1, false, false)?;
        Ok(trained.f_where_self(&own.f_unsqueeze(-1)?, &base)?)
    }
}
