//! What goes along with one forward pass.

use super::adapter::{Adapter, PROMPT};
use super::bottleneck::SubLayer;
use super::lora::{Dropout, Linear};
use super::{Tap, Trained};
use crate::error::TrainerError;
use tch::{Device, Kind, Tensor};

/// What goes along with one forward pass.
pub struct Pass<'a> {
    pub adapter: &'a Adapter,
    /// What the frozen part computes in and where.
    pub computes: (Kind, Device),
    /// Dropout on the adapters' input. The base model's own dropout is left out: its weights do not change.
    pub dropout: Option<Dropout>,
    /// Where inputs and outputs of what is trained are kept.
    pub taps: &'a mut Option<Vec<Tap>>,
}

impl Pass<'_> {
    /// A linear layer, with its site where it is adapted.
    pub fn linear(&mut self, layer: &Linear, input: &Tensor) -> Result<Tensor, TrainerError> {
        self.apply(layer, input, || Trained::Weight(input.shallow_clone()))
    }

    /// The same for some of a batch's tokens, [n, in]; `places` says which, I64 [n], counted through [b, t].
    pub fn routed(&mut self, layer: &Linear, input: &Tensor, places: &Tensor) -> Result<Tensor, TrainerError> {
        self.apply(layer, input, || Trained::Routed {
            input: input.shallow_clone(),
            places: places.shallow_clone(),
        })
    }

    fn apply(&mut self, layer: &Linear, input: &Tensor, weight: impl Fn() -> Trained) -> Result<Tensor, TrainerError> {
        let output = layer.forward(input, self.adapter.sites(), self.dropout)?;
        let Some(taps) = self.taps.as_mut() else {
            return Ok(output);
        };
        let tap = |name: String, trained| Tap {
            name,
            output: output.shallow_clone(),
            trained,
        };
        if layer.is_saved {
            taps.push(tap(format!("{}.weight", layer.name), weight()));
            let bias = layer.bias.as_ref();
            taps.extend(bias.map(|_| tap(format!("{}.bias", layer.name), Trained::Bias)));
        }
        if layer.site.is_some() {
            taps.push(tap(layer.name.clone(), weight()));
        }
        Ok(output)
    }

    /// What follows a sub-layer that reads `input` and gives `said`, both [b, t, hidden]: `norm(said + input)`, with a bottleneck
    /// where one stands there.
    pub fn join(
        &mut self,
        place: (usize, SubLayer),
        said: &Tensor,
        input: &Tensor,
        norm: impl Fn(Tensor) -> Result<Tensor, TrainerError>,
    ) -> Result<Tensor, TrainerError> {
        match self.adapter.bottlenecks() {
            None => norm(said.f_add(input)?),
            Some(bottlenecks) => bottlenecks.join(place, said, input, norm, self.taps),
        }
    }

    /// Embeddings of ids [b, t], from `table` [vocabulary, hidden] and from the trained rows beyond it: [b, t, hidden].
    pub fn look_up(&mut self, table: &Tensor, ids: &Tensor) -> Result<Tensor, TrainerError> {
        let rows = self.adapter.terms().or(self.adapter.prompt());
        let Some(rows) = rows else {
            if table.requires_grad() {
                return look_up_trained(table, ids, self.computes);
            }
            return Ok(Tensor::f_embedding(table, ids, -1, false, false)?);
        };
        let output = rows.look_up(table, ids)?;
        if let (Some(taps), Some(prompt)) = (self.taps.as_mut(), self.adapter.prompt()) {
            taps.push(Tap {
                name: PROMPT.into(),
                output: output.shallow_clone(),
                trained: Trained::Rows {
                    places: ids.f_sub_scalar(prompt.first)?,
                    count: prompt.count(),
                },
            });
        }
        Ok(output)
    }
}

/// Embeddings from a table that is trained: its rows are read where it lies and sent to where the model computes.
fn look_up_trained(table: &Tensor, ids: &Tensor, (kind, device): (Kind, Device)) -> Result<Tensor, TrainerError> {
    let rows = Tensor::f_embedding(table, &ids.f_to_device(table.device())?, -1, false, false)?;
    Ok(rows.f_to_device(device)?.f_to_kind(kind)?)
}
