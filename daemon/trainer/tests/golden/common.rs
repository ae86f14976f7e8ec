use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};
use wengu_protocol::job::{BaseModel, Lora, Method, Parent, Task, TermToken};
use wengu_trainer::error::TrainerError;
use wengu_trainer::model::{Batch, Model};

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

pub fn golden(name: &str) -> PathBuf {
    repository().join("tests/golden/trainer").join(name)
}

pub fn tensors(path: &Path) -> HashMap<String, Tensor> {
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

pub fn batch(expected: &HashMap<String, Tensor>) -> Batch {
    Batch {
        ids: expected["ids"].to_kind(Kind::Int64),
        mask: expected["mask"].to_kind(Kind::Float),
        items: None,
    }
}

pub fn base(path: &Path) -> BaseModel {
    BaseModel {
        path: path.to_owned(),
        sha256: BTreeMap::new(),
        precision: Default::default(),
        device: crate::device::device(),
    }
}

pub fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

/// The tiny model's labels.
pub const LABELS: [&str; 3] = ["甲", "乙", "丙"];

/// How the tiny model's adapter was made.
pub fn tiny_method(dropout: f64) -> Method {
    Method::Lora(Lora {
        rank: 4,
        alpha: 12.0,
        dropout,
        target_modules: strings(&["dense", "key", "query", "value"]),
        ..Lora::default()
    })
}

pub fn parent(folder: &Path, labels: &[&str]) -> Parent {
    let adapter = Some(folder.join("adapter"));
    Parent {
        adapter,
        head: Some(folder.join("head")),
        labels: strings(labels),
        fisher: None,
        statistics: None,
        term_tokens: 0,
    }
}

/// The two tokens that make_terms.py appends to the tiny model's 160.
pub fn term_tokens() -> Vec<TermToken> {
    let term = |text: &str, id, pieces: &[u32]| TermToken {
        text: text.into(),
        id,
        pieces: pieces.into(),
    };
    vec![term("不可抗力", 160, &[5, 9, 77]), term("estoppel", 161, &[12, 140])]
}

/// The tiny model with the golden adapter and head.
pub fn tiny(base_path: &Path, dropout: f64) -> Result<Model, TrainerError> {
    like_tiny(Task::SequenceClassification, base_path, &golden("tiny"), dropout)
}

/// A model with labels and an adapter as the tiny one has them, from a folder with both and the head.
pub fn like_tiny(task: Task, base_path: &Path, version: &Path, dropout: f64) -> Result<Model, TrainerError> {
    let (base, parent) = (base(base_path), parent(version, &LABELS));
    let (labels, method) = (strings(&LABELS), tiny_method(dropout));
    Model::load(task, &base, Some(&parent), &labels, &method, &[], dropout, 1)
}

/// An adapter that peft wrote over the tiny BERT ("bert") or a small decoder ("llama", ...), or a new one with its settings; `change` is what is
/// changed of these.
pub fn of_peft(
    folder: &Path,
    kind: &str,
    with_parent: bool,
    change: impl Fn(&mut Lora),
) -> Result<Model, TrainerError> {
    let mut lora = method_of(&folder.join("adapter"));
    change(&mut lora);
    let (task, labels, base_name): (_, &[&str], _) = match kind {
        "bert" => (Task::SequenceClassification, &LABELS, "tiny/base".to_owned()),
        _ => (Task::CausalLm, &[], format!("causal_{kind}/base")),
    };
    let mut parent = parent(folder, labels);
    if task == Task::CausalLm {
        parent.head = None;
    }
    let (base, parent) = (base(&golden(&base_name)), Some(&parent).filter(|_| with_parent));
    Model::load(task, &base, parent, &strings(labels), &Method::Lora(lora), &[], 0.0, 1)
}

/// Saves the adapter into a folder, whose tensors must be those that peft wrote, and whose configuration must say nothing else than peft's.
pub fn written_again_the_same(model: &Model, theirs: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    model.save_adapter(folder.path()).unwrap();
    let read = |folder: &Path| tensors(&folder.join("adapter_model.safetensors"));
    let (found, wanted) = (read(folder.path()), read(theirs));
    assert_eq!(found.len(), wanted.len(), "{}", theirs.display());
    for (key, tensor) in wanted {
        assert_eq!(found[&key], tensor, "{} {key}", theirs.display());
    }
    let (found, wanted) = (configuration(folder.path()), configuration(theirs));
    // Which folder the base model lies in, and what was done in training, is no matter of the format.
    let own = ["base_model_name_or_path", "lora_dropout"];
    for (key, value) in found.iter().filter(|(key, _)| !own.contains(&key.as_str())) {
        assert_eq!(value, &wanted[key], "{} {key}", theirs.display());
    }
    folder
}

fn configuration(adapter: &Path) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_slice(&std::fs::read(adapter.join("adapter_config.json")).unwrap()).unwrap()
}

/// Largest difference of two tensors of one shape.
pub fn difference(left: &Tensor, right: &Tensor) -> f64 {
    assert_eq!(left.size(), right.size());
    let [left, right] = [left, right].map(|side| side.to_device(tch::Device::Cpu).to_kind(Kind::Double));
    (left - right).abs().max().double_value(&[])
}

/// Copies a folder with its folders.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of the tiny base model that pools by the mean.
pub fn tiny_with_mean_pooling(folder: &Path) {
    copy(&golden("tiny/base"), folder);
    std::fs::create_dir(folder.join("1_Pooling")).unwrap();
    std::fs::write(
        folder.join("1_Pooling/config.json"),
        r#"{"pooling_mode_mean_tokens": true}"#,
    )
    .unwrap();
}

/// The method of a golden adapter, as its own configuration says it.
pub fn adapted(name: &str) -> Method {
    Method::Lora(method_of(&golden(name).join("adapter")))
}

/// The method that an adapter's configuration says, without dropout.
pub fn method_of(adapter: &Path) -> Lora {
    let text = std::fs::read(adapter.join("adapter_config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let of = |key: &str| config[key].clone();
    Lora {
        rank: serde_json::from_value(of("r")).unwrap(),
        alpha: serde_json::from_value(of("lora_alpha")).unwrap(),
        dropout: 0.0,
        target_modules: serde_json::from_value(of("target_modules")).unwrap(),
        modules_to_save: {
            let saved: Option<Vec<String>> = serde_json::from_value(of("modules_to_save")).unwrap();
            let saved = saved.unwrap_or_default().into_iter();
            saved
                .filter(|name| !["classifier", "score"].contains(&name.as_str()))
                .collect()
        },
        use_rslora: of("use_rslora") == true,
        use_dora: of("use_dora") == true,
        rank_pattern: serde_json::from_value(of("rank_pattern")).unwrap(),
        alpha_pattern: serde_json::from_value(of("alpha_pattern")).unwrap(),
    }
}

/// What is said where a job of this method would continue the golden of this name, of tiny BERT and another method.
pub fn refused_parent(name: &str, method: &Method) -> String {
    let (base, parent) = (base(&golden("tiny/base")), parent(&golden(name), &LABELS));
    let task = Task::SequenceClassification;
    let loaded = Model::load(task, &base, Some(&parent), &strings(&LABELS), method, &[], 0.0, 1);
    loaded.err().expect("it must be refused").message
}
