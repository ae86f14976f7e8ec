//! Keys and values of the tokens that a decoder has read already, so that each new token is read once.

use crate::error::TrainerError;
use tch::Tensor;

/// Keys and values of all layers. Belongs to one sequence of calls with the same rows.
#[derive(Default)]
pub struct Cache {
    layers: Vec<(Tensor, Tensor)>,
}

impl Cache {
    /// Tokens that were read.
    pub fn tokens(&self) -> i64 {
        self.layers.first().map_or(0, |(key, _)| key.size()[2])
    }

    /// Puts a layer's new keys and values, [b, heads, t, d], after those that it has, and gives all of them.
    pub fn extend(&mut self, layer: usize, key: Tensor, value: Tensor) -> Result<(Tensor, Tensor), TrainerError> {
        let all = match self.layers.get(layer) {
            None => (key, value),
            Some((old_key, old_value)) => (
                Tensor::f_cat(&[old_key, &key], 2)?,
                Tensor::f_cat(&[old_value, &value], 2)?,
            ),
        };
        let given = (all.0.shallow_clone(), all.1.shallow_clone());
        match self.layers.get_mut(layer) {
            None => self.layers.push(all),
            Some(held) => *held = all,
        }
        Ok(given)
    }
}
