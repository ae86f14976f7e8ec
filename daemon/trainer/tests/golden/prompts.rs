//! Prompts that PEFT wrote (tests/oracle/make_prompts.py).

use crate::common::*;
use crate::tasks::{CAUSAL, NAMES, TOKENS, greedy_answers_agree, labels_agree, packed_answers_agree};
use crate::tiny::{agrees, gradients};
use std::collections::BTreeSet;
use std::path::Path;
use tch::{Kind, Tensor};
use wengu_protocol::job::{JobEnd, Method, Parent, PromptTuning, Task};
use wengu_protocol::merge::{MERGE_SCHEMA, Merge};
use wengu_trainer::error::TrainerError;
use wengu_trainer::fisher::{Labels, Rows, squared_gradients};
use wengu_trainer::model::{Batch, Model, Trained};

/// Names of goldens of models that classify texts, and of their base models.
const CLASSIFIERS: [(&str, &str); 3] = [
    ("prompt_bert", "tiny"),
    ("prompt_xlmr", "xlmr"),
    ("prompt_llama", "llama"),
];

fn method(virtual_tokens: u32) -> Method {
    Method::PromptTuning(PromptTuning { virtual_tokens })
}

fn load(task: Task, base_name: &str, parent: Option<&Parent>, virtual_tokens: u32) -> Result<Model, TrainerError> {
    let labels: &[&str] = match task {
        Task::SequenceClassification | Task::MultiLabelClassification => &LABELS,
        Task::TokenClassification => &NAMES,
        Task::CausalLm => &[],
    };
    let base = base(&golden(&format!("{base_name}/base")));
    let method = method(virtual_tokens);
    Model::load(task, &base, parent, &strings(labels), &method, &[], 0.0, 1)
}

fn classifier(name: &str, base_name: &str) -> Model {
    let parent = parent(&golden(name), &LABELS);
    load(Task::SequenceClassification, base_name, Some(&parent), 5).unwrap()
}

fn causal(base_name: &str) -> Model {
    let parent = Parent {
        head: None,
        ..parent(&golden(&format!("prompt_{base_name}")), &[])
    };
    load(Task::CausalLm, base_name, Some(&parent), 5).unwrap()
}

#[test]
fn logits_and_all_gradients_agree_with_peft() {
    for (name, base_name) in CLASSIFIERS {
        let expected = tensors(&golden(name).join("expected.safetensors"));
        let model = classifier(name, base_name);
        assert_eq!((model.virtual_tokens(), model.trainable().len()), (5, 3), "{name}");
        agrees(name, &model, &expected, 3);
    }
}

#[test]
fn padding_on_the_left_changes_no_answer_of_a_decoder() {
    let expected = tensors(&golden("prompt_llama/expected.safetensors"));
    let model = classifier("prompt_llama", "llama");
    let right = batch(&expected);
    let roll = |tensor: &Tensor| {
        let rows: Vec<Tensor> = (0..tensor.size()[0])
            .map(|row| {
                let padding = right.mask.size()[1] - right.mask.get(row).sum(Kind::Int64).int64_value(&[]);
                tensor.get(row).roll([padding], [0])
            })
            .collect();
        Tensor::stack(&rows, 0)
    };
    let left = Batch {
        ids: roll(&right.ids),
        mask: roll(&right.mask),
        items: None,
    };
    assert_ne!(left.mask, right.mask);
    let off = difference(&model.forward(&left, None).unwrap(), &expected["logits"]);
    assert!(off < 1e-4, "{off}");
}

#[test]
fn packed_examples_have_a_prompt_each_and_answers_are_those_of_peft() {
    for base_name in CAUSAL {
        let name = format!("prompt_{base_name}");
        let expected = tensors(&golden(&name).join("expected.safetensors"));
        let model = causal(base_name);
        packed_answers_agree(&name, &model, &expected);
    }
}

