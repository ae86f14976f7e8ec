//! Versions as model folders of their own. Names and shapes are those of transformers' classes (tests/oracle/make_merged.py);
//! `tests/oracle/run` has transformers load the same folders: it sets WENGU_ORACLE_OUT.

use crate::common::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};
use wengu_protocol::job::{JobEnd, Method, Parent, Task, TermToken};
use wengu_protocol::merge::{MERGE_SCHEMA, Merge, Merged, Precision};
use wengu_trainer::merge;
use wengu_trainer::model::{Batch, Model};

/// A version of a small random model.
pub struct Case {
    name: &'static str,
    task: Task,
    version: Parent,
    method: Method,
    terms: Vec<TermToken>,
    pub base: PathBuf,
}

pub fn case(name: &'static str, task: Task) -> Case {
    let labels: &[&str] = match task {
        Task::SequenceClassification | Task::MultiLabelClassification => &LABELS,
        Task::TokenClassification => &["O", "B-病", "I-病"],
        Task::CausalLm => &[],
    };
    let terms = if name == "terms" { term_tokens() } else { Vec::new() };
    let mut version = parent(&golden(name), labels);
    version.term_tokens = terms.len() as u32;
    version.head = version.head.filter(|_| task != Task::CausalLm);
    let base = match name {
        "terms" => "tiny",
        // Adapters of other kinds share the models of the plain ones.
        "rslora_bert" | "patterns_bert" | "dora_bert" | "saved_bert" => "tiny",
        "rslora_llama" | "patterns_llama" | "dora_llama" | "saved_llama" => "causal_llama",
        "experts_deepseek_v2" => "causal_deepseek_v2",
        "experts_deepseek_v3" => "causal_deepseek_v3",
        own => own,
    };
    Case {
        name,
        task,
        version,
        method: crate::common::adapted(name),
        terms,
        base: golden(&format!("{base}/base")),
    }
}

fn all() -> Vec<Case> {
    let of = |task| move |name| case(name, task);
    let sequence = [
        "tiny",
        "terms",
        "xlmr",
        "llama",
        "qwen2",
        "qwen3",
        "rslora_bert",
        "patterns_bert",
        "dora_bert",
        "saved_bert",
        "deepseek_v3_fp8",
    ]
    .map(of(Task::SequenceClassification));
    let tokens = ["tokens_bert", "tokens_xlmr", "tokens_llama"].map(of(Task::TokenClassification));
    let causal = [
        "causal_llama",
        "causal_qwen2",
        "causal_qwen3",
        "causal_deepseek_v2_lite",
        "causal_deepseek_v2",
        "causal_deepseek_v3",
        "causal_deepseek_v3_fp8",
        "rslora_llama",
        "patterns_llama",
        "dora_llama",
        "saved_llama",
        "experts_deepseek_v2",
        "experts_deepseek_v3",
    ]
    .map(of(Task::CausalLm));
    sequence.into_iter().chain(tokens).chain(causal).collect()
}

/// The same version with a head that has no bias.
fn without_bias(name: &'static str, folder: &Path) -> Case {
    let mut case = case(name, Task::SequenceClassification);
    let head = folder.join("unbiased");
    copy(&golden(name).join("head"), &head);
    let path = head.join("head.safetensors");
    let mut held: Vec<(String, Tensor)> = tensors(&path).into_iter().collect();
    let biases = held.iter_mut().filter(|(name, _)| name.ends_with("bias"));
    biases.for_each(|(_, bias)| *bias = bias.zeros_like());
    Tensor::write_safetensors(&held, path).unwrap();
    case.version.head = Some(head);
    case
}

pub fn write(case: &Case, out: &Path, precision: Option<Precision>) -> Merged {
    let spec = Merge {
        schema: MERGE_SCHEMA,
        task: case.task,
        base: base(&case.base),
        version: case.version.clone(),
        method: case.method.clone(),
        term_tokens: case.terms.clone(),
        precision,
        out: out.to_owned(),
    };
    merge::run(&spec).unwrap()
}

fn adapted(case: &Case) -> Model {
    let (labels, version) = (&case.version.labels, Some(&case.version));
    Model::load(
        case.task,
        &base(&case.base),
        version,
        labels,
        &case.method,
        &case.terms,
        0.0,
        1,
    )
    .unwrap()
}

