//! Low-rank adapters (Hu et al. 2021) on linear layers.

use super::random;
use super::weights::Weights;
use crate::error::TrainerError;
use crate::peft::LoraSite;
use tch::{Kind, Tensor};

/// A frozen linear layer and, where it is adapted, the index of its site.
pub struct Linear {
    pub name: String,
    pub weight: Tensor,
    pub bias: Option<Tensor>,
    pub site: Option<usize>,
}

/// Dropout with the masks of one seed.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    pub seed: u64,
    /// Share of the values that become 0.
    pub share: f64,
}

impl Dropout {
    /// The input with some values 0 and the others scaled up; each place has masks of its own.
    pub fn apply(self, place: &str, input: &Tensor) -> Result<Tensor, TrainerError> {
        if self.share <= 0.0 {
            return Ok(input.shallow_clone());
        }
        Ok(input.f_mul(&random::dropout_mask(self.seed, place, &input.size(), self.share)?)?)
    }
}

/// PEFT's rule for a list of `target_modules`: the whole name, or its end after a dot.
pub fn is_target(module: &str, target_modules: &[String]) -> bool {
    target_modules.iter().any(|target| {
        module
            .strip_suffix(target.as_str())
            .is_some_and(|r| r.is_empty() || r.ends_with('.'))
    })
}

/// A site as a fresh adapter begins: A uniform as `kaiming_uniform(a = sqrt(5))` draws it, B zero.
pub fn fresh_site(layer: &Linear, rank: u32, scaling: f64, seed: u64) -> Result<LoraSite, TrainerError> {
    let (outputs, inputs) = layer.weight.size2()?;
    let bound = 1.0 / (inputs as f64).sqrt();
    let a = random::uniform(
        seed,
        &format!("{}.lora_A.weight", layer.name),
        &[i64::from(rank), inputs],
        bound,
    )?;
    let b = Tensor::f_zeros([outputs, i64::from(rank)], (Kind::Float, layer.weight.device()))?;
    Ok(LoraSite {
        name: layer.name.clone(),
        a: a.f_set_requires_grad(true)?,
        b: b.f_set_requires_grad(true)?,
        scaling,
    })
}

/// A site's update of its layer's weight, F32 [out, in]: `scaling * B A`.
pub fn delta(site: &LoraSite) -> Result<Tensor, TrainerError> {
    let update = site.b.f_detach()?.f_matmul(&site.a.f_detach()?)?;
    Ok(update.f_mul_scalar(site.scaling)?)
}

/// A weight [out, in] with a site's update in it: the layer computes the same without the adapter.
pub fn merged(site: &LoraSite, weight: &Tensor) -> Result<Tensor, TrainerError> {
    Ok(weight.f_add(&delta(site)?)?)
}

impl Linear {
    /// Takes `name.weight` [outputs, inputs] and, where the model has one, `name.bias` [outputs].
    pub fn load(
        weights: &Weights,
        name: String,
        inputs: i64,
        outputs: i64,
        with_bias: bool,
    ) -> Result<Linear, TrainerError> {
        let weight = weights.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = with_bias.then(|| weights.tensor(&format!("{name}.bias"), &[outputs]));
        Ok(Linear {
            bias: bias.transpose()?,
            name,
            weight,
            site: None,
        })
    }

    /// `x W' + bias`, and at a site `+ scaling * dropout(x) A' B'`.
    pub fn forward(
        &self,
        input: &Tensor,
        sites: &[LoraSite],
        dropout: Option<Dropout>,
    ) -> Result<Tensor, TrainerError> {
        let output = input.f_linear(&self.weight, self.bias.as_ref())?;
        let Some(site) = self.site.map(|index| &sites[index]) else {
            return Ok(output);
        };
        let seen = match dropout {
            Some(dropout) => dropout.apply(&site.name, input)?,
            None => input.shallow_clone(),
        };
        let update = seen
            .f_linear(&site.a, None::<&Tensor>)?
            .f_linear(&site.b, None::<&Tensor>)?;
        Ok(output.f_add(&update.f_mul_scalar(site.scaling)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_match_whole_names_or_ends_after_a_dot() {
        let targets = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        assert!(is_target("encoder.layer.0.attention.self.query", &targets(&["query"])));
        assert!(is_target(
            "encoder.layer.0.attention.self.query",
            &targets(&["self.query"])
        ));
        assert!(is_target("query", &targets(&["query"])));
        assert!(!is_target(
            "encoder.layer.0.attention.self.query",
            &targets(&["ery", "value"])
        ));
    }
}
