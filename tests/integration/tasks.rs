//! The whole loop for tasks that answer by the token: spans, with the real encoder, and instructions, with a small decoder.

use crate::harness::{Site, model, root};
use crate::support::grown;
use serde_json::{Value, json};
use std::path::Path;

/// Records of a committed file, each a case of its own.
fn records(file: &str, from: usize, count: usize) -> Vec<Value> {
    let text = std::fs::read_to_string(root().join("tests/data").join(file)).unwrap();
    let lines = text.lines().skip(from).take(count).enumerate();
    let record = |(i, line): (usize, &str)| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        record["doc"] = format!("{file} {}", from + i).into();
        record
    };
    let records: Vec<Value> = lines.map(record).collect();
    assert_eq!(records.len(), count);
    records
}

/// A site whose domain has this task.
fn site(task: &str, learning: &str) -> Site {
    let gate =
        "[domains.contracts.gate]\ngate_percent = 30\naudit_percent = 10\nmargin_points = 15.0\nmin_items = 10\n";
    let site = Site::new(&format!("[domains.contracts.learning]\n{learning}\n{gate}"));
    site.rewrite("model = \"base\"", &format!("model = \"base\"\ntask = \"{task}\""));
    site
}

fn version(site: &Site, run: &Value) -> std::path::PathBuf {
    let id = run["version"].as_str().unwrap_or_else(|| panic!("{run:#}"));
    site.path("state/versions/contracts").join(id)
}

fn adapter_config(version: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(version.join("adapter/adapter_config.json")).unwrap()).unwrap()
}

#[test]
fn spans_are_learned_judged_remembered_and_grow_by_a_kind() {
    if model().is_none() {
        return;
    }
    let mut site = site(
        "token_classification",
        "epochs = 8\nbatch_size = 8\nmax_length = 64\nfisher_examples = 8",
    );
    site.start();
    site.deliver("diseases.jsonl", &records("diseases.jsonl", 0, 320));
    let (first, code) = site.train();
    assert_eq!((code, &first["decision"]), (0, &json!("promote")), "{first:#}");
    let dir = version(&site, &first);
    assert_eq!(adapter_config(&dir)["task_type"], "TOKEN_CLS");
    let explained = site.json(&["versions", "explain", "contracts"]);
    assert_eq!(explained["labels"], json!(["O", "B-Disease", "I-Disease"]));
    let f1 = explained["scores"]["challenger"]["span_f1"].as_f64().unwrap();
    println!("first version: F1 {f1:.3} over the spans of its gate items");
    assert!(f1 > 0.3, "{explained:#}");

    // Each remembered sentence has the logits of all its words.
    let memory = std::fs::read_to_string(dir.join("memory/examples.jsonl")).unwrap();
    let answers: u64 = memory
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["answers"]
                .as_u64()
                .unwrap()
        })
        .sum();
    let logits = std::fs::read(dir.join("memory/logits.safetensors")).unwrap();
    let logits = safetensors::SafeTensors::deserialize(&logits).unwrap();
    assert_eq!(logits.tensor("logits").unwrap().shape(), [answers as usize, 3]);

    site.deliver("chemicals.jsonl", &records("chemicals.jsonl", 0, 120));
    let (second, _) = site.train();
    assert_eq!(second["state"]["name"], "finished", "{second:#}");
    assert!(
        ["promote", "hold", "regressed"].contains(&second["decision"].as_str().unwrap()),
        "{second:#}"
    );
    let id = second["version"].as_str().unwrap();
    let explained = site.json(&["versions", "explain", "contracts", id]);
    let labels = json!(["O", "B-Disease", "I-Disease", "B-Chemical", "I-Chemical"]);
    assert_eq!(explained["labels"], labels);
    let scores = &explained["scores"];
    println!(
        "second: {}; F1 {} against {}",
        second["decision"], scores["challenger"]["span_f1"], scores["champion"]["span_f1"]
    );
    assert!(scores["champion"]["span_f1"].as_f64().unwrap() > 0.1, "{scores}");
}