/// The merged folder as a base model of its own: nothing adapts it, the version's head answers.
pub fn alone(case: &Case, folder: &Path) -> Model {
    let version = Parent {
        adapter: None,
        term_tokens: 0,
        ..case.version.clone()
    };
    // A fresh adapter changes nothing, and a causal model has no head to train.
    let (version, method) = match case.task {
        Task::CausalLm => (None, case.method.clone()),
        _ => (Some(&version), Method::HeadOnly),
    };
    Model::load(
        case.task,
        &base(folder),
        version,
        &case.version.labels,
        &method,
        &[],
        0.0,
        1,
    )
    .unwrap()
}

pub fn questions(case: &Case) -> Batch {
    if case.task == Task::SequenceClassification {
        return batch(&tensors(&golden(case.name).join("expected.safetensors")));
    }
    let ids = Tensor::arange(27, (Kind::Int64, tch::Device::Cpu)).reshape([3, 9]) * 4 + 3;
    let mask = ids.ones_like().to_kind(Kind::Float);
    Batch { ids, mask, items: None }
}

pub fn answers(model: &Model, questions: &Batch) -> Tensor {
    model.forward(questions, None).unwrap().detach()
}

pub fn weights(folder: &Path) -> BTreeMap<String, Tensor> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "safetensors"));
    files.flat_map(|path| tensors(&path)).collect()
}

/// What transformers would have, with "unbiased_" before the name where the head has no bias.
fn expected(name: &str) -> BTreeMap<String, Vec<i64>> {
    let text = std::fs::read(repository().join("tests/golden/trainer/merged.json")).unwrap();
    let all: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&text).unwrap();
    serde_json::from_value(all[name].clone()).unwrap()
}

fn check(case: &Case, name: &str) -> Merged {
    let kept = tempfile::tempdir().unwrap();
    let out = std::env::var_os("WENGU_ORACLE_OUT").map_or(kept.path().to_owned(), PathBuf::from);
    let out = out.join("merged").join(name);
    // What eight bits become is BF16 where nothing else is asked for, which rounds the answers.
    let precision = case.name.ends_with("_fp8").then_some(Precision::F32);
    let merged = write(case, &out, precision);
    let found = weights(&out).into_iter().map(|(name, tensor)| (name, tensor.size()));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), expected(name), "{name}");
    let questions = questions(case);
    let wanted = answers(&adapted(case), &questions);
    let off = difference(&answers(&alone(case, &out), &questions), &wanted);
    println!("{name}, {}: logits differ by at most {off:.2e}", merged.class);
    assert!(off < 1e-4, "{name}: {off}");
    let expected = [("ids", &questions.ids), ("mask", &questions.mask), ("logits", &wanted)];
    Tensor::write_safetensors(&expected, out.join("expected.tensors")).unwrap();
    merged
}

#[test]
fn a_merged_folder_answers_as_base_and_adapter_do() {
    for case in all() {
        let merged = check(&case, case.name);
        let apart = ["xlmr", "llama", "qwen2", "qwen3", "deepseek_v3_fp8"].contains(&case.name);
        assert_eq!(merged.head_apart.is_some(), apart, "{}", case.name);
        assert_eq!(merged.class.ends_with("Model"), apart, "{}", case.name);
    }
}

#[test]
fn a_decoders_head_without_a_bias_goes_into_the_model() {
    for name in ["llama", "qwen2", "qwen3"] {
        let folder = tempfile::tempdir().unwrap();
        let merged = check(&without_bias(name, folder.path()), &format!("unbiased_{name}"));
        assert_eq!(merged.head_apart, None);
        assert!(merged.class.ends_with("ForSequenceClassification"), "{}", merged.class);
    }
}