#[test]
fn greedy_answers_are_those_of_peft_with_prompts_of_three_lengths_at_once() {
    for base_name in CAUSAL {
        let model = causal(base_name);
        let expected = tensors(&golden(&format!("prompt_{base_name}/expected.safetensors")));
        greedy_answers_agree(base_name, &model, &expected);
    }
}

#[test]
fn labels_of_tokens_are_those_of_the_text() {
    for base_name in TOKENS {
        let name = format!("prompt_{base_name}");
        let parent = parent(&golden(&name), &NAMES);
        let model = load(Task::TokenClassification, base_name, Some(&parent), 2).unwrap();
        let expected = tensors(&golden(&name).join("expected.safetensors"));
        labels_agree(&name, &model, &expected);
        // Where no tokens are named, all of the text are asked for.
        let all = model.forward(&batch(&expected), None).unwrap();
        let asked = Vec::<i64>::try_from(expected["token_labels"].to_kind(Kind::Int64).flatten(0, -1)).unwrap();
        let asked: Vec<i64> = (0..)
            .zip(asked)
            .filter(|(_, label)| *label >= 0)
            .map(|(at, _)| at)
            .collect();
        let asked = all.index_select(0, &Tensor::from_slice(&asked));
        assert!(difference(&asked, &expected["logits"]) < 1e-4, "{name}");
    }
}

#[test]
fn what_peft_wrote_is_written_again_the_same() {
    let classifiers = CLASSIFIERS.map(|(name, base_name)| (name.to_owned(), classifier(name, base_name)));
    let causal = CAUSAL.map(|base_name| (format!("prompt_{base_name}"), causal(base_name)));
    let tokens = TOKENS.map(|base_name| {
        let name = format!("prompt_{base_name}");
        let parent = parent(&golden(&name), &NAMES);
        let model = load(Task::TokenClassification, base_name, Some(&parent), 2).unwrap();
        (name, model)
    });
    for (name, model) in classifiers.into_iter().chain(causal).chain(tokens) {
        let folder = tempfile::tempdir().unwrap();
        model.save_adapter(folder.path()).unwrap();
        let theirs = golden(&name).join("adapter");
        let read = |folder: &Path| tensors(&folder.join("adapter_model.safetensors"));
        let (found, wanted) = (read(folder.path()), read(&theirs));
        let mut keys: [Vec<&String>; 2] = [found.keys().collect(), wanted.keys().collect()];
        keys.iter_mut().for_each(|keys| keys.sort());
        assert_eq!(keys[0], keys[1], "{name}");
        for (key, tensor) in &wanted {
            assert_eq!(&found[key], tensor, "{name} {key}");
        }
        let config = |folder: &Path| -> serde_json::Value {
            let text = std::fs::read(folder.join("adapter_config.json")).unwrap();
            let mut config: serde_json::Value = serde_json::from_slice(&text).unwrap();
            // The path of this machine, and what only peft itself says.
            config["base_model_name_or_path"].take();
            config.as_object_mut().unwrap().remove("peft_version");
            config
        };
        assert_eq!(config(folder.path()), config(&theirs), "{name}");
    }
}

#[test]
fn what_is_computed_again_gives_the_same_gradients_to_the_last_bit() {
    for (name, base_name) in CLASSIFIERS {
        let expected = tensors(&golden(name).join("expected.safetensors"));
        let model = classifier(name, base_name);
        let (batch, labels) = (batch(&expected), expected["labels"].to_kind(Kind::Int64));
        let plain = gradients(&model, &batch, &labels, Some(5));
        for (_, mut tensor, _) in model.trainable() {
            tensor.zero_grad();
        }
        let (logits, kept) = model.forward_sparing(&batch, 5).unwrap();
        logits.cross_entropy_for_logits(&labels).backward();
        kept.backward().unwrap();
        for ((parameter, expected), (_, tensor, _)) in plain.iter().zip(model.trainable()) {
            assert!(expected.abs().max().double_value(&[]) > 0.0, "{name} {parameter}");
            assert_eq!(&tensor.grad(), expected, "{name} {parameter}");
        }
    }
}

