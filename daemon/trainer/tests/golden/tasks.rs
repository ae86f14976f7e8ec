//! Causal models and token classification (tests/oracle/make_tasks.py).

use crate::common::*;
use std::collections::HashMap;
use std::path::Path;
use tch::{Kind, Tensor};
use wengu_protocol::job::{DataFile, JobEnd, Task};
use wengu_trainer::data::{Limits, Role, TokenSet};
use wengu_trainer::model::{Generation, Model, Sampling};
use wengu_trainer::objective::distillation_sum;
use wengu_trainer::train_loop::{Inputs, Teacher};

pub const CAUSAL: [&str; 6] = [
    "causal_llama",
    "causal_qwen2",
    "causal_qwen3",
    "causal_deepseek_v2_lite",
    "causal_deepseek_v2",
    "causal_deepseek_v3",
];
/// Of weights in eight bits, for which there are no prompts of peft.
const EIGHT_BITS: &str = "causal_deepseek_v3_fp8";
pub const TOKENS: [&str; 3] = ["tokens_bert", "tokens_xlmr", "tokens_llama"];
pub const NAMES: [&str; 3] = ["O", "B-病", "I-病"];

fn load(task: Task, name: &str) -> Model {
    let labels: &[&str] = if task == Task::CausalLm { &[] } else { &NAMES };
    let mut parent = parent(&golden(name), labels);
    if task == Task::CausalLm {
        parent.head = None;
    }
    let base = base(&golden(&format!("{name}/base")));
    Model::load(
        task,
        &base,
        Some(&parent),
        &strings(labels),
        &adapted(name),
        &[],
        0.0,
        1,
    )
    .unwrap()
}

/// The examples as a data file holds them.
pub fn set(task: Task, folder: &Path, ids: &[i64], lengths: &[usize], token_labels: &[i64], model: &Model) -> TokenSet {
    let ends = lengths.iter().scan(0, |end, length| {
        *end += *length as i64;
        Some(*end)
    });
    let offsets: Vec<i64> = std::iter::once(0).chain(ends).collect();
    let path = folder.join("data.safetensors");
    let tensors = [
        (DataFile::IDS, Tensor::from_slice(ids).to_kind(Kind::Int)),
        (DataFile::OFFSETS, Tensor::from_slice(&offsets)),
        (
            DataFile::LABELS,
            Tensor::full([lengths.len() as i64], -1, (Kind::Int64, tch::Device::Cpu)),
        ),
        (DataFile::TOKEN_LABELS, Tensor::from_slice(token_labels)),
    ];
    Tensor::write_safetensors(&tensors, &path).unwrap();
    let limits = Limits {
        task,
        vocab_size: model.vocab_size() as usize,
        max_tokens: model.limits().max_tokens as usize,
        virtual_tokens: model.virtual_tokens() as usize,
        labels: model.labels().len(),
        teacher_labels: 0,
    };
    TokenSet::read(&path, Role::Train, limits).unwrap()
}

pub fn numbers(tensor: &Tensor) -> Vec<i64> {
    Vec::<i64>::try_from(tensor.to_kind(Kind::Int64).flatten(0, -1)).unwrap()
}

/// Ids, lengths and token labels of a causal golden.
pub fn causal_examples(expected: &HashMap<String, Tensor>) -> (Vec<i64>, Vec<usize>, Vec<i64>) {
    let ids = numbers(&expected["ids"]);
    let lengths: Vec<usize> = numbers(&expected["lengths"]).iter().map(|&n| n as usize).collect();
    let mut labels = ids.clone();
    let mut begin = 0;
    for (length, prompt) in lengths.iter().zip(numbers(&expected["prompts"])) {
        labels[begin..begin + prompt as usize].fill(-1);
        begin += length;
    }
    (ids, lengths, labels)
}

/// The mean loss of the asked tokens, and every gradient to 1e-4 of its largest value.
fn loss_and_gradients_agree(name: &str, model: &Model, loss: &Tensor, expected: &HashMap<String, Tensor>) {
    let off = difference(&loss.detach().reshape([1]), &expected["loss"]);
    assert!(off < 1e-5, "{name}: loss {off}");
    loss.backward();
    let trained = model.trainable();
    let wanted = expected.keys().filter(|key| key.starts_with("gradient.")).count();
    assert_eq!(trained.len(), wanted, "{name}");
    let mut worst = 0f64;
    for (parameter, tensor, _) in trained {
        let reference = &expected[&format!("gradient.{parameter}")];
        let scale = reference.abs().max().double_value(&[]);
        assert!(scale > 0.0, "{name}: {parameter} has no gradient to compare");
        worst = worst.max(difference(&tensor.grad(), reference) / scale);
    }
    println!("{name}: gradients differ by at most {worst:.2e} of each tensor's largest value");
    assert!(worst < 1e-4, "{name}: {worst}");
}

