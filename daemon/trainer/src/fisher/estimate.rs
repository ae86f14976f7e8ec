use super::factored::sums_of_examples;
use super::{HEAD_BIAS, HEAD_WEIGHT, Squares};
use crate::error::TrainerError;
use crate::model::{HEAD, Tap, Tapped, Trained};
use crate::objective::log_likelihood;
use std::collections::BTreeSet;
use tch::{Kind, Tensor};
use wengu_protocol::job::JobEnd;

/// Which labels the gradients of `log p(label | example)` are taken for.
#[derive(Debug)]
pub enum Labels {
    /// Every label, weighted by the model's own probability of it.
    Expected,
    /// One label an example, I64 [b].
    Given(Tensor),
    /// Of examples with any number of labels: both outcomes of every label, weighted by the model's own probability of each. As the
    /// labels are independent, the Fisher is the sum of theirs.
    EveryOutcome,
    /// For each label whether it applies, [b, labels].
    Outcomes(Tensor),
}

/// What the rows of the logits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// One an example.
    Examples,
    /// Tokens of one example, whose `log p` is the sum of theirs.
    TokensOfOneExample,
}

/// Sum over the examples of the squared gradient of `log p(label | example)` with respect to what is trained at each tap (for a
/// low-rank update: the product that it adds), and to the head's weight and bias.
///
/// The gradient of one example (see [`Trained`]) is squared only after the sum over tokens, and summed over examples only after
/// the square. Of the layers in `factored` only row and column sums are taken.
pub fn squared_gradients(
    Tapped { logits, taps, mask }: &Tapped,
    labels: &Labels,
    rows: Rows,
    factored: &BTreeSet<String>,
) -> Result<Vec<(String, Squares)>, TrainerError> {
    let log_p = logits.f_log_softmax(1, None::<Kind>)?;
    let p = match labels {
        Labels::Expected | Labels::Given(_) => log_p.f_detach()?.f_exp()?,
        Labels::EveryOutcome | Labels::Outcomes(_) => logits.f_detach()?.f_sigmoid()?,
    };
    // Of a label that applies with the probability p, or of one that is drawn: E[(y - p)^2].
    let spread = || p.f_mul(&p.f_neg()?.f_add_scalar(1.0)?);
    let (head, layers): (Vec<&Tap>, Vec<&Tap>) = taps.iter().partition(|tap| tap.name == HEAD);
    let mut squares: Vec<(String, Squares)> = Vec::new();
    let layers = Layers { layers, mask, factored };
    match labels {
        Labels::Expected => {
            let classes = logits.size()[1];
            for class in 0..classes {
                let last = class + 1 == classes;
                let target = log_p.f_select(1, class)?.f_sum(None::<Kind>)?;
                let weights = p.f_select(1, class)?;
                layers.add(&mut squares, &target, Some(&weights), !last)?;
            }
        }
        Labels::Given(labels) => {
            let labels = labels.f_to_device(logits.device())?.f_unsqueeze(1)?;
            let target = log_p.f_gather(1, &labels, false)?.f_sum(None::<Kind>)?;
            layers.add(&mut squares, &target, None, false)?;
        }
        Labels::EveryOutcome => {
            // The gradient of log p(y) is (y - p) times that of the logit.
            let (classes, spread) = (logits.size()[1], spread()?);
            for class in 0..classes {
                let last = class + 1 == classes;
                let target = logits.f_select(1, class)?.f_sum(None::<Kind>)?;
                let weights = spread.f_select(1, class)?;
                layers.add(&mut squares, &target, Some(&weights), !last)?;
            }
        }
        Labels::Outcomes(outcomes) => {
            let outcomes = outcomes.f_to_device(logits.device())?.f_to_kind(logits.f_kind()?)?;
            let target = log_likelihood(logits, &outcomes)?.f_sum(None::<Kind>)?;
            layers.add(&mut squares, &target, None, false)?;
        }
    }
    let _guard = tch::no_grad_guard();
    for tap in head {
        // The gradient of the logits is known: onehot(label) - p; over the model's own labels its square is p (1 - p).
        let Trained::Weight(input) = &tap.trained else {
            return Err(TrainerError::new(JobEnd::Internal, "the head's input was not tapped"));
        };
        // The head answers on the processor, whatever its vectors were computed on.
        let input = input.f_detach()?.f_to_device(p.device())?;
        let slope = |labels: &Tensor| labels.f_one_hot(p.size()[1])?.f_to_kind(p.f_kind()?)?.f_sub(&p);
        let (weight, bias) = match (labels, rows) {
            (Labels::Given(labels), Rows::TokensOfOneExample) => {
                let slope = slope(labels)?;
                let weight = slope.f_transpose(0, 1)?.f_matmul(&input)?;
                let bias = slope.f_sum_dim_intlist(0, false, None::<Kind>)?;
                (weight.f_square()?, bias.f_square()?)
            }
            _ => {
                let square = match labels {
                    Labels::Expected | Labels::EveryOutcome => spread()?,
                    Labels::Given(labels) => slope(labels)?.f_square()?,
                    Labels::Outcomes(outcomes) => outcomes.f_to_kind(p.f_kind()?)?.f_sub(&p)?.f_square()?,
                };
                let weight = square.f_transpose(0, 1)?.f_matmul(&input.f_square()?)?;
                (weight, square.f_sum_dim_intlist(0, false, None::<Kind>)?)
            }
        };
        squares.push((HEAD_WEIGHT.into(), Squares::Diagonal(weight)));
        squares.push((HEAD_BIAS.into(), Squares::Diagonal(bias)));
    }
    Ok(squares)
}

