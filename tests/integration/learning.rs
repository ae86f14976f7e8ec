//! The loop with the real model: labels of several kinds, terms, decoders, and runs that cannot be.

use crate::harness::{QUICK_LEARNING, Site, clauses, model, program, root};
use serde_json::Value;

#[test]
fn a_missing_model_fails_the_run_by_name_and_keeps_the_examples() {
    if model().is_none() {
        return;
    }
    let mut site = Site::new(QUICK_LEARNING);
    let copy = site.path("model");
    std::fs::create_dir(&copy).unwrap();
    for file in ["config.json", "tokenizer.json"] {
        std::fs::copy(model().unwrap().join(file), copy.join(file)).unwrap();
    }
    std::fs::write(copy.join("model.safetensors"), b"not a model").unwrap();
    site.use_model("model");
    site.start();
    site.deliver("first.jsonl", &clauses("1-first-delivery/clauses-a.jsonl", 4, 22));
    let (run, code) = site.train();
    assert_eq!(code, 5, "{run:#}");
    assert_eq!(run["state"]["end"], "bad_model", "{run:#}");
    assert_eq!(site.files(), [("pooled".to_string(), 1)].into());
}

/// Installs the bundled plugin, and gives the configuration that names it.
fn use_legal_en(site: &Site) {
    let folder = root().join("plugins/legal-en");
    let library = program("libwengu_plugin_legal_en.so");
    let arguments = [
        "plugin",
        "install",
        folder.to_str().unwrap(),
        "--allow-unsigned",
        "--library",
    ];
    let installed = site.wengu(&[&arguments[..], &[library.to_str().unwrap()]].concat());
    assert!(
        installed.status.success(),
        "{}",
        String::from_utf8_lossy(&installed.stderr)
    );
    site.rewrite(
        "model = \"base\"",
        "model = \"base\"\nplugin = \"dev.wengu.legal-en\"\nplugin_config = { spans = true }",
    );
}

