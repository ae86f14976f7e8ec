use super::{Cancel, Inputs, inputs};
use crate::data::batch::by_length;
use crate::data::random::{Purpose, Stream};
use crate::error::TrainerError;
use crate::fisher::{Estimate, Labels, Rows, Squares, factored, squared_gradients};
use crate::job::progress::ProgressLog;
use crate::model::Model;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};
use wengu_protocol::job::{FisherEstimate, Job, Phase, Task};

/// Examples in one pass, at most.
const FISHER_BATCH: usize = 16;
/// Numbers in the gradients of one layer, of all examples of a pass: each example's own has the size of the layer. 64 MiB.
const PASS_ENTRIES: i64 = 1 << 24;

/// Squared gradients at the model's weights as they are, on `fisher_examples` of the new examples, as a mean over their answers; and how many
/// examples they were.
pub fn estimate_fisher(
    job: &Job,
    model: &Model,
    train: &Inputs,
    progress: &mut ProgressLog,
    cancel: &Cancel,
) -> Result<(BTreeMap<String, Squares>, u64), TrainerError> {
    let held = model.held()?;
    let by_sums = factored(job.learning.fisher_form, &held);
    let kept_whole = held.iter().filter(|held| !by_sums.contains(&held.name));
    let largest = kept_whole.map(|held| held.shape().iter().product()).max().unwrap_or(1);
    let fitting = (PASS_ENTRIES / i64::max(largest, 1)).max(1) as usize;
    let mut rows = Stream::new(job.seed, Purpose::FisherExamples, 0).permutation(train.set().len());
    rows.truncate(job.learning.fisher_examples as usize);
    let lengths = train.lengths();
    let chosen: Vec<usize> = rows.iter().map(|&row| lengths[row]).collect();
    let (size, kind) = match job.task {
        Task::SequenceClassification | Task::MultiLabelClassification => (FISHER_BATCH.min(fitting), Rows::Examples),
        Task::TokenClassification | Task::CausalLm => (1, Rows::TokensOfOneExample),
    };
    let batches = by_length(&chosen, size);
    progress.begin(Phase::Fisher, 0, batches.len() as u64)?;
    let mut estimate = Estimate::default();
    for batch in batches {
        cancel.check()?;
        let batch: Vec<usize> = batch.into_iter().map(|place| rows[place]).collect();
        let tapped = train.tapped(model, &batch)?;
        let several = job.task == Task::MultiLabelClassification;
        let answers = train.set().answers_of(&batch);
        let labels = match job.learning.fisher {
            FisherEstimate::Exact if several => Labels::EveryOutcome,
            FisherEstimate::Exact => Labels::Expected,
            FisherEstimate::Sampled if several => Labels::Outcomes(drawn_outcomes(&tapped.logits, &answers, job.seed)?),
            FisherEstimate::Sampled => Labels::Given(drawn_labels(&tapped.logits, &answers, job.seed)?),
            FisherEstimate::Empirical => match &train.set().probabilities {
                Some(probabilities) if several => {
                    Labels::Outcomes(probabilities.f_index_select(0, &inputs::index(&answers)?)?)
                }
                _ => Labels::Given(Tensor::f_from_slice(&train.set().answer_labels(&batch))?),
            },
        };
        let of_each = if several { job.labels.len() } else { 1 };
        estimate.add(
            squared_gradients(&tapped, &labels, kind, &by_sums)?,
            of_each * answers.len(),
        )?;
        progress.step(train.token_count(&batch))?;
    }
    progress.end()?;
    Ok((estimate.mean()?, rows.len() as u64))
}

/// One label a row from the model's own distribution. A row's draw does not depend on the batch that it is in.
fn drawn_labels(logits: &Tensor, rows: &[usize], seed: u64) -> Result<Tensor, TrainerError> {
    let p = logits.f_detach()?.f_softmax(1, Kind::Double)?;
    let labels = p.size()[1] as usize;
    let mut flat = vec![0f64; p.numel()];
    p.f_copy_data(&mut flat, p.numel())?;
    let drawn: Vec<i64> = rows
        .iter()
        .zip(flat.chunks(labels))
        .map(|(&row, p)| {
            let mut left = Stream::new(seed, Purpose::FisherLabels, row as u64).unit();
            for (label, p) in p.iter().enumerate() {
                if left < *p {
                    return label as i64;
                }
                left -= p;
            }
            // Rounding: the probabilities add up to a little less than 1.
            labels as i64 - 1
        })
        .collect();
    Ok(Tensor::f_from_slice(&drawn)?)
}

/// For each row whether each label applies, F32 [rows, labels], from the model's own distribution. A row's draws do not depend on the
/// batch that it is in.
fn drawn_outcomes(logits: &Tensor, rows: &[usize], seed: u64) -> Result<Tensor, TrainerError> {
    let p = logits.f_detach()?.f_to_kind(Kind::Double)?.f_sigmoid()?;
    let shape = p.size();
    let mut flat = vec![0f64; p.numel()];
    p.f_copy_data(&mut flat, p.numel())?;
    let of_row = |(&row, p): (&usize, &[f64])| {
        let mut stream = Stream::new(seed, Purpose::FisherLabels, row as u64);
        let drawn = p.iter().map(|p| f32::from(u8::from(stream.unit() < *p)));
        drawn.collect::<Vec<f32>>()
    };
    let drawn: Vec<f32> = rows
        .iter()
        .zip(flat.chunks(shape[1] as usize))
        .flat_map(of_row)
        .collect();
    Ok(Tensor::f_from_slice(&drawn)?.f_reshape(shape)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_drawn_label_by_label() {
        let rows: Vec<usize> = (0..4000).collect();
        let logits = Tensor::from_slice(&[0.25f64.ln(), 0.0, 30.0]).repeat([4000, 1]);
        let drawn = drawn_outcomes(&logits, &rows, 9).unwrap();
        for (label, p) in [(0, 0.2), (1, 0.5), (2, 1.0)] {
            let share = drawn.select(1, label).mean(Kind::Double).double_value(&[]);
            let error = (p * (1.0 - p) / 4000.0f64).sqrt();
            assert!((share - p).abs() <= 5.0 * error, "{label}: {share}");
        }
        // Two labels of a row are drawn apart.
        let both = (drawn.select(1, 0) * drawn.select(1, 1))
            .mean(Kind::Double)
            .double_value(&[]);
        assert!((both - 0.1).abs() < 0.03, "{both}");
        let again = drawn_outcomes(&logits.narrow(0, 0, 2), &rows[7..9], 9).unwrap();
        assert_eq!(again, drawn.narrow(0, 7, 2));
    }

    #[test]
    fn labels_are_drawn_from_the_models_own_distribution() {
        let rows: Vec<usize> = (0..4000).collect();
        let logits = Tensor::from_slice(&[0.5f64.ln(), 0.2f64.ln(), 0.3f64.ln()]).repeat([4000, 1]);
        let drawn = Vec::<i64>::try_from(drawn_labels(&logits, &rows, 9).unwrap()).unwrap();
        for (label, p) in [(0, 0.5), (1, 0.2), (2, 0.3)] {
            let share = drawn.iter().filter(|&&l| l == label).count() as f64 / 4000.0;
            assert!(
                (share - p).abs() < 5.0 * (p * (1.0 - p) / 4000.0f64).sqrt(),
                "{label}: {share}"
            );
        }
        // The same row draws the same label in another batch.
        let again = drawn_labels(&logits.narrow(0, 0, 2), &rows[7..9], 9).unwrap();
        assert_eq!(Vec::<i64>::try_from(again).unwrap(), drawn[7..9]);
    }
}
