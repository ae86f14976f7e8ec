//! Bottleneck adapters (Houlsby et al. 2019; Pfeiffer et al. 2020): two small layers with a non-linearity between them, behind what a
//! sub-layer of the base model gives. Where they stand and what they read is that of AdapterHub's `adapters` library.

use super::encoder::Encoder;
use super::importance::{Held, Tap, Trained, Value};
use super::lora::as_input;
use super::{ParamGroup, random};
use crate::error::TrainerError;
use tch::{Device, Kind, Tensor};
use wengu_protocol::job::{BOTTLENECK_FAMILIES, Bottleneck, JobEnd, NonLinearity, Placement};

/// Name of the adapter in its file and in the names of its parameters.
pub const ADAPTER_NAME: &str = "wengu";
/// Of fresh weights, as BERT's own (`init_weights = "bert"`).
const DEVIATION: f64 = 0.02;

/// What an adapter stands behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubLayer {
    /// The attention.
    Attention,
    /// The feed-forward layer.
    FeedForward,
}

/// A place of an adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub layer: usize,
    pub sub_layer: SubLayer,
    /// Path of the module that has it in the encoder, as `encoder.layer.0.output`.
    pub module: String,
}

/// A linear layer that is trained, F32.
pub struct Affine {
    /// As in the file, below the model's prefix; `.weight` and `.bias` follow.
    pub name: String,
    /// [out, in].
    pub weight: Tensor,
    /// [out].
    pub bias: Tensor,
}

/// One adapter: to the small width, and back.
pub struct BottleneckSite {
    pub place: Place,
    /// [width, hidden].
    pub down: Affine,
    /// [hidden, width].
    pub up: Affine,
}

/// All adapters of a model.
pub struct Bottlenecks {
    pub settings: Bottleneck,
    pub sites: Vec<BottleneckSite>,
}

/// Where the encoder gets adapters, in its order.
pub fn places(encoder: &Encoder, placement: Placement) -> Result<Vec<Place>, TrainerError> {
    let family = &encoder.model_type;
    if !BOTTLENECK_FAMILIES.contains(&family.as_str()) {
        let message = format!(
            "bottleneck adapters have a place in {} only, and the base model is \"{family}\"; take another method",
            BOTTLENECK_FAMILIES.join(", ")
        );
        return Err(TrainerError::new(JobEnd::BadJob, message));
    }
    let of_layer: &[SubLayer] = match placement {
        Placement::SeqBn => &[SubLayer::FeedForward],
        Placement::DoubleSeqBn => &[SubLayer::Attention, SubLayer::FeedForward],
    };
    let of = |layer| {
        let place = move |&sub_layer| Place {
            layer,
            sub_layer,
            module: encoder.bottleneck_module(layer, sub_layer),
        };
        of_layer.iter().map(place)
    };
    Ok((0..encoder.layers()).flat_map(of).collect())
}

impl Affine {
    /// The name of one of a place's two layers.
    pub fn name(place: &Place, adapter_name: &str, part: &str) -> String {
        format!("{}.adapters.{adapter_name}.{part}", place.module)
    }

    fn fresh(name: String, outputs: i64, inputs: i64, seed: u64) -> Result<Affine, TrainerError> {
        let weight = random::normal(seed, &format!("{name}.weight"), &[outputs, inputs], DEVIATION)?;
        let bias = Tensor::f_zeros([outputs], (Kind::Float, Device::Cpu))?;
        Ok(Affine {
            name,
            weight: weight.f_set_requires_grad(true)?,
            bias: bias.f_set_requires_grad(true)?,
        })
    }