/// Sums of squares need the digits that BF16 does not have.
fn widened(tensor: &Tensor) -> Result<Tensor, TrainerError> {
    match tensor.kind() {
        Kind::BFloat16 => Ok(tensor.f_to_kind(Kind::Float)?),
        _ => Ok(tensor.shallow_clone()),
    }
}

/// The shape in which one number an example multiplies all of its own, [b, ..].
fn by_example(square: &Tensor) -> Vec<i64> {
    let mut shape = vec![1; square.dim()];
    shape[0] = -1;
    shape
}

/// The gradient of each example of the batch, [b, ..], from that of the output. A tensor of its own, never the output's.
fn of_examples(trained: &Trained, gradient: &Tensor, mask: &Tensor) -> Result<Tensor, TrainerError> {
    match trained {
        Trained::Weight(input) if input.dim() == 2 => {
            let input = widened(&input.f_detach()?)?;
            Ok(gradient.f_unsqueeze(2)?.f_mul(&input.f_unsqueeze(1)?)?)
        }
        Trained::Weight(input) => {
            let mask = mask
                .f_to_device(gradient.device())?
                .f_to_kind(gradient.kind())?
                .f_unsqueeze(2)?;
            let input = widened(&input.f_detach()?)?;
            Ok(gradient.f_mul(&mask)?.f_transpose(1, 2)?.f_matmul(&input)?)
        }
        Trained::Routed { input, places } => {
            // [b, n]: 1 where the token is the example's, and no padding.
            let (examples, tokens) = mask.size2()?;
            let mask = mask.f_to_device(gradient.device())?.f_to_kind(gradient.kind())?;
            let seen = mask.f_flatten(0, 1)?.f_index_select(0, places)?;
            let numbers = Tensor::f_arange(examples, (Kind::Int64, places.device()))?.f_unsqueeze(1)?;
            let own = places
                .f_floor_divide_scalar(tokens)?
                .f_unsqueeze(0)?
                .f_eq_tensor(&numbers)?;
            let own = own.f_to_kind(gradient.kind())?.f_mul(&seen)?;
            let input = widened(&input.f_detach()?)?;
            let of_each = own.f_unsqueeze(2)?.f_mul(&gradient.f_unsqueeze(0)?)?;
            Ok(of_each.f_transpose(1, 2)?.f_matmul(&input)?)
        }
        // Of a layer that reads one vector an example.
        Trained::Bias if gradient.dim() == 2 => Ok(gradient.f_alias_copy()?),
        Trained::Bias => {
            let mask = mask.f_to_device(gradient.device())?.f_to_kind(gradient.kind())?;
            let sum = mask.f_unsqueeze(1)?.f_matmul(gradient)?;
            Ok(sum.f_squeeze_dim(1)?)
        }
        Trained::Rows { places, count } => {
            // [b, count, t]: 1 where the token is the row.
            let rows = Tensor::f_arange(*count, (Kind::Int64, places.device()))?.f_reshape([1, -1, 1])?;
            let looked_up = places.f_unsqueeze(1)?.f_eq_tensor(&rows)?.f_to_kind(gradient.kind())?;
            Ok(looked_up.f_matmul(gradient)?)
        }
    }
}

/// The layers below the head.
struct Layers<'a> {
    layers: Vec<&'a Tap>,
    mask: &'a Tensor,
    factored: &'a BTreeSet<String>,
}

impl Layers<'_> {
    /// Adds what one backward pass says about them, weighted by `weights` [b].
    fn add(
        &self,
        squares: &mut Vec<(String, Squares)>,
        target: &Tensor,
        weights: Option<&Tensor>,
        keep_graph: bool,
    ) -> Result<(), TrainerError> {
        if self.layers.is_empty() {
            return Ok(());
        }
        let outputs: Vec<&Tensor> = self.layers.iter().map(|tap| &tap.output).collect();
        let gradients = Tensor::f_run_backward(&[target], &outputs, keep_graph, false)?;
        let _guard = tch::no_grad_guard();
        for (tap, gradient) in self.layers.iter().zip(gradients) {
            if !gradient.defined() {
                let text = format!(
                    "layer {} takes no part in the model's answer, and so has no Fisher",
                    tap.name
                );
                return Err(TrainerError::new(JobEnd::Internal, text));
            }
            let sum = self.sum(tap, &widened(&gradient)?, weights)?;
            match squares.iter().find(|(name, _)| *name == tap.name) {
                Some((_, total)) => total.add(&sum)?,
                None => squares.push((tap.name.clone(), sum)),
            }
        }
        Ok(())
    }

    /// Over the examples, weighted.
    fn sum(&self, tap: &Tap, gradient: &Tensor, weights: Option<&Tensor>) -> Result<Squares, TrainerError> {
        if self.factored.contains(&tap.name) {
            let (rows, columns) = sums_of_examples(&tap.trained, gradient, self.mask, weights)?;
            return Ok(Squares::Factored { rows, columns });
        }
        // In place: it is an example's gradient times the batch, the largest of all tensors here.
        let mut square = of_examples(&tap.trained, gradient, self.mask)?;
        let _ = square.f_square_()?;
        if let Some(weights) = weights {
            let _ = square.f_mul_(&weights.f_to_device(square.device())?.f_reshape(by_example(&square))?)?;
        }
        Ok(Squares::Diagonal(square.f_sum_dim_intlist(0, false, None::<Kind>)?))
    }
}
