//! One model through the programs that read it, each in a process of its own with little memory.

use crate::TIME_MAX;
use crate::measure::{place, program, wait};
use crate::models::{Model, Said};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use wengu_protocol::job::{DataFile, JOB_SCHEMA, JobEnd, layout};

/// Address space of a process in KiB: what reads a model by its word does not take the machine along.
const ADDRESSES_KIB: u64 = 4_000_000;
/// Memory of the daemon's commands. A header of 8 MB with 100,000 tensors is among what they read.
const PEAK_MAX: u64 = 384 << 20;
/// Memory of the trainer, most of which are its libraries.
const TRAINER_PEAK_MAX: u64 = 1 << 30;

/// What a program said of a model.
pub struct Answer {
    /// The command.
    pub command: &'static str,
    /// What it must say.
    pub wanted: Said,
    /// Its exit code where it must refuse the model.
    pub refusal: i32,
    /// Its exit code; None where it was killed.
    pub code: Option<i32>,
    /// What it wrote.
    pub said: String,
    /// How long it took.
    pub time: Duration,
    /// Its largest resident size.
    pub peak_bytes: u64,
    /// What that may be.
    pub peak_max: u64,
}

/// Has all programs read the model.
pub fn ask(model: &Model) -> Vec<Answer> {
    let site = tempfile::tempdir().unwrap();
    let root = site.path();
    lay_out(model, root);
    let wengu = program("wengu");
    let ask = |command, arguments: &[&str], wanted: &Said, refusal| {
        Asked {
            command,
            wanted,
            refusal,
            peak_max: PEAK_MAX,
        }
        .of(&wengu, arguments, root)
    };
    let mut answers = vec![
        ask("model info", &["model", "info", "model"], &model.info, 1),
        ask("model add", &["model", "add", "model"], &model.add, 1),
        ask("check", &["--config", "wengu.toml", "check"], &model.check, 78),
    ];
    let trainer = place("wengu-trainer");
    if !trainer.exists() {
        // As in the integration suite: `make test` has it, and says so.
        assert!(
            std::env::var_os("WENGU_REQUIRE_MODEL").is_none(),
            "the trainer is missing"
        );
        println!("not asked: wengu-trainer (`make setup build`)");
        return answers;
    }
    let train = Asked {
        command: "wengu-trainer check",
        wanted: &model.train,
        refusal: JobEnd::BadModel.exit_code().into(),
        peak_max: TRAINER_PEAK_MAX,
    };
    answers.push(train.of(&trainer, &["check", "job"], root));
    answers
}

struct Asked<'a> {
    command: &'static str,
    wanted: &'a Said,
    refusal: i32,
    peak_max: u64,
}

impl Asked<'_> {
    fn of(self, program: &Path, arguments: &[&str], root: &Path) -> Answer {
        let path = root.join("said");
        let said = File::create(&path).unwrap();
        let began = Instant::now();
        let mut child = Command::new("sh")
            .args(["-c", "ulimit -v \"$1\"; shift; exec \"$@\"", "sh"])
            .arg(ADDRESSES_KIB.to_string())
            .arg(program)
            .args(arguments)
            .current_dir(root)
            .env("MALLOC_ARENA_MAX", "1")
            .env("OMP_NUM_THREADS", "1")
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap();
        let (status, peak_bytes) = wait(&mut child, TIME_MAX);
        Answer {
            command: self.command,
            wanted: self.wanted.clone(),
            refusal: self.refusal,
            code: status.code(),
            said: String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned(),
            time: began.elapsed(),
            peak_bytes,
            peak_max: self.peak_max,
        }
    }
}

/// The model, a configuration that names it, and a job on it.
fn lay_out(model: &Model, root: &Path) {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("model");
    for inside in ["model/1_Pooling", "inbox", "job"] {
        fs::create_dir_all(root.join(inside)).unwrap();
    }
    for file in ["config.json", "model.safetensors"] {
        let golden = tests.join("golden/trainer").join(model.base).join("base");
        fs::copy(golden.join(file), folder.join(file)).unwrap();
    }
    let tokenizer = tests.join("../daemon/tokenize/tests/fixtures/wordpiece/tokenizer.json");
    fs::copy(tokenizer, folder.join("tokenizer.json")).unwrap();
    let pooling = r#"{"pooling_mode_mean_tokens": true}"#;
    fs::write(folder.join("1_Pooling/config.json"), pooling).unwrap();
    (model.make)(&folder);

    let config = "state_dir = \"state\"\n[models.base]\npath = \"model\"\n\
                  [domains.contracts]\nwatch = [\"inbox\"]\nmodel = \"base\"\n";
    fs::write(root.join("wengu.toml"), config).unwrap();

    let job = json!({
        "schema": JOB_SCHEMA, "job_id": "hostile", "seed": 1, "threads": 1, "labels": ["a", "b"], "parent": null,
        "base": {"path": folder, "sha256": {}, "device": "cpu"},
        "method": {"name": "head_only"},
        "learning": {
            "epochs": 1, "batch_size": 1, "accumulation": 1, "learning_rate": 1e-3, "head_learning_rate": 1e-3,
            "weight_decay": 0.0, "warmup_fraction": 0.0, "clip_norm": 1.0, "head_dropout": 0.0, "replay_ratio": 0.0,
            "distill_alpha": 0.0, "distill_temperature": 1.0, "ewc_lambda": 0.0, "fisher": "exact",
            "fisher_examples": 0, "fisher_decay": 0.5, "checkpoint_steps": 1
        },
        "data": {"train": "train.safetensors", "replay": null, "eval": {}, "candidates": null}
    });
    fs::write(root.join("job").join(layout::JOB), job.to_string()).unwrap();
    let ids = [1_i32, 2, 3, 4].map(i32::to_le_bytes).concat();
    let offsets = [0_i64, 2, 4].map(i64::to_le_bytes).concat();
    let labels = [0_i64, 1].map(i64::to_le_bytes).concat();
    let views = [
        (DataFile::IDS, TensorView::new(Dtype::I32, vec![4], &ids).unwrap()),
        (
            DataFile::OFFSETS,
            TensorView::new(Dtype::I64, vec![3], &offsets).unwrap(),
        ),
        (DataFile::LABELS, TensorView::new(Dtype::I64, vec![2], &labels).unwrap()),
    ];
    let data = safetensors::serialize(views, None).unwrap();
    fs::write(root.join("job/train.safetensors"), data).unwrap();
}
