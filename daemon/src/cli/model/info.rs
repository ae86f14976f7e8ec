//! `wengu model info`: what a model folder holds, what of it is trained, and the memory that this takes.

use crate::cli::Exit;
use crate::cli::args::ModelInfoArgs;
use crate::cli::render::table;
use crate::headers::{self, Tensor};
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;
use wengu_decide::footprint::{self, Load, Memory, Shape};
use wengu_protocol::job::{BOTTLENECK_FAMILIES, Bottleneck, NonLinearity, Placement};

/// Bytes of a number in each precision that a model is loaded in.
const PRECISIONS: [(&str, u64); 2] = [("fp32", 4), ("bf16", 2)];

#[derive(Serialize)]
struct Info {
    family: String,
    can_be_trained: bool,
    shape: Shape,
    tensors: usize,
    parameters: u64,
    stored: BTreeMap<String, Stored>,
    target_modules: Vec<String>,
    methods: Vec<Method>,
    memory: Vec<Row>,
}

/// Numbers of one type.
#[derive(Default, Serialize)]
struct Stored {
    parameters: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Method {
    name: &'static str,
    trained: u64,
    share: f64,
}

/// Memory at one precision and length.
#[derive(Serialize)]
struct Row {
    precision: &'static str,
    tokens: u64,
    fits: bool,
    train_lora: Memory,
    train_prompt: Memory,
    /// None: the family has no place for them.
    train_bottleneck: Option<Memory>,
    train_head: Memory,
    serve: Memory,
}

pub fn info(args: &ModelInfoArgs, json: bool) -> Result<Exit> {
    let info = gather(args)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&info)?);
    } else {
        print(args, &info);
    }
    Ok(Exit::Success)
}

fn gather(args: &ModelInfoArgs) -> Result<Info> {
    let described = headers::describe(&args.folder)?;
    let tensors = headers::tensors(&args.folder)?;
    let shape = described.shape;
    let target_modules = crate::model::target_modules(&args.folder)?;
    let sites = headers::sites(&tensors, &target_modules);
    let mut stored: BTreeMap<String, Stored> = BTreeMap::new();
    for tensor in &tensors {
        let entry = stored.entry(format!("{:?}", tensor.dtype)).or_default();
        entry.parameters += tensor.numbers();
        entry.bytes += tensor.bytes();
    }
    let parameters = tensors.iter().filter(|tensor| tensor.is_parameter());
    let parameters: u64 = parameters.map(Tensor::numbers).sum();
    // A decoder that writes has no head to train beside its adapter.
    let head = footprint::head_parameters(args.labels, shape.hidden);
    let beside = if shape.decoder { 0 } else { head };
    let lora = footprint::lora_parameters(&sites, args.rank) + beside;
    let prompt = footprint::prompt_parameters(args.prompt_tokens, shape.hidden) + beside;
    let bottleneck = |placement: Placement| {
        let settings = Bottleneck {
            placement,
            reduction_factor: args.reduction_factor,
            non_linearity: NonLinearity::Relu,
        };
        footprint::bottleneck_sites(&shape, &settings)
    };
    let [single, double] = [Placement::SeqBn, Placement::DoubleSeqBn].map(bottleneck);
    let has_place = BOTTLENECK_FAMILIES.contains(&described.family.as_str());
    let of_bottleneck = |sites: &[(u64, u64)]| footprint::affine_parameters(sites) + beside;
    let method = |name, trained| Method {
        name,
        trained,
        share: trained as f64 / (parameters + trained).max(1) as f64,
    };
    let mut memory = Vec::new();
    for (precision, bytes) in PRECISIONS {
        for &tokens in &args.lengths {
            let load = |batch, tokens| Load { batch, tokens, bytes };
            let train = load(args.batch, tokens);
            memory.push(Row {
                precision,
                tokens,
                fits: tokens <= shape.max_tokens,
                train_lora: footprint::to_train(&shape, parameters, lora, &sites, train),
                train_prompt: {
                    let train = load(args.batch, tokens + args.prompt_tokens);
                    footprint::to_train(&shape, parameters, prompt, &[], train)
                },
                train_bottleneck: has_place
                    .then(|| footprint::to_train(&shape, parameters, of_bottleneck(&double), &double, train)),
                train_head: footprint::to_train_head(&shape, parameters, head, train),
                serve: footprint::to_serve(&shape, parameters, load(1, tokens)),
            });
        }
    }
    let trained = headers::ENCODERS.iter().chain(&headers::DECODERS);
    let mut methods = vec![method("lora", lora), method("prompt_tuning", prompt)];
    if has_place {
        methods.push(method("seq_bn", of_bottleneck(&single)));
        methods.push(method("double_seq_bn", of_bottleneck(&double)));
    }
    methods.push(method("head_only", head));
    Ok(Info {
        can_be_trained: trained.into_iter().any(|family| *family == described.family),
        family: described.family,
        shape,
        tensors: tensors.len(),
        parameters,
        stored,
        target_modules,
        methods,
        memory,
    })
}

