//! Gated feed-forward layers (Shazeer 2020, SwiGLU).

use super::super::lora::Linear;
use super::super::pass::Pass;
use super::super::weights::Weights;
use crate::error::TrainerError;
use tch::Tensor;

/// `down(silu(gate(x)) * up(x))`.
pub struct Gated {
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl Gated {
    /// Takes `name.gate_proj`, `name.up_proj` [inner, hidden] and `name.down_proj` [hidden, inner].
    pub fn load(weights: &Weights, name: &str, hidden: i64, inner: i64, bias: bool) -> Result<Gated, TrainerError> {
        let linear =
            |part: &str, inputs, outputs| Linear::load(weights, format!("{name}.{part}"), inputs, outputs, bias);
        Ok(Gated {
            gate: linear("gate_proj", hidden, inner)?,
            up: linear("up_proj", hidden, inner)?,
            down: linear("down_proj", inner, hidden)?,
        })
    }

    /// The layers that can be adapted.
    pub fn linears(&mut self) -> [&mut Linear; 3] {
        [&mut self.gate, &mut self.up, &mut self.down]
    }

    /// From [.., hidden] to [.., hidden].
    pub fn forward(&self, input: &Tensor, pass: &mut Pass) -> Result<Tensor, TrainerError> {
        self.compute(input, |layer, input| pass.linear(layer, input))
    }

    /// The same for some of a batch's tokens; see [`Pass::routed`].
    pub fn routed(&self, input: &Tensor, places: &Tensor, pass: &mut Pass) -> Result<Tensor, TrainerError> {
        self.compute(input, |layer, input| pass.routed(layer, input, places))
    }

    fn compute(
        &self,
        input: &Tensor,
        mut linear: impl FnMut(&Linear, &Tensor) -> Result<Tensor, TrainerError>,
    ) -> Result<Tensor, TrainerError> {
        let gate = linear(&self.gate, input)?.f_silu()?;
        let inner = gate.f_mul(&linear(&self.up, input)?)?;
        linear(&self.down, &inner)
    }
}