    /// `x W' + b`, with taps at both.
    fn forward(&self, input: &Tensor, taps: &mut Option<Vec<Tap>>) -> Result<Tensor, TrainerError> {
        let (weight, bias) = (as_input(&self.weight, input)?, as_input(&self.bias, input)?);
        let output = input.f_linear(&weight, Some(&bias))?;
        if let Some(taps) = taps {
            let mut tap = |part: &str, trained| {
                taps.push(Tap {
                    name: format!("{}.{part}", self.name),
                    output: output.shallow_clone(),
                    trained,
                });
            };
            tap("weight", Trained::Weight(input.shallow_clone()));
            tap("bias", Trained::Bias);
        }
        Ok(output)
    }
}

impl BottleneckSite {
    /// A new one: small, random, and so close to doing nothing.
    pub fn fresh(place: Place, hidden: i64, width: i64, seed: u64) -> Result<BottleneckSite, TrainerError> {
        let name = |part| Affine::name(&place, ADAPTER_NAME, part);
        let down = Affine::fresh(name("adapter_down.0"), width, hidden, seed)?;
        let up = Affine::fresh(name("adapter_up"), hidden, width, seed)?;
        Ok(BottleneckSite { place, down, up })
    }

    /// Its layers in order.
    pub fn layers(&self) -> [&Affine; 2] {
        [&self.down, &self.up]
    }
}

impl Bottlenecks {
    /// The adapter behind a sub-layer.
    fn at(&self, layer: usize, sub_layer: SubLayer) -> Option<&BottleneckSite> {
        let here = |site: &&BottleneckSite| site.place.layer == layer && site.place.sub_layer == sub_layer;
        self.sites.iter().find(here)
    }

    /// What follows a sub-layer that reads `input` and gives `said`, both [b, t, hidden]: `norm(said + input)`, and with an adapter
    /// `norm(said + up(f(down(seen))) + input)`, where seen is `said` (Houlsby) or `norm(said + input)` (Pfeiffer).
    pub fn join(
        &self,
        (layer, sub_layer): (usize, SubLayer),
        said: &Tensor,
        input: &Tensor,
        norm: impl Fn(Tensor) -> Result<Tensor, TrainerError>,
        taps: &mut Option<Vec<Tap>>,
    ) -> Result<Tensor, TrainerError> {
        let Some(site) = self.at(layer, sub_layer) else {
            return norm(said.f_add(input)?);
        };
        let seen = match self.settings.placement {
            Placement::SeqBn => norm(said.f_add(input)?)?,
            Placement::DoubleSeqBn => said.shallow_clone(),
        };
        let small = non_linear(self.settings.non_linearity, &site.down.forward(&seen, taps)?)?;
        let up = site.up.forward(&small, taps)?;
        norm(up.f_add(said)?.f_add(input)?)
    }

    fn affine(&self) -> impl Iterator<Item = &Affine> {
        self.sites.iter().flat_map(BottleneckSite::layers)
    }

    /// Its parameters in an order that never changes.
    pub fn trainable(&self) -> Vec<(String, Tensor, ParamGroup)> {
        let of = |layer: &Affine| {
            let name = |part: &str| format!("{}.{part}", layer.name);
            [
                (name("weight"), layer.weight.shallow_clone(), ParamGroup::Adapter),
                (name("bias"), layer.bias.shallow_clone(), ParamGroup::AdapterBias),
            ]
        };
        self.affine().flat_map(of).collect()
    }

    /// What EWC holds: weights and biases themselves, since the non-linearity between them leaves no other way to write the same.
    pub fn held(&self) -> Vec<Held> {
        let of = |(name, value, _)| Held {
            name,
            value: Value::Whole(value),
            grows: false,
        };
        self.trainable().into_iter().map(of).collect()
    }
}

fn non_linear(kind: NonLinearity, input: &Tensor) -> Result<Tensor, TrainerError> {
    Ok(match kind {
        NonLinearity::Relu => input.f_relu()?,
        NonLinearity::Swish => input.f_silu()?,
        NonLinearity::Gelu => input.f_gelu("none")?,
        NonLinearity::GeluNew => input.f_gelu("tanh")?,
        NonLinearity::Tanh => input.f_tanh()?,
    })
}
