//! Low-rank adapters (Hu et al. 2021) on linear layers.

use super::weights::Weights;
use super::{Product, Value, random};
use crate::error::TrainerError;
use crate::peft::{Dora, Factors, LoraSite};
use tch::{Kind, Tensor};

/// A frozen linear layer and, where it is adapted, the index of its site.
pub struct Linear {
    pub name: String,
    pub weight: Tensor,
    pub bias: Option<Tensor>,
    pub site: Option<usize>,
    /// Weight and bias are trained.
    pub is_saved: bool,
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
        let mask = random::dropout_mask(self.seed, place, &input.size(), self.share)?;
        Ok(input.f_mul(&mask.f_to_device(input.device())?.f_to_kind(input.kind())?)?)
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
pub fn fresh_site(
    layer: &Linear,
    rank: u32,
    scaling: f64,
    with_dora: bool,
    seed: u64,
) -> Result<LoraSite, TrainerError> {
    let (outputs, inputs) = layer.weight.size2()?;
    let bound = 1.0 / (inputs as f64).sqrt();
    let a = random::uniform(
        seed,
        &format!("{}.lora_A.weight", layer.name),
        &[i64::from(rank), inputs],
        bound,
    )?;
    let b = Tensor::f_zeros([outputs, i64::from(rank)], (Kind::Float, tch::Device::Cpu))?;
    Ok(LoraSite {
        name: layer.name.clone(),
        a: a.f_set_requires_grad(true)?,
        b: b.f_set_requires_grad(true)?,
        scaling,
        dora: with_dora.then(|| fresh_dora(&layer.weight)).transpose()?,
        parent: None,
    })
}

/// Magnitudes that change nothing: the lengths of the weight's own rows.
fn fresh_dora(weight: &Tensor) -> Result<Dora, TrainerError> {
    let magnitude = row_lengths(&on_processor(weight)?)?;
    Ok(Dora {
        magnitude: magnitude.f_set_requires_grad(true)?,
        base: weight.shallow_clone(),
    })
}

fn row_lengths(weight: &Tensor) -> Result<Tensor, TrainerError> {
    Ok(weight.f_norm_scalaropt_dim(2.0, [1], false)?)
}

fn on_processor(weight: &Tensor) -> Result<Tensor, TrainerError> {
    Ok(weight.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?)
}

impl LoraSite {
    /// `s B A`, and the parent's beside it, F32 [out, in].
    fn update(&self) -> Result<Tensor, TrainerError> {
        let own = self.b.f_matmul(&self.a)?.f_mul_scalar(self.scaling)?;
        match &self.parent {
            None => Ok(own),
            Some(Factors { a, b }) => Ok(own.f_add(&b.f_matmul(a)?.f_mul_scalar(self.scaling)?)?),
        }
    }

    /// What the adapter adds to the layer's weight, F32 [out, in]: `s B A`, or with DoRA `m (W + s B A) / |W + s B A| - W`.
    pub fn product(&self) -> Result<Tensor, TrainerError> {
        match &self.dora {
            None => self.update(),
            Some(dora) => self.product_on(&on_processor(&dora.base)?),
        }
    }

    /// [`LoraSite::product`] as EWC holds it: as factors, unless DoRA makes more of it than a product.
    pub fn held(&self) -> Result<Value, TrainerError> {
        if self.dora.is_some() {
            return Ok(Value::Whole(self.product()?));
        }
        let (left, right) = match &self.parent {
            None => (self.b.shallow_clone(), self.a.shallow_clone()),
            Some(Factors { a, b }) => (Tensor::f_cat(&[&self.b, b], 1)?, Tensor::f_cat(&[&self.a, a], 0)?),
        };
        let left = left.f_mul_scalar(self.scaling)?;
        Ok(Value::Product(Product { left, right }))
    }

