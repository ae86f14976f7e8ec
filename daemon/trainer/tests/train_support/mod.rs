//! Jobs on a base model small enough to train in a second, run by the real program.

// Each test binary uses a part of it.
#![allow(dead_code)]

mod device;
pub mod stop;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tch::{Kind, Tensor};
use wengu_protocol::job::{
    AdapterStart, BaseModel, Data, DataFile, DistillLoss, FisherEstimate, FisherForm, JOB_SCHEMA, Job, JobEnd,
    JobResult, Learning, Lora, Method, Parent, Task, layout,
};
use wengu_trainer::data::random::{Purpose, Stream};

pub const VOCABULARY: i64 = 64;
pub const HIDDEN: i64 = 16;
pub const POSITIONS: i64 = 32;

/// A BERT of random weights in `folder`.
pub fn tiny_model(folder: &Path) -> BaseModel {
    std::fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    let config = serde_json::json!({
        "architectures": ["BertModel"], "model_type": "bert", "vocab_size": VOCABULARY, "hidden_size": HIDDEN,
        "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "hidden_act": "gelu",
        "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "layer_norm_eps": 1e-12
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let pooling = r#"{"word_embedding_dimension": 16, "pooling_mode_mean_tokens": true}"#;
    std::fs::write(folder.join("1_Pooling/config.json"), pooling).unwrap();

    let mut tensors = BTreeMap::new();
    let mut stream = Stream::new(99, Purpose::Shuffle, 0);
    let mut random = |name: String, shape: &[i64]| {
        let count = shape.iter().product::<i64>() as usize;
        let values: Vec<f32> = (0..count).map(|_| (stream.unit() as f32 - 0.5) * 0.6).collect();
        let values = if name.contains("LayerNorm.weight") {
            vec![1.0; count]
        } else {
            values
        };
        tensors.insert(name, Tensor::from_slice(&values).reshape(shape));
    };
    for (table, rows) in [("word", VOCABULARY), ("position", POSITIONS), ("token_type", 2)] {
        random(format!("embeddings.{table}_embeddings.weight"), &[rows, HIDDEN]);
    }
    let mut layer = |name: &str, outputs: i64, inputs: Option<i64>| {
        let weight: Vec<i64> = std::iter::once(outputs).chain(inputs).collect();
        random(format!("{name}.weight"), &weight);
        random(format!("{name}.bias"), &[outputs]);
    };
    layer("embeddings.LayerNorm", HIDDEN, None);
    for i in 0..2 {
        let base = format!("encoder.layer.{i}");
        for part in [
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
        ] {
            layer(&format!("{base}.{part}"), HIDDEN, Some(HIDDEN));
        }
        layer(&format!("{base}.attention.output.LayerNorm"), HIDDEN, None);
        layer(&format!("{base}.intermediate.dense"), 32, Some(HIDDEN));
        layer(&format!("{base}.output.dense"), HIDDEN, Some(32));
        layer(&format!("{base}.output.LayerNorm"), HIDDEN, None);
    }
    let named: Vec<(&String, &Tensor)> = tensors.iter().collect();
    Tensor::write_safetensors(&named, folder.join("model.safetensors")).unwrap();
    let sha256 = ["config.json", "model.safetensors", "1_Pooling/config.json"]
        .map(|name| (name.to_owned(), digest(&folder.join(name))));
    BaseModel {
        path: folder.to_path_buf(),
        sha256: sha256.into(),
        precision: Default::default(),
        device: device::device(),
    }
}

pub fn digest(path: &Path) -> String {
    Sha256::digest(std::fs::read(path).unwrap())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// An example: tokens and label.
pub type Row = (Vec<i32>, i64);

/// Rows whose class shows in two of their 4 to 12 tokens: token `10 + 4 * class + 0..4`. The rest is noise.
pub fn toy_rows(classes: i64, per_class: usize, index: u64) -> Vec<Row> {
    let mut stream = Stream::new(5, Purpose::Shuffle, index);
    let mut rows = Vec::new();
    for label in 0..classes {
        for _ in 0..per_class {
            let mut tokens: Vec<i32> = (0..4 + stream.below(9)).map(|_| 40 + stream.below(4) as i32).collect();
            tokens[0] = 2;
            for place in [1, 2] {
                tokens[place] = 10 + 4 * label as i32 + stream.below(4) as i32;
            }
            stream.shuffle(&mut tokens[1..]);
            rows.push((tokens, label));
        }
    }
    stream.shuffle(&mut rows);
    rows
}

/// Writes a data file, with teacher logits [n, width] where given.
pub fn write_set(path: &Path, rows: &[Row], teacher: Option<&Tensor>) {
    let ids: Vec<u8> = rows
        .iter()
        .flat_map(|(tokens, _)| tokens.iter().flat_map(|t| t.to_le_bytes()))
        .collect();
    let mut offsets = vec![0i64];
    rows.iter()
        .for_each(|(tokens, _)| offsets.push(offsets[offsets.len() - 1] + tokens.len() as i64));
    let labels: Vec<u8> = rows.iter().flat_map(|(_, label)| label.to_le_bytes()).collect();
    let offset_bytes: Vec<u8> = offsets.iter().flat_map(|o| o.to_le_bytes()).collect();
    let teacher: Option<(Vec<usize>, Vec<u8>)> = teacher.map(|t| {
        let values = Vec::<f32>::try_from(t.flatten(0, -1)).unwrap();
        (
            t.size().iter().map(|&d| d as usize).collect(),
            values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        )
    });
    let mut views = vec![
        (
            DataFile::IDS,
            TensorView::new(Dtype::I32, vec![ids.len() / 4], &ids).unwrap(),
        ),
        (
            DataFile::OFFSETS,
            TensorView::new(Dtype::I64, vec![offsets.len()], &offset_bytes).unwrap(),
        ),
        (
            DataFile::LABELS,
            TensorView::new(Dtype::I64, vec![rows.len()], &labels).unwrap(),
        ),
    ];
    if let Some((shape, bytes)) = &teacher {
        views.push((
            DataFile::TEACHER_LOGITS,
            TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
        ));
    }
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Writes rows whose tokens are answers: of a causal model those from the third on, else those that show a class.
pub fn write_by_token(path: &Path, rows: &[Row], task: Task) {
    let unlabelled: Vec<Row> = rows.iter().map(|(ids, _)| (ids.clone(), -1)).collect();
    write_set(path, &unlabelled, None);
    let mut tensors = Tensor::read_safetensors(path).unwrap();
    tensors.push((
        DataFile::TOKEN_LABELS.to_owned(),
        Tensor::from_slice(&token_labels(rows, task)),
    ));
    Tensor::write_safetensors(&tensors, path).unwrap();
}

/// Their labels, -1 for what is not asked for.
pub fn token_labels(rows: &[Row], task: Task) -> Vec<i64> {
    let of_row = |ids: &Vec<i32>| -> Vec<i64> {
        let of_token = |(place, &id): (usize, &i32)| match task {
            Task::CausalLm => (place > 1).then_some(i64::from(id)),
            _ => (10..18).contains(&id).then_some(i64::from(id - 10) / 4),
        };
        ids.iter()
            .enumerate()
            .map(|token| of_token(token).unwrap_or(-1))
            .collect()
    };
    rows.iter().flat_map(|(ids, _)| of_row(ids)).collect()
}

/// Writes a data file of rows with any number of `known` labels, with teacher logits [n, width] where given.
pub fn write_label_sets(path: &Path, rows: &[(Vec<i32>, Vec<usize>)], known: usize, teacher: Option<&Tensor>) {
    let single: Vec<Row> = rows.iter().map(|(tokens, _)| (tokens.clone(), -1)).collect();
    write_set(path, &single, teacher);
    let mut tensors = Tensor::read_safetensors(path).unwrap();
    let indicators: Vec<f32> = rows
        .iter()
        .flat_map(|(_, set)| (0..known).map(|label| f32::from(u8::from(set.contains(&label)))))
        .collect();
    let indicators = Tensor::from_slice(&indicators).reshape([rows.len() as i64, known as i64]);
    tensors.push((DataFile::LABEL_PROBABILITIES.to_owned(), indicators));
    Tensor::write_safetensors(&tensors, path).unwrap();
}

/// A folder with a base model and jobs.
pub struct Bench {
    pub folder: tempfile::TempDir,
    pub base: BaseModel,
}

impl Bench {
    pub fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let base = tiny_model(&folder.path().join("model"));
        Bench { folder, base }
    }

    /// A job directory with a small LoRA job on four classes; `change` makes another of it.
    pub fn job(&self, name: &str, change: impl FnOnce(&mut Job)) -> JobDir {
        let root = self.folder.path().join(name);
        write_set(&root.join("data/train.safetensors"), &toy_rows(4, 24, 0), None);
        write_set(&root.join("data/test.safetensors"), &toy_rows(4, 25, 1), None);
        let mut job = Job {
            schema: JOB_SCHEMA,
            job_id: name.to_owned(),
            seed: 17,
            threads: 1,
            task: Task::SequenceClassification,
            base: self.base.clone(),
            parent: None,
            anchor: None,
            labels: labels(4),
            threshold: None,
            method: Method::Lora(Lora {
                rank: 4,
                alpha: 8.0,
                dropout: 0.1,
                target_modules: vec!["query".into(), "value".into()],
                ..Lora::default()
            }),
            learning: Learning {
                epochs: 4,
                patience: 0,
                batch_size: 8,
                accumulation: 1,
                learning_rate: 2e-2,
                head_learning_rate: 5e-2,
                weight_decay: 0.01,
                warmup_fraction: 0.1,
                clip_norm: 1.0,
                head_dropout: 0.1,
                replay_ratio: 0.0,
                old_loss_tolerance: None,
                stability_steps: 0,
                distill_alpha: 0.0,
                distill_loss: DistillLoss::Kl,
                distill_new_alpha: 0.0,
                prior_correction: 0.0,
                discriminant_weight: 0.0,
                distill_temperature: 2.0,
                ewc_lambda: 0.0,
                adapter_start: AdapterStart::Continue,
                orthogonal_lambda: 0.0,
                fisher: FisherEstimate::Exact,
                fisher_examples: 40,
                fisher_form: FisherForm::Auto,
                fisher_decay: 0.9,
                checkpoint_steps: 5,
            },
            gradient_checkpointing: false,
            term_tokens: Vec::new(),
            data: Data {
                fresh: None,
                champion_eval: BTreeMap::new(),
                train: "data/train.safetensors".into(),
                validation: None,
                old_sample: None,
                replay: None,
                eval: BTreeMap::from([("test".to_owned(), PathBuf::from("data/test.safetensors"))]),
                candidates: Some("data/train.safetensors".into()),
                learned: Vec::new(),
            },
        };
        change(&mut job);
        let dir = JobDir { root };
        dir.write(&job);
        dir
    }
}

/// The label names `c0`, `c1`, ...
pub fn labels(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("c{i}")).collect()
}

/// A job directory.
pub struct JobDir {
    pub root: PathBuf,
}

impl JobDir {
    pub fn write(&self, job: &Job) {
        std::fs::create_dir_all(&self.root).unwrap();
        std::fs::write(self.root.join(layout::JOB), serde_json::to_vec_pretty(job).unwrap()).unwrap();
    }

    pub fn command(&self, what: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wengu-trainer"));
        command.arg(what).arg(&self.root).env("OMP_NUM_THREADS", "1");
        command
    }

    /// Runs the job; it has to end so.
    pub fn run(&self, end: JobEnd) -> Output {
        let output = self.command("run").output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(i32::from(end.exit_code())), "{stderr}");
        output
    }

    pub fn result(&self) -> JobResult {
        serde_json::from_slice(&std::fs::read(self.root.join(layout::RESULT)).unwrap()).unwrap()
    }

    /// Every output with its digest, each checked.
    pub fn outputs(&self) -> BTreeMap<String, String> {
        let outputs = self.result().outputs;
        for (name, expected) in &outputs {
            assert_eq!(digest(&self.root.join(name)), *expected, "{name}");
        }
        outputs
    }

    /// This result as the parent of another job.
    pub fn parent(&self, known: usize) -> Parent {
        let fisher = self.root.join(layout::FISHER);
        let statistics = self.root.join(layout::STATISTICS);
        let adapter = self.root.join(layout::ADAPTER);
        Parent {
            adapter: adapter.exists().then_some(adapter),
            head: Some(self.root.join(layout::HEAD)),
            labels: labels(known),
            fisher: fisher.exists().then_some(fisher),
            statistics: statistics.exists().then_some(statistics),
            term_tokens: 0,
        }
    }

    /// `logits` of an output.
    pub fn logits(&self, folder: &str, name: &str) -> Tensor {
        logits(&self.root.join(folder).join(format!("{name}.safetensors")))
    }

    /// Share of right answers to rows.
    pub fn accuracy(&self, folder: &str, name: &str, rows: &[Row]) -> f64 {
        let answers = self.logits(folder, name).argmax(1, false);
        let labels: Vec<i64> = rows.iter().map(|(_, label)| *label).collect();
        answers
            .eq_tensor(&Tensor::from_slice(&labels))
            .to_kind(Kind::Double)
            .mean(Kind::Double)
            .double_value(&[])
    }
}

pub fn logits(path: &Path) -> Tensor {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor("logits").unwrap();
    assert_eq!(view.dtype(), Dtype::F32);
    let values: Vec<f32> = view
        .data()
        .as_chunks()
        .0
        .iter()
        .map(|&b| f32::from_le_bytes(b))
        .collect();
    Tensor::from_slice(&values).reshape(view.shape().iter().map(|&d| d as i64).collect::<Vec<_>>())
}