fn print(args: &ModelInfoArgs, info: &Info) {
    let trainable = if info.can_be_trained {
        ""
    } else {
        " (wengu does not train this family)"
    };
    println!("family      {}{trainable}", info.family);
    println!("parameters  {} in {} tensors", grouped(info.parameters), info.tensors);
    for (dtype, stored) in &info.stored {
        println!("  {dtype:<9} {}, {}", grouped(stored.parameters), size(stored.bytes));
    }
    println!("takes       {} tokens at most", info.shape.max_tokens);
    let mut methods = table(["method", "trained parameters", "share"]);
    for method in &info.methods {
        let name = match method.name {
            "lora" => format!("LoRA, rank {}, {}", args.rank, info.target_modules.join(" and ")),
            "prompt_tuning" => format!("prompt tuning, {} tokens", args.prompt_tokens),
            placement @ ("seq_bn" | "double_seq_bn") => {
                format!("bottleneck, {placement}, width 1/{}", args.reduction_factor)
            }
            _ => format!("head only, {} labels", args.labels),
        };
        methods.add_row([name, grouped(method.trained), format!("{:.4} %", method.share * 100.0)]);
    }
    println!("{methods}");
    let mut memory = table([
        "precision",
        "tokens",
        "train LoRA",
        "train a prompt",
        "train double_seq_bn",
        "train a head",
        "serve",
    ]);
    for row in &info.memory {
        let of = |memory: &Memory| {
            if row.fits {
                size(memory.total())
            } else {
                "too long".into()
            }
        };
        memory.add_row([
            row.precision.to_owned(),
            row.tokens.to_string(),
            of(&row.train_lora),
            of(&row.train_prompt),
            row.train_bottleneck.as_ref().map_or("-".into(), of),
            of(&row.train_head),
            of(&row.serve),
        ]);
    }
    println!("{memory}");
    let batch = args.batch;
    println!("An estimate from the shape: training with {batch} examples at once, serving one; libraries come on top.");
}

/// `8,030,261,248`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `14.9 GiB`, `3 MiB`.
fn size(bytes: u64) -> String {
    const MIB: f64 = (1 << 20) as f64;
    match bytes as f64 / MIB {
        mib if mib >= 1024.0 => format!("{:.1} GiB", mib / 1024.0),
        mib if mib >= 1.0 => format!("{mib:.0} MiB"),
        _ => format!("{:.0} KiB", bytes as f64 / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn args(name: &str) -> ModelInfoArgs {
        ModelInfoArgs {
            folder: Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../tests/golden/trainer")
                .join(name)
                .join("base"),
            rank: 4,
            labels: 3,
            prompt_tokens: 20,
            reduction_factor: 8,
            batch: 16,
            lengths: vec![16, 512],
        }
    }

    #[test]
    fn a_model_is_described_whole() {
        let info = gather(&args("tiny")).unwrap();
        assert_eq!((info.family.as_str(), info.can_be_trained), ("bert", true));
        assert_eq!(info.target_modules, ["query", "value"]);
        let trained: Vec<u64> = info.methods.iter().map(|method| method.trained).collect();
        // Four layers of 32 x 32 at rank 4, and a head of three labels.
        // Two or four bottlenecks of width 4.
        let bottleneck = 2 * 4 * 32 + 4 + 32;
        let expected = [4 * 4 * 64, 20 * 32, 2 * bottleneck, 4 * bottleneck, 0].map(|numbers| numbers + 99);
        assert_eq!(trained, expected);
        assert_eq!(
            info.memory.iter().map(|row| row.fits).collect::<Vec<_>>(),
            [true, false, true, false]
        );
        assert!(info.memory[0].serve.total() > info.memory[2].serve.total());
        // No place for bottlenecks.
        let info = gather(&args("qwen2")).unwrap();
        assert_eq!(info.methods.len(), 3);
        assert!(info.memory.iter().all(|row| row.train_bottleneck.is_none()));
    }

    #[test]
    fn numbers_and_sizes_are_written_for_people() {
        assert_eq!(
            [0, 999, 1000, 8_030_261_248].map(grouped),
            ["0", "999", "1,000", "8,030,261,248"]
        );
        assert_eq!([512, 3 << 20, 16_060_522_496].map(size), ["0 KiB", "3 MiB", "15.0 GiB"]);
    }
}