#[test]
fn votes_become_probabilities_that_are_learned_and_functions_are_reported() {
    if model().is_none() {
        return;
    }
    let mut site = Site::new(QUICK_LEARNING);
    use_legal_en(&site);
    let trainer = format!(
        "[trainer]\ncommand = [\"sh\", \"-c\", \"cp -r $2/data {}; exec {} $1 $2\", \"sh\"]",
        site.path("seen").display(),
        program("wengu-trainer").display()
    );
    site.rewrite("[trainer]", &trainer);
    site.start();
    let records = clauses("1-first-delivery/clauses-a.jsonl", 4, 22);
    let unlabelled: Vec<Value> = records
        .iter()
        .enumerate()
        .map(|(i, record)| {
            let mut record = record.clone();
            // Every fifth keeps its gold label, which the functions are counted against.
            if i % 5 > 0 {
                record.as_object_mut().unwrap().remove("label");
            }
            record
        })
        .collect();
    site.deliver("first.jsonl", &unlabelled);
    let (run, _) = site.train();
    assert!(run["train_examples"].as_u64().unwrap() >= 20, "{run:#}");
    assert_eq!(run["state"]["name"], "finished", "{run:#}");

    // What was trained on is a distribution for each example, certain where a person gave the label.
    let data = std::fs::read(site.path("seen/train.safetensors")).unwrap();
    let data = safetensors::SafeTensors::deserialize(&data).unwrap();
    let rows = data.tensor("label_probabilities").unwrap();
    let width = rows.shape()[1];
    let values: Vec<f32> = rows
        .data()
        .chunks(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    let tops: Vec<f32> = values
        .chunks(width)
        .map(|row| row.iter().copied().fold(0.0, f32::max))
        .collect();
    assert!(
        values
            .chunks(width)
            .all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5)
    );
    assert!(tops.contains(&1.0) && tops.iter().any(|top| *top < 0.999), "{tops:?}");

    // The gate's answers were scored by the plugin as well.
    let explained = site.json(&["versions", "explain", "contracts"]);
    let scores = &explained["plugin_scores"];
    assert!(scores["plugin"].as_str().unwrap().starts_with("dev.wengu.legal-en "));
    let exact = &scores["metrics"][0];
    assert_eq!(exact["name"], "label-exact");
    let accuracy = explained["run"]["accuracy"][0]["accuracy"]["challenger"]
        .as_f64()
        .unwrap();
    assert!(
        (exact["challenger"].as_f64().unwrap() - accuracy).abs() < 1e-9,
        "{exact}"
    );
    assert_eq!(exact["champion"], Value::Null);

    let reports = site.json(&["plugin", "functions", "contracts"]);
    let report = &reports[0];
    assert_eq!(report["texts"].as_u64().unwrap() as usize, records.len());
    let functions = report["functions"].as_array().unwrap();
    assert!(functions.iter().any(|f| f["about"] == "spans"), "{reports:#}");
    let law = functions
        .iter()
        .find(|f| f["gold_votes"].as_u64().unwrap() > 0)
        .unwrap();
    assert!(law["gold_right"].as_u64() <= law["gold_votes"].as_u64());
    assert!(law["coverage"].as_f64().unwrap() > 0.0 && law["estimated_accuracy"].as_f64().unwrap() > 0.5);
    let text = site.wengu(&["plugin", "functions", "contracts"]);
    assert!(String::from_utf8_lossy(&text.stdout).contains("estimated accuracy"));
    let explained = site.json(&["files", "explain", site.path("inbox/first.jsonl").to_str().unwrap()]);
    let sources: Vec<&str> = explained["examples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["source"].as_str().unwrap())
        .collect();
    let spans = explained["examples"].as_array().unwrap().iter();
    let spans: Vec<&Value> = spans.filter_map(|e| e["spans"].as_array()).flatten().collect();
    let date = spans
        .iter()
        .find(|s| s["label"] == "date")
        .expect("a clause names a date");
    assert!(date["probability"].as_f64().unwrap() > 0.3 && !date["text"].as_str().unwrap().is_empty());
    assert!(
        sources.contains(&"gold") && sources.iter().any(|s| s.starts_with("weak ")),
        "{sources:?}"
    );
}

#[test]
fn terms_get_tokens_of_their_own_and_each_version_is_asked_in_its_own() {
    if model().is_none() {
        return;
    }
    let mut site = Site::new(&QUICK_LEARNING.replace("max_length = 48", "max_length = 48\nterm_tokens = 12"));
    use_legal_en(&site);
    site.start();
    let version = |run: &Value| {
        site.path("state/versions/contracts")
            .join(run["version"].as_str().unwrap())
    };
    let tokens = |run: &Value| {
        let config = std::fs::read(version(run).join("adapter/adapter_config.json")).unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        config["trainable_token_indices"].as_array().unwrap().clone()
    };
    site.deliver("first.jsonl", &clauses("1-first-delivery/clauses-a.jsonl", 4, 22));
    let (first, code) = site.train();
    assert_eq!(code, 0, "{first:#}");
    let after_one = tokens(&first);
    assert!(!after_one.is_empty() && after_one.len() < 12, "{after_one:?}");
    assert_eq!(after_one[0], 30522);

    site.deliver("second.jsonl", &clauses("2-new-clause-types/clauses.jsonl", 3, 40));
    let (second, _) = site.train();
    let after_two = tokens(&second);
    assert!(
        after_two.len() > after_one.len() && after_two.starts_with(&after_one),
        "{after_two:?}"
    );
    // The champion that the second run asks is the version that the first one made: it says the same in its own tokens.
    let of = |run: &Value, who: &str| run["accuracy"][0]["accuracy"][who].as_f64().unwrap();
    assert!(
        (of(&second, "champion") - of(&first, "challenger")).abs() < 1e-12,
        "{first:#} {second:#}"
    );

    let tokenizer = wengu_tokenize::Tokenizer::load(&version(&second).join("tokenizer")).unwrap();
    assert_eq!(tokenizer.vocab_size(), 30522 + after_two.len());
}

/// The oracle's small random Llama, in two shards, with as many embeddings as the byte-level tokenizer has tokens.
fn small_llama(folder: &std::path::Path) {
    use safetensors::{SafeTensors, tensor::TensorView};
    let golden = root().join("tests/golden/trainer/llama/base");
    let tokenizer = root().join("daemon/tokenize/tests/fixtures/byte_level/tokenizer.json");
    std::fs::create_dir(folder).unwrap();
    std::fs::copy(&tokenizer, folder.join("tokenizer.json")).unwrap();
    let tokens = wengu_tokenize::Tokenizer::load(folder).unwrap().vocab_size();
    for shard in ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] {
        let bytes = std::fs::read(golden.join(shard)).unwrap();
        let held = SafeTensors::deserialize(&bytes).unwrap();
        let grown: Vec<(String, Vec<usize>, Vec<u8>)> = held
            .tensors()
            .into_iter()
            .map(|(name, view)| {
                let mut shape = view.shape().to_vec();
                let mut data = view.data().to_vec();
                if name == "model.embed_tokens.weight" {
                    data = data.repeat(tokens.div_ceil(shape[0]));
                    data.truncate(tokens * shape[1] * 4);
                    shape[0] = tokens;
                }
                (name, shape, data)
            })
            .collect();
        let views = grown.iter().map(|(name, shape, data)| {
            (
                name,
                TensorView::new(safetensors::Dtype::F32, shape.clone(), data).unwrap(),
            )
        });
        std::fs::write(folder.join(shard), safetensors::serialize(views, None).unwrap()).unwrap();
    }
    let index = "model.safetensors.index.json";
    std::fs::copy(golden.join(index), folder.join(index)).unwrap();
    let mut config: Value = serde_json::from_slice(&std::fs::read(golden.join("config.json")).unwrap()).unwrap();
    config["vocab_size"] = tokens.into();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

#[test]
fn a_decoder_in_shards_goes_the_whole_way() {
    let mut site = Site::new(QUICK_LEARNING);
    small_llama(&site.path("llama"));
    site.use_model("llama");
    site.start();
    site.deliver("first.jsonl", &clauses("1-first-delivery/clauses-a.jsonl", 4, 22));
    let (first, _) = site.train();
    assert_eq!(first["state"]["name"], "finished", "{first:#}");
    let version = site
        .path("state/versions/contracts")
        .join(first["version"].as_str().unwrap());
    let adapter = std::fs::read(version.join("adapter/adapter_model.safetensors")).unwrap();
    let adapter = safetensors::SafeTensors::deserialize(&adapter).unwrap();
    // Nobody has named layers: queries and values, as this family calls them.
    let names: std::collections::BTreeSet<&str> = adapter.names().into_iter().collect();
    assert_eq!(names.len(), 8, "{names:?}");
    assert!(
        names.contains("base_model.model.layers.1.self_attn.v_proj.lora_B.weight"),
        "{names:?}"
    );
}

#[test]
fn an_update_that_cannot_be_planned_is_told_to_whoever_waits_for_it() {
    let mut site = Site::new(QUICK_LEARNING);
    small_llama(&site.path("llama"));
    site.use_model("llama");
    site.start();
    std::fs::remove_file(site.path("llama/model-00002-of-00002.safetensors")).unwrap();
    site.deliver("first.jsonl", &clauses("1-first-delivery/clauses-a.jsonl", 4, 22));
    let told = site.wengu(&["train", "contracts"]);
    assert_eq!(told.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&told.stderr);
    assert!(
        errors.contains("could not be planned") && errors.contains("model-00002-of-00002"),
        "{errors}"
    );
}
