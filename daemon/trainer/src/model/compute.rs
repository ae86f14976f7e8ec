//! In which numbers, and where, the frozen part of a model computes.

use tch::{Device, Kind, Tensor};
use wengu_protocol::job::{BaseModel, JobEnd, Precision};

use super::pass::Pass;
use crate::error::TrainerError;

/// In which numbers, and where, the frozen part of a model computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compute {
    /// Of the frozen weights and of what flows between the layers.
    pub kind: Kind,
    /// Of all tensors of the model.
    pub device: Device,
    /// Whether the frozen weights are read. A model without them is right in everything but its answers: it is for merging, which
    /// reads tensor by tensor.
    pub reads_weights: bool,
}

impl Compute {
    /// F32 on the processor: what is trained, and what is read to be compared.
    pub const PLAIN: Compute = Compute {
        kind: Kind::Float,
        device: Device::Cpu,
        reads_weights: true,
    };

    /// As the job asks.
    pub fn of(base: &BaseModel) -> Result<Compute, TrainerError> {
        let kind = match base.precision {
            Precision::Fp32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        };
        let device = super::device::find(base.device).map_err(|message| TrainerError::new(JobEnd::BadJob, message))?;
        Ok(Compute {
            kind,
            device,
            reads_weights: true,
        })
    }
}

/// Queries, keys and values in the numbers that attention is fastest in. The processor's backward pass of attention in BF16
/// takes several times as long as in F32 (libtorch 2.11).
pub fn for_attention<const N: usize>(parts: [Tensor; N], pass: &Pass) -> Result<[Tensor; N], TrainerError> {
    // A pass whose values are computed again for its gradients has to compute them in the same way the first time.
    let trained = pass.dropout.is_some() || parts.iter().any(Tensor::requires_grad);
    if !trained || parts.iter().any(|part| part.device() != Device::Cpu) {
        return Ok(parts);
    }
    let wide: Result<Vec<Tensor>, _> = parts.iter().map(|part| part.f_to_kind(Kind::Float)).collect();
    // As many came out as went in.
    Ok(wide?.try_into().unwrap_or(parts))
}

/// What is added to the score of a token that may not be seen. Finite, so that a row of nothing but padding does not become
/// NaN: the least number of BF16 is a little less far from zero than that of F32.
pub fn unseen(kind: Kind) -> f64 {
    match kind {
        Kind::Float => f64::from(f32::MIN),
        _ => -3.3e38,
    }
}
