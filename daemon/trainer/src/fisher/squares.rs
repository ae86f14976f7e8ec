//! Squared gradients of single examples, and their mean.

use crate::error::TrainerError;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};
use wengu_protocol::job::JobEnd;

/// Squared gradients of what is trained at one place, summed over examples.
#[derive(Debug)]
pub enum Squares {
    /// Of each of its numbers, in its shape.
    Diagonal(Tensor),
    /// Of a weight [out, in].
    Factored {
        /// Their sums over a row, [out].
        rows: Tensor,
        /// Their sums over a column, [in].
        columns: Tensor,
    },
}

impl Squares {
    /// Those of each number, where they are kept.
    pub fn diagonal(&self) -> Option<&Tensor> {
        match self {
            Squares::Diagonal(all) => Some(all),
            Squares::Factored { .. } => None,
        }
    }

    fn map(&self, of: impl Fn(&Tensor) -> Result<Tensor, TrainerError>) -> Result<Squares, TrainerError> {
        Ok(match self {
            Squares::Diagonal(all) => Squares::Diagonal(of(all)?),
            Squares::Factored { rows, columns } => Squares::Factored {
                rows: of(rows)?,
                columns: of(columns)?,
            },
        })
    }

    /// Adds others of the same place, in place.
    pub(super) fn add(&self, others: &Squares) -> Result<(), TrainerError> {
        let add = |sum: &Tensor, other: &Tensor| sum.shallow_clone().f_add_(other).map(drop);
        match (self, others) {
            (Squares::Diagonal(sum), Squares::Diagonal(other)) => add(sum, other)?,
            (
                Squares::Factored { rows, columns },
                Squares::Factored {
                    rows: other_rows,
                    columns: other_columns,
                },
            ) => {
                add(rows, other_rows)?;
                add(columns, other_columns)?;
            }
            _ => {
                return Err(TrainerError::new(
                    JobEnd::Internal,
                    "one weight has squares of two forms",
                ));
            }
        }
        Ok(())
    }
}

/// Sums of squared gradients of single examples, and how many answers these have.
#[derive(Debug, Default)]
pub struct Estimate {
    sums: BTreeMap<String, Squares>,
    answers: u64,
}

impl Estimate {
    /// Takes in one batch, whose loss is a mean over so many answers: of examples, of tokens, or of an example's labels. Sums are float64:
    /// thousands of squares of very different size.
    pub fn add(&mut self, squares: Vec<(String, Squares)>, answers: usize) -> Result<(), TrainerError> {
        let _guard = tch::no_grad_guard();
        for (name, square) in squares {
            let square = square.map(|part| Ok(part.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Double)?))?;
            match self.sums.get(&name) {
                Some(sum) => sum.add(&square)?,
                None => {
                    self.sums.insert(name, square);
                }
            }
        }
        self.answers += answers as u64;
        Ok(())
    }

    /// Mean over the answers, by name. The loss beside the penalty is such a mean too; one over examples would hold those of many tokens as
    /// many times more firmly.
    pub fn mean(&self) -> Result<BTreeMap<String, Squares>, TrainerError> {
        let n = self.answers.max(1) as f64;
        let mean = |(name, sum): (&String, &Squares)| Ok((name.clone(), sum.map(|part| Ok(part.f_div_scalar(n)?))?));
        self.sums.iter().map(mean).collect()
    }
}
