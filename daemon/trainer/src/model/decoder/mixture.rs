//! Mixture of experts: each token is read by a few feed-forward layers that a router chooses, and by the shared ones.

use super::super::lora::Linear;
use super::super::pass::Pass;
use super::super::weights::Weights;
use super::deepseek::{DeepSeek, Routing};
use super::gated::Gated;
use crate::error::TrainerError;
use tch::{Kind, Tensor};

/// One layer's experts.
pub struct Mixture {
    router: Router,
    experts: Vec<Gated>,
    shared: Option<Gated>,
}

struct Router {
    /// F32 [experts, hidden].
    weight: Tensor,
    /// F32 [experts]: takes part in the choice and not in the weights.
    correction: Option<Tensor>,
    shape: DeepSeek,
}

impl Mixture {
    /// Takes the tensors below `name`.
    pub fn load(
        weights: &Weights,
        name: &str,
        hidden: i64,
        bias: bool,
        shape: &DeepSeek,
    ) -> Result<Mixture, TrainerError> {
        let (count, inner) = (shape.n_routed_experts, shape.moe_intermediate_size);
        let expert = |index: i64| {
            let name = format!("{name}.experts.{index}");
            Gated::load(weights, &name, hidden, inner, false)
        };
        let correction = match shape.routing() {
            Routing::Sigmoid => Some(weights.precise(&format!("{name}.gate.e_score_correction_bias"), &[count])?),
            Routing::Softmax | Routing::SoftmaxInGroups => None,
        };
        let shared = match shape.n_shared_experts {
            0 => None,
            n => Some(Gated::load(
                weights,
                &format!("{name}.shared_experts"),
                hidden,
                n * inner,
                bias,
            )?),
        };
        Ok(Mixture {
            router: Router {
                weight: weights.precise(&format!("{name}.gate.weight"), &[count, hidden])?,
                correction,
                shape: shape.clone(),
            },
            experts: (0..count).map(expert).collect::<Result<_, TrainerError>>()?,
            shared,
        })
    }

    /// The layers of the routed experts.
    pub fn linears(&mut self) -> impl Iterator<Item = &mut Linear> {
        self.experts.iter_mut().flat_map(Gated::linears)
    }

    /// From [b, t, hidden] to [b, t, hidden].
    pub fn forward(&self, input: &Tensor, pass: &mut Pass) -> Result<Tensor, TrainerError> {
        let tokens = input.f_flatten(0, -2)?;
        let (weights, chosen) = self.router.choose(&tokens)?;
        let each = chosen.size()[1];
        let chosen = Vec::<i64>::try_from(chosen.f_flatten(0, -1)?)?;
        let mut places = vec![Vec::new(); self.experts.len()];
        for (place, expert) in chosen.into_iter().enumerate() {
            places[expert as usize].push(place as i64);
        }
        let weights = weights.f_flatten(0, -1)?;
        let mut sum = tokens.f_zeros_like()?;
        for (expert, places) in self.experts.iter().zip(places).filter(|(_, places)| !places.is_empty()) {
            let rows: Vec<i64> = places.iter().map(|place| place / each).collect();
            let index = |numbers: &[i64]| Tensor::f_from_slice(numbers)?.f_to_device(tokens.device());
            let (places, rows) = (index(&places)?, index(&rows)?);
            let seen = tokens.f_index_select(0, &rows)?;
            let said = expert.routed(&seen, &rows, pass)?;
            let weight = weights.f_index_select(0, &places)?.f_unsqueeze(1)?;
            sum = sum.f_index_add(0, &rows, &said.f_mul(&weight)?.f_to_kind(tokens.kind())?)?;
        }
        let sum = sum.f_reshape(input.size())?;
        match &self.shared {
            None => Ok(sum),
            Some(shared) => Ok(sum.f_add(&shared.forward(input, pass)?)?),
        }
    }
}

impl Router {
    /// Weights, F32 [n, k], and experts, I64 [n, k], of tokens [n, hidden]. Arithmetic as in transformers 5.23, where
    /// implementations differ.
    fn choose(&self, tokens: &Tensor) -> Result<(Tensor, Tensor), TrainerError> {
        let shape = &self.shape;
        let logits = tokens.f_to_kind(Kind::Float)?.f_linear(&self.weight, None::<&Tensor>)?;
        let best = |scores: &Tensor| scores.f_topk(shape.num_experts_per_tok, -1, true, true);
        let (weights, chosen) = match (shape.routing(), &self.correction) {
            (Routing::Softmax, _) => best(&logits.f_softmax(-1, Kind::Float)?)?,
            (Routing::SoftmaxInGroups, _) => {
                let scores = logits.f_softmax(-1, Kind::Float)?;
                let of_groups = self.grouped(&scores)?.f_amax([-1], false)?;
                best(&self.in_best_groups(&scores, &of_groups, 0.0)?)?
            }
            (Routing::Sigmoid, correction) => {
                let scores = logits.f_sigmoid()?;
                let for_choice = match correction {
                    Some(correction) => scores.f_add(correction)?,
                    None => scores.shallow_clone(),
                };
                let (two, _) = self.grouped(&for_choice)?.f_topk(2, -1, true, true)?;
                let of_groups = two.f_sum_dim_intlist(-1, false, None::<Kind>)?;
                let (_, chosen) = best(&self.in_best_groups(&for_choice, &of_groups, f64::NEG_INFINITY)?)?;
                let mut weights = scores.f_gather(1, &chosen, false)?;
                if shape.norm_topk_prob {
                    let sum = weights.f_sum_dim_intlist(-1, true, None::<Kind>)?;
                    weights = weights.f_div(&sum.f_add_scalar(1e-20)?)?;
                }
                (weights, chosen)
            }
        };
        Ok((weights.f_mul_scalar(shape.routed_scaling_factor)?, chosen))
    }

    /// [n, experts] as [n, groups, experts of a group].
    fn grouped(&self, scores: &Tensor) -> Result<Tensor, TrainerError> {
        Ok(scores.f_reshape([scores.size()[0], self.shape.groups(), -1])?)
    }

    /// The scores, with `other` for the experts of all but the best groups.
    fn in_best_groups(&self, scores: &Tensor, of_groups: &Tensor, other: f64) -> Result<Tensor, TrainerError> {
        let (_, best) = of_groups.f_topk(self.shape.best_groups(), -1, true, true)?;
        let open = of_groups
            .f_zeros_like()?
            .f_scatter_value(1, &best, 1.0)?
            .f_unsqueeze(2)?;
        let grouped = self.grouped(scores)?;
        let closed = open.f_expand_as(&grouped)?.f_eq(0.0)?;
        Ok(grouped.f_masked_fill(&closed, other)?.f_reshape(scores.size())?)
    }
}
