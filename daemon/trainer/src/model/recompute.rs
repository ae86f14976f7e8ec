//! Gradient checkpointing (Chen et al. 2016): of a forward pass only each layer's input is kept, and the backward pass computes
//! the layer again. Dropout's masks follow from their seed, so that the second time gives the same numbers, and the gradients
//! are those of a plain pass, bit for bit in F32.

use super::encoder::Shared;
use super::{Batch, Model};
use crate::error::TrainerError;
use tch::Tensor;

/// What a forward pass left for [`Recompute::backward`].
pub struct Recompute<'a> {
    model: &'a Model,
    dropout: u64,
    shared: Shared,
    /// What the first layer read, a node of the graph where embeddings are trained.
    begun: Tensor,
    /// Each layer's input, without a graph.
    inputs: Vec<Tensor>,
    /// The last layer's output: a leaf, whose gradient the loss leaves here.
    last: Tensor,
}

impl Model {
    /// Logits as [`Model::forward`] gives them in training. After the loss's own backward pass, [`Recompute::backward`] has to
    /// follow; together they add the same gradients.
    pub fn forward_sparing(&self, batch: &Batch, dropout: u64) -> Result<(Tensor, Recompute<'_>), TrainerError> {
        let batch = self.placed(batch)?;
        let mut taps = None;
        let mut pass = self.pass(Some(dropout), &mut taps);
        let (begun, shared) = self.encoder.begin(&batch.ids, &batch.mask, 0, &mut pass)?;
        let mut inputs = Vec::with_capacity(self.encoder.layers());
        let mut hidden = begun.f_detach()?;
        {
            let _guard = tch::no_grad_guard();
            for index in 0..self.encoder.layers() {
                let output = self.encoder.layer(index, &hidden, &shared, None, &mut pass)?;
                inputs.push(std::mem::replace(&mut hidden, output));
            }
        }
        let last = hidden.f_set_requires_grad(true)?;
        let vectors = self.pooled(&self.encoder.finish(&last)?, &batch, &mut pass)?;
        let logits = self.answer(&vectors, Some(dropout))?;
        let model = self;
        let kept = Recompute {
            model,
            dropout,
            shared,
            begun,
            inputs,
            last,
        };
        Ok((logits, kept))
    }
}

impl Recompute<'_> {
    /// Goes back through the layers, after the loss has.
    pub fn backward(self) -> Result<(), TrainerError> {
        let mut taps = None;
        let mut pass = self.model.pass(Some(self.dropout), &mut taps);
        let mut gradient = self.last.f_grad()?;
        let trained_below = self.trained_below();
        for (index, input) in self.inputs.into_iter().enumerate().rev() {
            let input = input.f_set_requires_grad(trained_below[index])?;
            let output = self.model.encoder.layer(index, &input, &self.shared, None, &mut pass)?;
            if !output.requires_grad() {
                return Ok(());
            }
            push_back(&output, &gradient)?;
            if !trained_below[index] {
                return Ok(());
            }
            gradient = input.f_grad()?;
        }
        match self.begun.requires_grad() {
            true => push_back(&self.begun, &gradient),
            false => Ok(()),
        }
    }

    /// Whether something that is trained takes part in each layer's input.
    fn trained_below(&self) -> Vec<bool> {
        let mut below = self.begun.requires_grad();
        let layers = self.inputs.len();
        (0..layers)
            .map(|index| {
                let now = below;
                let prefix = self.model.encoder.layer_prefix(index);
                below |= self.model.adapter.trains_in(&prefix);
                now
            })
            .collect()
    }
}

/// Adds the gradients of what `output` was computed from, where its own is given: tch's backward pass begins at a single
/// number, and that of `sum(output * gradient)` multiplies `gradient` by 1.
fn push_back(output: &Tensor, gradient: &Tensor) -> Result<(), TrainerError> {
    let sum = output.f_mul(&gradient.f_detach()?)?.f_sum(None::<tch::Kind>)?;
    Ok(sum.f_backward()?)
}
