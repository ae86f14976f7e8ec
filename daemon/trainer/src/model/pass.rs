//! What goes along with one forward pass.

use super::lora::{Dropout, Linear};
use super::{LoraSite, Tap};
use crate::error::TrainerError;
use tch::Tensor;

/// What goes along with one forward pass.
pub struct Pass<'a> {
    pub sites: &'a [LoraSite],
    /// Dropout on the adapters' input. The base model's own dropout is left out: its weights do not change.
    pub dropout: Option<Dropout>,
    /// Where inputs and outputs of the sites are kept.
    pub taps: &'a mut Option<Vec<Tap>>,
}

impl Pass<'_> {
    /// A linear layer, with its site where it is adapted.
    pub fn linear(&mut self, layer: &Linear, input: &Tensor) -> Result<Tensor, TrainerError> {
        let output = layer.forward(input, self.sites, self.dropout)?;
        if let (Some(taps), Some(_)) = (self.taps.as_mut(), layer.site) {
            taps.push(Tap {
                name: layer.name.clone(),
                input: input.shallow_clone(),
                output: output.shallow_clone(),
            });
        }
        Ok(output)
    }
}