#[test]
fn the_fisher_of_a_prompt_is_that_of_its_definition() {
    let expected = tensors(&golden("prompt_bert/expected.safetensors"));
    let model = classifier("prompt_bert", "tiny");
    let (batch, labels) = (batch(&expected), expected["labels"].to_kind(Kind::Int64));
    let tapped = model.forward_tapped(&batch).unwrap();
    assert_eq!(tapped.mask.size(), [6, 24]);
    assert!(matches!(tapped.taps[0].trained, Trained::Rows { count: 5, .. }));
    let found = squared_gradients(&tapped, &Labels::Given(labels.copy()), Rows::Examples, &BTreeSet::new()).unwrap();
    let (name, found) = &found[0];
    assert_eq!(name, "prompt_embeddings");
    // One example at a time, by the whole backward pass.
    let mut sum = Tensor::zeros_like(&model.trainable()[0].1);
    for row in 0..6 {
        let one = Batch {
            ids: batch.ids.narrow(0, row, 1),
            mask: batch.mask.narrow(0, row, 1),
            items: None,
        };
        sum += gradients(&model, &one, &labels.narrow(0, row, 1), None)[0].1.square();
    }
    let off = difference(found.diagonal().unwrap(), &sum) / sum.max().double_value(&[]);
    assert!(off < 1e-5, "{off}");
}

#[test]
fn a_fresh_prompt_begins_as_words_and_follows_from_the_seed() {
    let rows = |seed| {
        let base = base(&golden("tiny/base"));
        let (labels, task) = (strings(&LABELS), Task::SequenceClassification);
        let model = Model::load(task, &base, None, &labels, &method(5), &[], 0.0, seed).unwrap();
        model.trainable()[0].1.detach()
    };
    let table = &tensors(&golden("tiny/base/model.safetensors"))["bert.embeddings.word_embeddings.weight"];
    for row in 0..5 {
        let distance = (table - rows(7).get(row))
            .abs()
            .sum_dim_intlist(1, false, Kind::Float)
            .min();
        assert_eq!(distance.double_value(&[]), 0.0);
    }
    assert_eq!(rows(7), rows(7));
    assert_ne!(rows(7), rows(8));
}

#[test]
fn without_its_prompt_a_model_is_the_base_model() {
    let expected = tensors(&golden("prompt_bert/expected.safetensors"));
    let bare = classifier("prompt_bert", "tiny").without_adapter();
    assert!(!bare.has_adapter() && bare.limits().max_tokens == 24);
    let base = base(&golden("tiny/base"));
    let only_head = Parent {
        adapter: None,
        ..parent(&golden("prompt_bert"), &LABELS)
    };
    let (labels, task) = (strings(&LABELS), Task::SequenceClassification);
    let head_only = Model::load(task, &base, Some(&only_head), &labels, &Method::HeadOnly, &[], 0.0, 1).unwrap();
    let answer = |model: &Model| model.forward(&batch(&expected), None).unwrap().detach();
    assert_eq!(answer(&bare), answer(&head_only));
}

/// Loads a copy of BERT's prompt after `change`; it has to be refused.
fn refused(virtual_tokens: u32, change: impl Fn(&Path)) -> TrainerError {
    let folder = tempfile::tempdir().unwrap();
    copy(&golden("prompt_bert"), folder.path());
    change(folder.path());
    let parent = parent(folder.path(), &LABELS);
    let loaded = load(Task::SequenceClassification, "tiny", Some(&parent), virtual_tokens);
    loaded.err().expect("it must be refused")
}