#[test]
fn the_configuration_names_the_class_the_labels_and_the_grown_vocabulary() {
    let folder = tempfile::tempdir().unwrap();
    write(&case("terms", Task::SequenceClassification), folder.path(), None);
    let config = std::fs::read(folder.path().join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(
        config["architectures"],
        serde_json::json!(["BertForSequenceClassification"])
    );
    assert_eq!(config["id2label"], serde_json::json!({"0": "甲", "1": "乙", "2": "丙"}));
    assert_eq!(config["label2id"]["丙"], 2);
    assert_eq!(config["vocab_size"], 162);
}

#[test]
fn shards_stay_shards_and_numbers_take_the_precision_that_is_asked_for() {
    let case = case("llama", Task::SequenceClassification);
    let [exact, rounded] = [None, Some(Precision::Bf16)].map(|precision| {
        let folder = tempfile::tempdir().unwrap();
        write(&case, folder.path(), precision);
        let index = std::fs::read(folder.path().join("model.safetensors.index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        let held = weights(folder.path());
        assert_eq!(index["weight_map"].as_object().unwrap().len(), held.len());
        let width = if precision.is_some() { 2 } else { 4 };
        let numbers: usize = held.values().map(Tensor::numel).sum();
        assert_eq!(index["metadata"]["total_size"], numbers * width);
        alone(&case, folder.path());
        held
    });
    for (name, tensor) in &rounded {
        assert_eq!(tensor, &exact[name].to_kind(Kind::BFloat16), "{name}");
    }
}

#[test]
fn the_same_version_gives_the_same_bytes() {
    let case = case("tiny", Task::SequenceClassification);
    let [first, second] = [(); 2].map(|()| {
        let folder = tempfile::tempdir().unwrap();
        write(&case, folder.path(), None);
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        (read("config.json"), read("model.safetensors"))
    });
    assert!(first == second);
}

#[test]
fn any_number_of_labels_is_a_problem_type_of_transformers() {
    let folder = tempfile::tempdir().unwrap();
    let mut case = case("tiny", Task::MultiLabelClassification);
    // Where it is compared by check_merged.py: the same tensors and logits as "tiny".
    let merged = write(&case, folder.path(), None);
    assert_eq!(merged.class, "BertForSequenceClassification");
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("config.json")).unwrap()).unwrap();
    assert_eq!(config["problem_type"], "multi_label_classification");
    assert_eq!(config["id2label"]["1"], LABELS[1]);
    case.task = Task::SequenceClassification;
    let single = tempfile::tempdir().unwrap();
    write(&case, single.path(), None);
    let weights = |folder: &Path| std::fs::read(folder.join("model.safetensors")).unwrap();
    assert!(weights(folder.path()) == weights(single.path()));
}

#[test]
fn another_schema_and_a_base_that_changed_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let case = case("tiny", Task::SequenceClassification);
    let mut spec = Merge {
        schema: MERGE_SCHEMA,
        task: case.task,
        base: base(&case.base),
        version: case.version.clone(),
        method: case.method.clone(),
        term_tokens: Vec::new(),
        precision: None,
        out: folder.path().join("out"),
    };
    spec.base.sha256.insert("config.json".into(), "0".repeat(64));
    let error = merge::run(&spec).unwrap_err();
    assert!(
        error.end == JobEnd::BadModel && error.to_string().contains("another base model"),
        "{error}"
    );
    spec.schema += 1;
    let path = folder.path().join("spec.json");
    std::fs::write(&path, serde_json::to_vec(&spec).unwrap()).unwrap();
    let error = merge::merge(&path).unwrap_err();
    assert!(
        error.end == JobEnd::BadJob && error.to_string().contains("schema"),
        "{error}"
    );
    assert!(!spec.out.exists());
}

#[test]
fn a_folder_that_cannot_be_made_is_a_failed_write() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let case = case("tiny", Task::SequenceClassification);
    let error = adapted(&case).write_merged(&file.join("out"), None).unwrap_err();
    assert_eq!(error.end, JobEnd::WriteFailed);
}

#[test]
fn weights_in_eight_bits_are_written_as_what_their_blocks_make_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let case = case("deepseek_v3_fp8", Task::SequenceClassification);
    write(&case, folder.path(), None);
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("config.json")).unwrap()).unwrap();
    assert_eq!(config.get("quantization_config"), None);
    assert_eq!(config["torch_dtype"], "bfloat16");
    let written = weights(folder.path());
    assert!(!written.keys().any(|name| name.ends_with("_scale_inv")));
    let wide = ["norm.weight", "gate.weight", "correction_bias"];
    for (name, tensor) in &written {
        let kept = wide.iter().any(|end| name.ends_with(end)) || name.contains("norm") || name.contains("embed");
        assert!(kept || tensor.kind() == Kind::BFloat16, "{name} {:?}", tensor.kind());
    }
}

#[test]
fn merging_reads_no_weights_before_it_writes_them() {
    // A version whose base has as many numbers as its shapes say, and takes none of the memory that they would.
    let case = case("tiny", Task::SequenceClassification);
    let model = Model::load_to_merge(case.task, &base(&case.base), &case.version, &case.method, &case.terms).unwrap();
    let answer = model.forward(&questions(&case), None).unwrap();
    let bias = model.head().unwrap().1.detach();
    // Nothing of the base is there: only the head's bias and what the adapter adds speak.
    assert!(difference(&answer.detach(), &answers(&adapted(&case), &questions(&case))) > 1e-3);
    assert_eq!(answer.size()[1], bias.size()[0]);
}