/// The oracle's small random Llama with its output layer, and as many embeddings as the byte-level tokenizer has tokens.
fn small_llama(folder: &Path) {
    let golden = root().join("tests/golden/trainer/causal_llama/base");
    let chat = root().join("daemon/tokenize/tests/fixtures/chat");
    std::fs::create_dir(folder).unwrap();
    std::fs::copy(chat.join("tokenizer.json"), folder.join("tokenizer.json")).unwrap();
    let templates: Value = serde_json::from_slice(&std::fs::read(chat.join("golden.json")).unwrap()).unwrap();
    let chatml = json!({"chat_template": templates[0]["template"], "eos_token": "<|im_end|>"});
    assert_eq!(templates[0]["name"], "chatml");
    std::fs::write(folder.join("tokenizer_config.json"), chatml.to_string()).unwrap();
    let tokens = wengu_tokenize::Tokenizer::load(folder).unwrap().vocab_size();
    let rows = |name: &str| {
        ["model.embed_tokens.weight", "lm_head.weight"]
            .contains(&name)
            .then_some(tokens)
    };
    grown(&golden, folder, rows, |config| {
        config["vocab_size"] = tokens.into();
        config["max_position_embeddings"] = 1024.into();
    });
}

#[test]
fn instructions_are_learned_and_judged_by_their_answers() {
    let learning = "epochs = 40\ndistill_alpha = 0.5\nrank = 16\nbatch_size = 8\nmax_length = 400\nfisher_examples = 4\nlearning_rate = 1e-2\n\
                    target_modules = [\"q_proj\", \"v_proj\", \"up_proj\", \"down_proj\"]";
    let mut site = site("causal_lm", learning);
    small_llama(&site.path("llama"));
    site.use_model("llama");
    site.start();
    let mut delivery = records("health-questions.jsonl", 0, 120);
    delivery.push(json!({"instruction": "Too long?", "output": "word ".repeat(500), "doc": "long"}));
    delivery.push(json!({"output": "an answer to nothing", "doc": "none"}));
    site.deliver("first.jsonl", &delivery);
    let (first, code) = site.train();
    assert_eq!((code, &first["decision"]), (0, &json!("promote")), "{first:#}");
    let dir = version(&site, &first);
    assert_eq!(adapter_config(&dir)["task_type"], "CAUSAL_LM");
    let adapter = std::fs::read(dir.join("adapter/adapter_model.safetensors")).unwrap();
    let adapter = safetensors::SafeTensors::deserialize(&adapter).unwrap();
    let key = "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight";
    assert!(adapter.names().contains(&key), "{:?}", adapter.names());
    assert!(!dir.join("head").exists() && !dir.join("memory/logits.safetensors").exists());
    // Judged against the base model as it is, by the share of the answers' tokens that is the likeliest.
    let accuracy = &first["accuracy"][0]["accuracy"];
    let of = |who: &str| accuracy[who].as_f64().unwrap();
    println!(
        "tokens of answers right: {:.3}, by the base model {:.3}",
        of("challenger"),
        of("champion")
    );
    assert!(of("challenger") > of("champion") + 0.05, "{accuracy}");
    let explained = site.json(&["versions", "explain", "contracts"]);
    let left_out = explained["left_out"].as_object().unwrap();
    assert!(
        left_out.keys().any(|reason| reason.contains("max_length")),
        "{left_out:?}"
    );
    assert!(explained["memory_examples"].as_u64().unwrap() > 40);

    site.deliver("second.jsonl", &records("health-questions.jsonl", 120, 80));
    let (second, _) = site.train();
    assert_eq!(second["state"]["name"], "finished", "{second:#}");
    assert_eq!(second["parent"], first["version"]);
    let eras = second["accuracy"].as_array().unwrap();
    assert_eq!(eras.len(), 2, "{second:#}");
    // The champion's answers to the first era are what it said when it was judged.
    let before = eras[0]["accuracy"]["champion"].as_f64().unwrap();
    assert!((before - of("challenger")).abs() < 1e-9, "{second:#}");
}