/// The examples of a causal golden as the trainer takes them.
fn causal_set(expected: &HashMap<String, Tensor>, model: &Model) -> TokenSet {
    let (ids, lengths, labels) = causal_examples(expected);
    let folder = tempfile::tempdir().unwrap();
    set(Task::CausalLm, folder.path(), &ids, &lengths, &labels, model)
}

/// Log-probabilities of all answers of packed examples to 1e-4, their loss, and every gradient.
pub fn packed_answers_agree(name: &str, model: &Model, expected: &HashMap<String, Tensor>) {
    let set = causal_set(expected, model);
    let rows: Vec<usize> = (0..set.len()).collect();
    let batch = set.batch(&rows).unwrap();
    assert!(batch.ids.size()[0] < set.len() as i64, "nothing was packed");
    let logits = model.forward(&batch, None).unwrap().to_device(tch::Device::Cpu);
    let log_p = logits.log_softmax(1, None);
    let answers = Tensor::from_slice(&set.answer_labels(&rows));
    let log_p = log_p.gather(1, &answers.unsqueeze(1), false).squeeze_dim(1);
    let off = difference(&log_p.detach(), &expected["log_p"]);
    println!("{name}: log-probabilities differ by at most {off:.2e}");
    assert!(off < 1e-4, "{name}: {off}");
    loss_and_gradients_agree(name, model, &-log_p.mean(Kind::Float), expected);
}

#[test]
fn packed_examples_do_not_see_each_other_and_only_answers_are_learned() {
    for name in CAUSAL.into_iter().chain([EIGHT_BITS]) {
        let model = load(Task::CausalLm, name);
        let expected = tensors(&golden(name).join("expected.safetensors"));
        packed_answers_agree(name, &model, &expected);
    }
}

#[test]
fn the_teacher_answers_as_the_parent_did_and_leaves_the_student_as_it_is() {
    let model = load(Task::CausalLm, "causal_qwen2");
    let expected = tensors(&golden("causal_qwen2").join("expected.safetensors"));
    let inputs = Inputs::tokens(causal_set(&expected, &model));
    let rows: Vec<usize> = (0..inputs.set().len()).collect();
    let said = || inputs.logits(&model, &rows, None).unwrap();
    let teacher = Teacher::new(&model);
    let parent = said().detach();
    for (_, parameter, _) in model.trainable() {
        let _frozen = tch::no_grad_guard();
        let _ = parameter.shallow_clone().f_add_scalar_(0.05).unwrap();
    }
    let student = said().detach();
    assert!((&student - &parent).abs().max().double_value(&[]) > 1e-3);
    let taught = teacher.logits(&model, &inputs, &rows).unwrap();
    assert_eq!(taught, parent);
    assert!(!taught.requires_grad());
    // A pass after it still has the student's gradients, and the student's values.
    let logits = said();
    assert_eq!(logits.detach(), student);
    distillation_sum(&logits, &taught, 2.0).unwrap().backward();
    let norm: f64 = model
        .trainable()
        .iter()
        .map(|(_, parameter, _)| parameter.grad().square().sum(Kind::Double).double_value(&[]))
        .sum();
    assert!(norm > 0.0 && norm.is_finite());
}

/// The beginnings of the first three examples, of seven, six and five tokens.
fn prompts(expected: &HashMap<String, Tensor>) -> Vec<Vec<i64>> {
    let (ids, lengths, _) = causal_examples(expected);
    let begins = [0, lengths[0], lengths[0] + lengths[1]];
    (0..3)
        .map(|row| ids[begins[row]..begins[row] + 7 - row].to_vec())
        .collect()
}

/// 64 greedy tokens after prompts of three lengths at once, which come one by one; gives them.
pub fn greedy_answers_agree(name: &str, model: &Model, expected: &HashMap<String, Tensor>) -> Vec<Vec<i64>> {
    let prompts = prompts(expected);
    let prompts: Vec<&[i64]> = prompts.iter().map(Vec::as_slice).collect();
    let mut streamed = vec![Vec::new(); 3];
    let streaming = |row: usize, token| streamed[row].push(token);
    let written = model.generate(&prompts, &greedy(64, Vec::new()), streaming).unwrap();
    assert_eq!(written.concat(), numbers(&expected["written"]), "{name}");
    assert_eq!(written, streamed);
    written
}

fn greedy(max_new_tokens: usize, stop: Vec<i64>) -> Generation {
    Generation {
        max_new_tokens,
        sampling: Sampling::Greedy,
        stop,
    }
}

