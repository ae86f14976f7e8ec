use crate::error::TrainerError;
use tch::Tensor;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// A parameter and its moments.
#[derive(Debug)]
pub struct Slot {
    /// The parameter's name.
    pub name: String,
    /// The parameter itself (shares storage with the model).
    pub parameter: Tensor,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// The parameter belongs to the head and takes the head's learning rate.
    pub head: bool,
    /// First moment.
    pub m: Tensor,
    /// Second moment.
    pub v: Tensor,
}

/// AdamW (Loshchilov and Hutter 2019), arithmetic as in `torch.optim.AdamW`.
#[derive(Debug)]
pub struct AdamW {
    slots: Vec<Slot>,
    updates: u64,
}

impl AdamW {
    /// No slot yet; add them in the order in which they are to be saved.
    pub fn new() -> AdamW {
        AdamW {
            slots: Vec::new(),
            updates: 0,
        }
    }

    /// Takes a parameter in, with moments of 0.
    pub fn add(&mut self, name: &str, parameter: &Tensor, weight_decay: f64, head: bool) -> Result<(), TrainerError> {
        self.slots.push(Slot {
            name: name.to_owned(),
            parameter: parameter.shallow_clone(),
            weight_decay,
            head,
            m: parameter.f_zeros_like()?.f_set_requires_grad(false)?,
            v: parameter.f_zeros_like()?.f_set_requires_grad(false)?,
        });
        Ok(())
    }

    /// Parameters and moments.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The parameters, in order.
    pub fn parameters(&self) -> Vec<&Tensor> {
        self.slots.iter().map(|slot| &slot.parameter).collect()
    }

    /// Updates so far: the exponent of the bias correction. Skipped steps are not updates.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Goes on after `updates` updates; the caller has filled parameters and moments.
    pub fn set_updates(&mut self, updates: u64) {
        self.updates = updates;
    }

    /// One update from the gradients that the parameters hold.
    pub fn step(&mut self, learning_rate: f64, head_learning_rate: f64) -> Result<(), TrainerError> {
        let _guard = tch::no_grad_guard();
        self.updates += 1;
        let correction1 = 1.0 - BETA1.powf(self.updates as f64);
        let correction2 = 1.0 - BETA2.powf(self.updates as f64);
        for slot in &mut self.slots {
            // An expert that no token was sent to yet has none, and after a restart has none again: it counts as zero, as it would
            // after the first step that reaches it.
            let gradient = match slot.parameter.f_grad()? {
                gradient if gradient.defined() => gradient,
                _ => slot.parameter.f_zeros_like()?,
            };
            let rate = if slot.head { head_learning_rate } else { learning_rate };
            let _ = slot.parameter.f_mul_scalar_(1.0 - rate * slot.weight_decay)?;
            let _ = slot.m.f_lerp_(&gradient, 1.0 - BETA1)?;
            let _ = slot
                .v
                .f_mul_scalar_(BETA2)?
                .f_add_(&gradient.f_square()?.f_mul_scalar(1.0 - BETA2)?)?;
            let denominator = slot
                .v
                .f_sqrt()?
                .f_div_scalar(correction2.sqrt())?
                .f_add_scalar(EPSILON)?;
            let update = slot.m.f_div(&denominator)?.f_mul_scalar(rate / correction1)?;
            let _ = slot.parameter.f_sub_(&update)?;
        }
        Ok(())
    }
}

impl Default for AdamW {
    fn default() -> AdamW {
        AdamW::new()
    }
}
