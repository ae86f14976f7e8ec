//! `wengu-trainer merge`, the real program: what it holds in memory, whatever the size of the model, and what it refuses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tch::{Device, Kind, Tensor};
use wengu_protocol::job::{
    BaseModel, Bottleneck, JobEnd, Lora, Method, NonLinearity, Parent, Placement, Precision, PromptTuning, Task,
};
use wengu_protocol::merge::{MERGE_SCHEMA, Merge};
use wengu_trainer::model::Model;

const HIDDEN: i64 = 512;
const INNER: i64 = 2048;
/// The largest tensor: one of `gate_proj`, F32.
const LARGEST_BYTES: u64 = (HIDDEN * INNER * 4) as u64;
/// The layers of the larger model, which have 40 times the largest tensor.
const LAYERS: i64 = 10;

/// A Llama with this many layers, and an adapter of every linear layer.
struct Built {
    folder: tempfile::TempDir,
    base: BaseModel,
    method: Method,
}

fn build(layers: i64) -> Built {
    let folder = tempfile::tempdir().unwrap();
    let config = serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 64, "hidden_size": HIDDEN,
        "intermediate_size": INNER, "num_hidden_layers": layers, "num_attention_heads": 8, "num_key_value_heads": 8,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_theta": 10000.0,
        "tie_word_embeddings": false
    });
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let random = |rows, columns| Tensor::randn([rows, columns], (Kind::Float, Device::Cpu));
    let ones = || Tensor::ones([HIDDEN], (Kind::Float, Device::Cpu));
    let mut tensors = vec![
        ("model.embed_tokens.weight".to_owned(), random(64, HIDDEN)),
        ("lm_head.weight".to_owned(), random(64, HIDDEN)),
        ("model.norm.weight".to_owned(), ones()),
    ];
    for layer in 0..layers {
        let mut add = |name: &str, tensor| tensors.push((format!("model.layers.{layer}.{name}.weight"), tensor));
        for part in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            add(&format!("self_attn.{part}"), random(HIDDEN, HIDDEN));
        }
        add("mlp.gate_proj", random(INNER, HIDDEN));
        add("mlp.up_proj", random(INNER, HIDDEN));
        add("mlp.down_proj", random(HIDDEN, INNER));
        add("input_layernorm", ones());
        add("post_attention_layernorm", ones());
    }
    Tensor::write_safetensors(&tensors, folder.path().join("model.safetensors")).unwrap();
    let targets = [
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    ];
    let method = Method::Lora(Lora {
        rank: 1,
        alpha: 2.0,
        dropout: 0.0,
        target_modules: targets.map(str::to_owned).into(),
        ..Lora::default()
    });
    let base = BaseModel {
        path: folder.path().to_owned(),
        sha256: BTreeMap::new(),
        precision: Precision::default(),
        device: wengu_protocol::job::Device::Cpu,
    };
    let model = Model::load(Task::CausalLm, &base, None, &[], &method, &[], 0.0, 1).unwrap();
    let adapter = folder.path().join("adapter");
    std::fs::create_dir(&adapter).unwrap();
    model.save_adapter(&adapter).unwrap();
    Built { folder, base, method }
}

/// The specification of the merge into the folder `out`, in a file.
fn specification(built: &Built, method: &Method, out: &Path) -> PathBuf {
    let spec = Merge {
        schema: MERGE_SCHEMA,
        task: Task::CausalLm,
        base: built.base.clone(),
        version: Parent {
            adapter: Some(built.folder.path().join("adapter")),
            head: None,
            labels: Vec::new(),
            fisher: None,
            statistics: None,
            term_tokens: 0,
        },
        method: method.clone(),
        term_tokens: Vec::new(),
        precision: None,
        out: out.to_owned(),
    };
    let path = built.folder.path().join("spec.json");
    std::fs::write(&path, serde_json::to_vec(&spec).unwrap()).unwrap();
    path
}

fn program(spec: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wengu-trainer"));
    command.arg("merge").arg(spec).env("OMP_NUM_THREADS", "1");
    // What is freed goes back to the system at once, instead of being kept for what comes next.
    command.env("MALLOC_MMAP_THRESHOLD_", "65536");
    command
}

/// Merges. Gives the most memory that the process held by itself, and the size of what it wrote, in bytes. The pages of the
/// mapped base model are not the process's own: the system takes them back when it needs them.
fn merge(built: &Built) -> (u64, u64) {
    let out = built.folder.path().join("merged");
    let spec = specification(built, &built.method, &out);
    let mut child = program(&spec).stdout(Stdio::null()).spawn().unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut most = 0;
    let end = loop {
        most = most.max(own_memory(&status).unwrap_or(0));
        if let Some(end) = child.try_wait().unwrap() {
            break end;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert!(end.success(), "{end}");
    (most, std::fs::metadata(out.join("model.safetensors")).unwrap().len())
}

/// `RssAnon` in bytes; None once the process has none any more.
fn own_memory(status: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[test]
fn merging_ten_layers_holds_no_more_than_merging_one() {
    let [(one, _), (ten, written)] = [1, LAYERS].map(|layers| merge(&build(layers)));
    println!("one layer: {} KiB, {LAYERS}: {} KiB", one >> 10, ten >> 10);
    assert!(written > 40 * LARGEST_BYTES, "{written}");
    // A tensor is there as it is read, updated and written, which the short run may be over with between two looks at it.
    assert!(ten < one + 4 * LARGEST_BYTES, "{ten} where one layer needs {one}");
}

#[test]
fn what_is_part_of_no_weight_is_refused_and_nothing_is_written() {
    let built = build(1);
    let prompt = Method::PromptTuning(PromptTuning { virtual_tokens: 4 });
    let bottleneck = Method::Bottleneck(Bottleneck {
        placement: Placement::SeqBn,
        reduction_factor: 16,
        non_linearity: NonLinearity::Relu,
    });
    for (method, why) in [
        (prompt, "stands before every text"),
        (bottleneck, "non-linearity of its own"),
    ] {
        let out = built.folder.path().join("merged");
        let Output { status, stderr, .. } = program(&specification(&built, &method, &out)).output().unwrap();
        let said = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(i32::from(JobEnd::BadJob.exit_code())), "{said}");
        assert!(
            said.contains(why) && said.contains("export the adapter alone") && !out.exists(),
            "{said}"
        );
    }
}