#[test]
fn greedy_answers_are_those_of_transformers_and_come_token_by_token() {
    for name in CAUSAL.into_iter().chain([EIGHT_BITS]) {
        let model = load(Task::CausalLm, name);
        let expected = tensors(&golden(name).join("expected.safetensors"));
        let written = greedy_answers_agree(name, &model, &expected);

        // A stop token ends its row, and the others go on.
        let stop = written[0][5];
        let prompts = prompts(&expected);
        let prompts: Vec<&[i64]> = prompts.iter().map(Vec::as_slice).collect();
        let stopped = model.generate(&prompts, &greedy(64, vec![stop]), |_, _| ()).unwrap();
        for (row, all) in stopped.iter().zip(&written) {
            let end = all
                .iter()
                .position(|&token| token == stop)
                .map_or(64, |place| place + 1);
            assert_eq!(row, &all[..end], "{name}");
        }
    }
}

#[test]
fn drawn_answers_repeat_by_seed_and_one_likeliest_token_is_greedy() {
    let model = load(Task::CausalLm, "causal_qwen2");
    let draw = |top_k, seed| {
        let generation = Generation {
            sampling: Sampling::Drawn {
                temperature: 1.0,
                top_k,
                top_p: 1.0,
                seed,
            },
            ..greedy(16, Vec::new())
        };
        model.generate(&[&[5, 6, 7]], &generation, |_, _| ()).unwrap()
    };
    assert_eq!(draw(0, 3), draw(0, 3));
    assert_ne!(draw(0, 3), draw(0, 4));
    assert_eq!(
        draw(1, 3),
        model
            .generate(&[&[5, 6, 7]], &greedy(16, Vec::new()), |_, _| ())
            .unwrap()
    );
}

#[test]
fn what_cannot_be_written_is_refused() {
    let model = load(Task::CausalLm, "causal_qwen2");
    let error = |prompt: &[i64], new| {
        let refused = model.generate(&[prompt], &greedy(new, Vec::new()), |_, _| ());
        refused.unwrap_err().to_string()
    };
    assert!(error(&[], 4).contains("empty"));
    assert!(error(&[1; 100], 29).contains("128"));
    assert!(error(&[1, 5000], 4).contains("vocabulary"));
    let labels = load(Task::TokenClassification, "tokens_llama");
    let refused = labels.generate(&[&[1]], &greedy(4, Vec::new()), |_, _| ());
    assert!(refused.unwrap_err().to_string().contains("causal"));
    let bert = base(&golden("tokens_bert/base"));
    let refused = Model::load(Task::CausalLm, &bert, None, &[], &adapted("tokens_bert"), &[], 0.0, 1);
    let refused = refused.err().expect("BERT does not write");
    assert_eq!(refused.end, JobEnd::BadModel);
}

/// Logits of the labelled tokens to 1e-4, their loss, and every gradient.
pub fn labels_agree(name: &str, model: &Model, expected: &HashMap<String, Tensor>) {
    let mask = numbers(&expected["mask"]);
    let kept = |key: &str| {
        let all = numbers(&expected[key]);
        all.into_iter()
            .zip(&mask)
            .filter(|(_, m)| **m == 1)
            .map(|(x, _)| x)
            .collect::<Vec<_>>()
    };
    let width = expected["mask"].size()[1] as usize;
    let lengths: Vec<usize> = mask.chunks(width).map(|row| row.iter().sum::<i64>() as usize).collect();
    let folder = tempfile::tempdir().unwrap();
    let (ids, token_labels) = (kept("ids"), kept("token_labels"));
    let set = set(
        Task::TokenClassification,
        folder.path(),
        &ids,
        &lengths,
        &token_labels,
        model,
    );
    let rows: Vec<usize> = (0..lengths.len()).collect();
    let logits = model.forward(&set.batch(&rows).unwrap(), None).unwrap();
    let off = difference(&logits.detach(), &expected["logits"]);
    println!("{name}: logits differ by at most {off:.2e}");
    assert!(off < 1e-4, "{name}: {off}");
    let labels = Tensor::from_slice(&set.answer_labels(&rows));
    loss_and_gradients_agree(name, model, &logits.cross_entropy_for_logits(&labels), expected);
}

#[test]
fn labels_of_tokens_and_their_gradients_agree_with_float64_autograd() {
    for name in TOKENS {
        let model = load(Task::TokenClassification, name);
        let expected = tensors(&golden(name).join("expected.safetensors"));
        labels_agree(name, &model, &expected);
    }
}

#[test]
fn adapters_of_every_task_are_written_as_peft_writes_them() {
    let causal = CAUSAL.into_iter().chain([EIGHT_BITS]);
    for (task, name) in causal
        .map(|name| (Task::CausalLm, name))
        .chain(TOKENS.map(|name| (Task::TokenClassification, name)))
    {
        written_again_the_same(&load(task, name), &golden(name).join("adapter"));
    }
}