#[test]
fn a_directory_that_is_not_what_it_should_be_is_refused_by_name() {
    type Tensors = Vec<(String, Tensor)>;
    type Change<'a> = &'a dyn Fn(&Path);
    let edit = |folder: &Path, change: &dyn Fn(&mut Tensors)| {
        let path = folder.join("adapter/adapter_model.safetensors");
        let mut all: Tensors = tensors(&path).into_iter().collect();
        change(&mut all);
        Tensor::write_safetensors(&all, path).unwrap();
    };
    let config = |folder: &Path, field: &str, value: serde_json::Value| {
        let path = folder.join("adapter/adapter_config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config[field] = value;
        std::fs::write(path, config.to_string()).unwrap();
    };
    let cases: [(Change, &str); 7] = [
        (
            &|folder| edit(folder, &|all| all.retain(|(name, _)| name != "prompt_embeddings")),
            "missing tensors: [prompt_embeddings]",
        ),
        (
            &|folder| edit(folder, &|all| all.push(("stray".into(), Tensor::from_slice(&[1f32])))),
            "unexpected tensors: [stray]",
        ),
        (
            &|folder| {
                edit(folder, &|all| {
                    let weight = all.iter_mut().find(|(name, _)| name.ends_with("classifier.weight"));
                    weight.unwrap().1 += 1.0;
                })
            },
            "differs from the head",
        ),
        (&|folder| config(folder, "num_virtual_tokens", 6.into()), "[5, 32]"),
        (
            &|folder| config(folder, "num_transformer_submodules", 2.into()),
            "submodules",
        ),
        (&|folder| config(folder, "task_type", "CAUSAL_LM".into()), "CausalLm"),
        (
            &|folder| config(folder, "peft_type", "LORA".into()),
            "peft_type is \"LORA\"",
        ),
    ];
    for (change, word) in cases {
        let error = refused(5, change);
        assert_eq!(error.end, JobEnd::BadModel, "{error}");
        assert!(error.message.contains(word), "{error}");
    }
    let error = refused(4, |_| ());
    assert_eq!(error.end, JobEnd::BadJob);
    assert!(error.message.contains("5 virtual tokens, the job 4"), "{error}");
}

#[test]
fn a_prompt_of_another_method_is_refused_by_name() {
    let said = refused_parent("tiny", &method(5));
    assert!(
        said.contains("\"LORA\"") && said.contains("take the parent's method"),
        "{said}"
    );
    let said = refused_parent("prompt_bert", &tiny_method(0.0));
    assert!(said.contains("\"PROMPT_TUNING\""), "{said}");
}

#[test]
fn prompt_and_text_together_are_held_to_what_the_model_takes() {
    let model = classifier("prompt_bert", "tiny");
    assert_eq!((model.limits().max_tokens, model.vocab_size()), (19, 160));
    let of = |tokens: i64, id: i64| {
        let ids = Tensor::full([1, tokens], id, (Kind::Int64, tch::Device::Cpu));
        let mask = ids.ones_like();
        model.forward(&Batch { ids, mask, items: None }, None)
    };
    assert!(of(19, 3).is_ok());
    let error = of(20, 3).unwrap_err().message;
    assert!(
        error.contains("20 tokens") && error.contains("19 at most beside the prompt's 5"),
        "{error}"
    );
    // The prompt's own ids are nobody else's.
    assert!(of(3, 160).unwrap_err().message.contains("160 entries"));

    let error = load(Task::SequenceClassification, "tiny", None, 24).err().unwrap();
    assert_eq!(error.end, JobEnd::BadJob);
    assert!(error.message.contains("24 virtual tokens"), "{error}");
}

#[test]
fn a_prompt_cannot_be_merged_into_weights() {
    let folder = tempfile::tempdir().unwrap();
    let merge = Merge {
        schema: MERGE_SCHEMA,
        task: Task::SequenceClassification,
        base: base(&golden("tiny/base")),
        version: parent(&golden("prompt_bert"), &LABELS),
        method: method(5),
        term_tokens: Vec::new(),
        precision: None,
        out: folder.path().join("out"),
    };
    let path = folder.path().join("merge.json");
    std::fs::write(&path, serde_json::to_vec(&merge).unwrap()).unwrap();
    let error = wengu_trainer::merge::merge(&path).unwrap_err();
    assert_eq!(error.end, JobEnd::BadJob);
    assert!(
        error.message.contains("before every text") && !merge.out.exists(),
        "{error}"
    );
}
