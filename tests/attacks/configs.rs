//! config.json and the tokenizer of base models.

use crate::models::{BASES, DEPTH, Model, Said, WEIGHTS, endless, hollow, wrong};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// The models of this file.
pub fn models() -> impl Iterator<Item = Model> {
    sizes().chain(configs()).chain(tokenizers())
}

/// Sizes that no model has, in each family.
fn sizes() -> impl Iterator<Item = Model> {
    let fields: [(&str, u64); 4] = [
        ("num_hidden_layers", 1_000_000_000),
        ("hidden_size", 1_000_000_000_000),
        ("vocab_size", 1_000_000_000_000_000),
        ("max_position_embeddings", 1 << 62),
    ];
    BASES.into_iter().flat_map(move |base| {
        fields.map(|(field, value)| {
            let told = format!("{field} is {value}; it must be between 1 and ");
            let said = wrong(&["config.json", &told]);
            Model::new(&format!("{base}: {field} of {value}"), base, said, move |folder| {
                edit(&folder.join("config.json"), |config| config[field] = value.into());
            })
        })
    })
}

/// Other configurations.
fn configs() -> impl Iterator<Item = Model> {
    let set = |base: &'static str, fields: &[(&'static str, u64)], said: Said| {
        let fields = fields.to_vec();
        let name = fields.iter().map(|(field, value)| format!("{field} of {value}"));
        let name = format!("{base}: {}", name.collect::<Vec<_>>().join(", "));
        Model::new(&name, base, said, move |folder| {
            edit(&folder.join("config.json"), |config| {
                for (field, value) in &fields {
                    config[*field] = (*value).into();
                }
            });
        })
    };
    // In `wengu model info` their products would need more than 64 bits.
    let vast = [
        "num_hidden_layers",
        "num_attention_heads",
        "head_dim",
        "intermediate_size",
    ]
    .map(|field| (field, 1 << 24));
    let vast = set(
        "causal_llama",
        &vast,
        wrong(&["config.json", "num_hidden_layers is 16777216; it must be between 1 and"]),
    );
    // The largest that are taken, and all at once; the tensors are others.
    let largest = [
        ("vocab_size", 4_000_000),
        ("hidden_size", 65_536),
        ("num_hidden_layers", 1024),
        ("num_attention_heads", 1024),
        ("num_key_value_heads", 1024),
        ("head_dim", 4096),
        ("intermediate_size", 1_048_576),
        ("max_position_embeddings", 16_777_216),
    ];
    let largest = set("causal_llama", &largest, Said::Sound);
    let layers = set("tiny", &[("num_hidden_layers", 256)], Said::Sound);
    let experts = set("deepseek_v3", &[("n_routed_experts", 1_000_000_000)], Said::Sound);
    let padding = set(
        "xlmr",
        &[("pad_token_id", u64::MAX)],
        wrong(&["config.json", "pad_token_id"]),
    );
    let spaces = Model::new(
        "config: a MiB and more",
        "tiny",
        wrong(&["config.json", "at most 1048576 are read"]),
        |folder| {
            let path = folder.join("config.json");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text + &" ".repeat(1 << 20)).unwrap();
        },
    );
    let hollow = Model::new(
        "config: a TiB",
        "tiny",
        wrong(&["config.json", "at most 1048576 are read"]),
        |folder| {
            hollow(&folder.join("config.json"), 1 << 40);
        },
    );
    let endless = Model::new(
        "config: a device",
        "tiny",
        wrong(&["config.json", "no regular file"]),
        |folder| {
            endless(&folder.join("config.json"));
        },
    );
    let nested = |key: &str| format!("{{\"{key}\": {}{},", "[".repeat(DEPTH), "]".repeat(DEPTH));
    let unread = nested("unknown");
    let unread = Model::new(
        "config: deep where nothing is read",
        "tiny",
        Said::Sound,
        move |folder| {
            let path = folder.join("config.json");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replacen('{', &unread, 1)).unwrap();
        },
    );
    let deep = nested("vocab_size");
    let deep = Model::new(
        "config: deep where a number should be",
        "tiny",
        wrong(&["config.json", "sequence"]),
        move |folder| {
            let path = folder.join("config.json");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replacen('{', &deep, 1)).unwrap();
        },
    );
    [
        vast.in_training(&["config.json", "intermediate_size is 16777216; it must be between 1 and"]),
        largest.in_training(&[WEIGHTS, "has shape", "[4000000, 65536] is expected"]),
        layers.in_training(&[WEIGHTS, "encoder.layer.2.", "is missing"]),
        experts.in_training(&[
            "config.json",
            "n_routed_experts is 1000000000; it must be between 1 and 65536",
        ]),
        padding.in_training(&["config.json", "18446744073709551615"]),
        spaces,
        hollow,
        endless,
        unread,
        deep,
    ]
    .into_iter()
}

/// Tokenizers.
fn tokenizers() -> impl Iterator<Item = Model> {
    let nested = "[".repeat(DEPTH) + &"]".repeat(DEPTH);
    let deep = [
        ("deep as a model", format!(r#"{{"version": "1.0", "model": {nested}}}"#)),
        ("deep as a normalizer", {
            let open = r#"{"type": "Sequence", "normalizers": ["#.repeat(DEPTH);
            format!(r#"{{"version": "1.0", "normalizer": {open}{}}}"#, "]}".repeat(DEPTH))
        }),
    ];
    let deep = deep.map(|(name, text)| {
        Model::tokenizer(
            name,
            wrong(&["tokenizer.json", "recursion limit exceeded"]),
            move |path| {
                fs::write(path, &text).unwrap();
            },
        )
    });
    let ids: [(&str, u64, Said); 5] = [
        ("the largest id", 3_999_999, Said::Sound),
        (
            "an id above the largest",
            4_000_000,
            wrong(&["tokenizer.json", "\"hostile\" has the id 4000000; at most 3999999"]),
        ),
        (
            "an id of 2^32 - 1",
            u64::from(u32::MAX),
            wrong(&["tokenizer.json", "\"hostile\" has the id 4294967295; at most 3999999"]),
        ),
        ("an id of 2^32", 1 << 32, wrong(&["tokenizer.json", "4294967296"])),
        (
            "an id of 2^63",
            1 << 63,
            wrong(&["tokenizer.json", "9223372036854775808"]),
        ),
    ];
    let ids = ids.map(|(name, id, said)| {
        Model::tokenizer(name, said, move |path| {
            edit(path, |tokenizer| tokenizer["model"]["vocab"]["hostile"] = id.into());
        })
    });
    let large = wrong(&["tokenizer.json", "67108865 bytes; at most 67108864 are read"]);
    let large = Model::tokenizer("64 MiB and a byte", large, |path| hollow(path, (64 << 20) + 1));
    let endless = Model {
        check: wrong(&["tokenizer.json", "is no file"]),
        ..Model::tokenizer("a device", wrong(&["tokenizer.json", "no regular file"]), endless)
    };
    let growing = Model::tokenizer(
        "each step doubles",
        wrong(&["tokenizer.json", "1099511627776 times as long"]),
        |path| {
            let double = json!({"type": "Replace", "pattern": {"String": "e"}, "content": "ee"});
            edit(path, |tokenizer| {
                tokenizer["normalizer"] = json!({"type": "Sequence", "normalizers": vec![double; 40]});
            });
        },
    );
    deep.into_iter().chain(ids).chain([large, endless, growing])
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}