    /// The same as [`LoraSite::product`] on a weight W, F32 [out, in].
    fn product_on(&self, base: &Tensor) -> Result<Tensor, TrainerError> {
        let update = self.update()?;
        let Some(dora) = &self.dora else { return Ok(update) };
        let moved = base.f_add(&update)?;
        let scale = dora.magnitude.f_div(&row_lengths(&moved)?)?.f_unsqueeze(1)?;
        Ok(moved.f_mul(&scale)?.f_sub(base)?)
    }
}

impl Dora {
    /// `m / |W + s B A|`, [out]. The length is a constant for the gradient (Liu et al. 2024, section 4.3).
    fn scale(&self, site: &LoraSite) -> Result<Tensor, TrainerError> {
        let lengths = {
            let _guard = tch::no_grad_guard();
            row_lengths(&on_processor(&self.base)?.f_add(&site.update()?)?)?
        };
        Ok(self.magnitude.f_div(&lengths)?)
    }
}

/// What is trained, F32 on the processor, as the layers compute: their numbers and device. Its gradient is F32 again.
pub fn as_input(trained: &Tensor, input: &Tensor) -> Result<Tensor, TrainerError> {
    Ok(trained.f_to_device(input.device())?.f_to_kind(input.kind())?)
}

/// A weight F32 [out, in] with a site's update in it: the layer computes the same without the adapter.
pub fn merged(site: &LoraSite, weight: &Tensor) -> Result<Tensor, TrainerError> {
    Ok(weight.f_add(&site.product_on(weight)?)?)
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
            is_saved: false,
        })
    }

    /// `x W' + bias`, and at a site `+ scaling * dropout(x) A' B'`, with a parent's update beside it `+ scaling * x A_p' B_p'` too.
    pub fn forward(
        &self,
        input: &Tensor,
        sites: &[LoraSite],
        dropout: Option<Dropout>,
    ) -> Result<Tensor, TrainerError> {
        if self.is_saved {
            let bias = self.bias.as_ref().map(|bias| as_input(bias, input)).transpose()?;
            return Ok(input.f_linear(&as_input(&self.weight, input)?, bias.as_ref())?);
        }
        let output = input.f_linear(&self.weight, self.bias.as_ref())?;
        let Some(site) = self.site.map(|index| &sites[index]) else {
            return Ok(output);
        };
        let seen = match dropout {
            Some(dropout) => dropout.apply(&site.name, input)?,
            None => input.shallow_clone(),
        };
        let (a, b) = (as_input(&site.a, input)?, as_input(&site.b, input)?);
        if let Some(dora) = &site.dora {
            // As peft computes it: with dropout, the base weight's part too reads what dropout left.
            let scale = as_input(&dora.scale(site)?, input)?;
            let plain = match (dropout, &self.bias) {
                (Some(dropout), _) if dropout.share > 0.0 => seen.f_linear(&self.weight, None::<&Tensor>)?,
                (_, Some(bias)) => output.f_sub(bias)?,
                (_, None) => output.shallow_clone(),
            };
            let update = seen.f_linear(&a, None::<&Tensor>)?.f_linear(&b, None::<&Tensor>)?;
            let update = update.f_mul_scalar(site.scaling)?.f_add(&plain)?.f_mul(&scale)?;
            return Ok(output.f_add(&update.f_sub(&plain)?)?);
        }
        let output = match &site.parent {
            None => output,
            // Like the frozen weight, it reads what dropout has not touched.
            Some(parent) => {
                let factors = (&as_input(&parent.a, input)?, &as_input(&parent.b, input)?);
                with_update(&output, input, factors, site.scaling)?
            }
        };
        with_update(&output, &seen, (&a, &b), site.scaling)
    }
}

/// `output + s x A' B'`.
fn with_update(
    output: &Tensor,
    input: &Tensor,
    (a, b): (&Tensor, &Tensor),
    scaling: f64,
) -> Result<Tensor, TrainerError> {
    let shape = output.size();
    let low = input.f_linear(a, None::<&Tensor>)?.f_flatten(0, -2)?;
    // One pass over the output instead of three.
    let scaled = b.f_mul_scalar(scaling)?.f_transpose(0, 1)?;
    Ok(output.f_flatten(0, -2)?.f_addmm(&low, &scaled)?.f_reshape(shape)?)
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
