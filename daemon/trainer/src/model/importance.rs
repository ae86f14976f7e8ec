//! What the Fisher information and EWC see of a model.

use super::Model;
use crate::error::TrainerError;
use tch::Tensor;

/// The head's name in [`Tap`] and in parameter names.
pub const HEAD: &str = "classifier";

/// What a trained layer answered in one forward pass, for gradients of single examples.
pub struct Tap {
    /// As in [`Held`]; or [`HEAD`], whose weight and bias are both trained.
    pub name: String,
    /// A node of the graph: [b, t, out], or [b, out] where the layer works on the pooled embedding.
    pub output: Tensor,
    /// What of the layer is trained.
    pub trained: Trained,
}

/// What of a tapped layer is trained. It decides how the gradient of one example follows from g, that of the output.
pub enum Trained {
    /// The weight [out, in] (of an adapter: what it adds to it): `sum_t g_t (x) a_t`, with what the layer saw, a, [b, t, in] or
    /// [b, in].
    Weight(Tensor),
    /// The weight [out, in] of a layer that reads some of the tokens: [`Trained::Weight`] over those of the example.
    Routed {
        /// What it saw, [n, in].
        input: Tensor,
        /// Which tokens these are, I64 [n], counted through [b, t].
        places: Tensor,
    },
    /// The bias [out]: `sum_t g_t`.
    Bias,
    /// Rows [count, out] of a table that was looked up: the sum of g over the places of each row.
    Rows {
        /// Which row each token is, I64 [b, t]; below 0: a frozen one.
        places: Tensor,
        /// How many there are.
        count: i64,
    },
}

/// A forward pass that is to be differentiated example by example.
pub struct Tapped {
    /// Logits without dropout.
    pub logits: Tensor,
    /// Of each adapted layer, in the model's order, and of the head.
    pub taps: Vec<Tap>,
    /// 1 where what was read is a token, [b, t]: t is that of the taps.
    pub mask: Tensor,
}

/// What EWC holds: a value that the answers follow from and that what is trained gives in one way only.
#[derive(Debug)]
pub struct Held {
    /// Its name in a Fisher file.
    pub name: String,
    /// Its value now, a node of the graph.
    pub value: Value,
    /// Whether it may have more rows than the parent's: the head, with its labels.
    pub grows: bool,
}

/// A value that EWC holds.
#[derive(Debug)]
pub enum Value {
    /// As it is.
    Whole(Tensor),
    /// What a low-rank update adds to a weight.
    Product(Product),
}

/// A weight [out, in] as the product of two factors.
#[derive(Debug)]
pub struct Product {
    /// [out, r].
    pub left: Tensor,
    /// [r, in].
    pub right: Tensor,
}

impl Product {
    /// `out * in`.
    pub fn entries(&self) -> i64 {
        self.left.size()[0] * self.right.size()[1]
    }
}

impl Held {
    /// The whole value; a product is multiplied out.
    pub fn whole(&self) -> Result<Tensor, TrainerError> {
        match &self.value {
            Value::Whole(value) => Ok(value.shallow_clone()),
            Value::Product(Product { left, right }) => Ok(left.f_matmul(right)?),
        }
    }

    /// Its shape.
    pub fn shape(&self) -> Vec<i64> {
        match &self.value {
            Value::Whole(value) => value.size(),
            Value::Product(Product { left, right }) => vec![left.size()[0], right.size()[1]],
        }
    }

    /// The factors, where it has them.
    pub fn product(&self) -> Option<&Product> {
        match &self.value {
            Value::Whole(_) => None,
            Value::Product(product) => Some(product),
        }
    }
}

/// The head's weight [labels, hidden] and bias [labels] as EWC holds them.
pub fn held_head(weight: &Tensor, bias: &Tensor) -> [Held; 2] {
    [("weight", weight), ("bias", bias)].map(|(part, tensor)| Held {
        name: format!("{HEAD}.{part}"),
        value: Value::Whole(tensor.shallow_clone()),
        grows: true,
    })
}

impl Model {
    /// What EWC holds, as it is now.
    pub fn held(&self) -> Result<Vec<Held>, TrainerError> {
        let mut all = self.adapter.held()?;
        if let Some((weight, bias)) = self.head() {
            all.extend(held_head(weight, bias));
        }
        Ok(all)
    }
}
