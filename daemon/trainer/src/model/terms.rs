//! Embeddings of term tokens: the only rows of the table that are trained.

use super::lora::as_input;
use crate::error::TrainerError;
use tch::{Kind, Tensor};
use wengu_protocol::job::{JobEnd, TermToken};

/// The rows of tokens that were appended to the vocabulary.
#[derive(Debug)]
pub struct TermRows {
    /// Id of the first.
    pub first: i64,
    /// F32 [tokens, hidden].
    pub rows: Tensor,
}

impl TermRows {
    /// The parent's rows, then one for each further term: the mean of its pieces' rows in `table` [vocabulary, hidden].
    /// None without terms.
    pub fn new(terms: &[TermToken], parent: Option<Tensor>, table: &Tensor) -> Result<Option<TermRows>, TrainerError> {
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
        Ok(Some(TermRows { first, rows }))
    }

    /// Ids of the tokens.
    pub fn ids(&self) -> Vec<i64> {
        (self.first..self.first + self.rows.size()[0]).collect()
    }

    /// Embeddings of `ids` [b, t], from `table` or from these rows: [b, t, hidden].
    pub fn look_up(&self, table: &Tensor, ids: &Tensor) -> Result<Tensor, TrainerError> {
        let is_term = ids.f_ge(self.first)?;
        let base = Tensor::f_embedding(table, &ids.f_masked_fill(&is_term, 0)?, -1, false, false)?;
        let row = ids.f_sub_scalar(self.first)?.f_clamp_min(0)?;
        let terms = Tensor::f_embedding(&as_input(&self.rows, table)?, &row, -1, false, false)?;
        Ok(terms.f_where_self(&is_term.f_unsqueeze(-1)?, &base)?)
    }
}
