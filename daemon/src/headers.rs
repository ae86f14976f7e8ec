//! What a model folder says of itself: its config.json, and the headers of its safetensors files. No tensor is read.

use anyhow::{Context, Error, Result, anyhow, bail};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::fs::File;
use std::path::Path;
use wengu_decide::footprint::Shape;
use wengu_protocol::model_files;

/// A tensor as its file's header has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its stored name.
    pub name: String,
    /// How its numbers are stored.
    pub dtype: Dtype,
    /// Its dimensions.
    pub shape: Vec<u64>,
}

impl Tensor {
    /// How many numbers it has.
    pub fn numbers(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Whether it can be a parameter: tables of positions and the like are whole numbers.
    pub fn is_parameter(&self) -> bool {
        !matches!(
            self.dtype,
            Dtype::BOOL
                | Dtype::U8
                | Dtype::I8
                | Dtype::I16
                | Dtype::U16
                | Dtype::I32
                | Dtype::U32
                | Dtype::I64
                | Dtype::U64
        )
    }

    /// How many bytes they take.
    pub fn bytes(&self) -> u64 {
        self.numbers() * self.dtype.bitsize() as u64 / 8
    }
}

/// A model's family and shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// `model_type` of config.json.
    pub family: String,
    /// What it says of the model's size.
    pub shape: Shape,
}

/// Families that wengu trains.
pub const ENCODERS: [&str; 3] = ["bert", "roberta", "xlm-roberta"];
/// Families that wengu trains and that write text.
pub const DECODERS: [&str; 5] = ["llama", "qwen2", "qwen3", "deepseek_v2", "deepseek_v3"];

/// No size in a config.json is above these, the trainer's own of decoders: what is reckoned from them stays within 64 bits.
const VOCABULARY_MAX: u64 = model_files::VOCABULARY_MAX as u64;
const HIDDEN_MAX: u64 = 65_536;
const LAYERS_MAX: u64 = 1024;
const HEADS_MAX: u64 = 1024;
const HEAD_DIM_MAX: u64 = 4096;
const INNER_MAX: u64 = 1_048_576;
const POSITIONS_MAX: u64 = 16_777_216;

#[derive(Deserialize)]
struct Config {
    model_type: String,
    vocab_size: u64,
    hidden_size: u64,
    num_hidden_layers: u64,
    num_attention_heads: u64,
    num_key_value_heads: Option<u64>,
    head_dim: Option<u64>,
    intermediate_size: u64,
    max_position_embeddings: u64,
    pad_token_id: Option<u64>,
}

/// Reads the folder's config.json.
///
/// # Errors
/// A file that is missing, cannot be read or lacks a field; the message names it.
pub fn describe(folder: &Path) -> Result<Described> {
    let path = folder.join("config.json");
    let told = || {
        format!(
            "{}: no config.json of a Hugging Face model; name a folder that has one",
            path.display()
        )
    };
    let text = model_files::read(&path, model_files::CONFIG_BYTES_MAX).with_context(told)?;
    let config: Config = serde_json::from_slice(&text).with_context(told)?;
    for (field, value, most) in [
        ("vocab_size", config.vocab_size, VOCABULARY_MAX),
        ("hidden_size", config.hidden_size, HIDDEN_MAX),
        ("num_hidden_layers", config.num_hidden_layers, LAYERS_MAX),
        ("num_attention_heads", config.num_attention_heads, HEADS_MAX),
        (
            "num_key_value_heads",
            config.num_key_value_heads.unwrap_or(1),
            HEADS_MAX,
        ),
        ("head_dim", config.head_dim.unwrap_or(1), HEAD_DIM_MAX),
        ("intermediate_size", config.intermediate_size, INNER_MAX),
        ("max_position_embeddings", config.max_position_embeddings, POSITIONS_MAX),
    ] {
        if !(1..=most).contains(&value) {
            bail!(
                "{}: {field} is {value}; it must be between 1 and {most}; download the file again",
                path.display()
            );
        }
    }
    // RoBERTa counts positions from behind the padding's id.
    let before = match config.model_type.as_str() {
        "roberta" | "xlm-roberta" => config.pad_token_id.unwrap_or(1).saturating_add(1),
        _ => 0,
    };
    if before >= config.max_position_embeddings {
        let padding = config.pad_token_id.unwrap_or(1);
        bail!(
            "{}: pad_token_id {padding} leaves no position for a token",
            path.display()
        );
    }
    let shape = Shape {
        vocab: config.vocab_size,
        hidden: config.hidden_size,
        layers: config.num_hidden_layers,
        heads: config.num_attention_heads,
        kv_heads: config.num_key_value_heads.unwrap_or(config.num_attention_heads),
        head_dim: config
            .head_dim
            .unwrap_or(config.hidden_size / config.num_attention_heads),
        inner: config.intermediate_size,
        max_tokens: config.max_position_embeddings - before,
        decoder: !ENCODERS.contains(&config.model_type.as_str()),
    };
    let family = config.model_type;
    Ok(Described { family, shape })
}

/// The tensors of the folder's weights, of all shards, in their files' order.
///
/// # Errors
/// A file that is missing or no safetensors file; the message names it.
pub fn tensors(folder: &Path) -> Result<Vec<Tensor>> {
    let files = crate::model::weights(folder)?;
    let mut all = Vec::new();
    for name in files.iter().filter(|name| name.ends_with(".safetensors")) {
        all.extend(of_file(&folder.join(name))?);
    }
    Ok(all)
}

fn of_file(path: &Path) -> Result<Vec<Tensor>> {
    let told = || {
        format!(
            "{}: cannot be read; `wengu model pull` downloads a model again",
            path.display()
        )
    };
    // A pipe would be waited for.
    model_files::check_size(path, u64::MAX).with_context(told)?;
    let file = File::open(path).with_context(told)?;
    // SAFETY: the map is only read, and as bytes. Whoever truncates the file meanwhile ends this command with SIGBUS.
    let map = unsafe { Mmap::map(&file) }.with_context(told)?;
    let told = || format!("{}: no whole safetensors file; download it again", path.display());
    model_files::check_header(&map).map_err(Error::msg).with_context(told)?;
    let parsed = SafeTensors::deserialize(&map).with_context(told)?;
    // The smallest numbers take four bits. A tensor without any may have any other size, and sums of such would overflow.
    let most = map.len() as u64 * 2;
    let mut tensors = Vec::with_capacity(parsed.len());
    for (name, view) in parsed.iter() {
        let shape: Vec<u64> = view.shape().iter().map(|&n| n as u64).collect();
        if shape.iter().any(|&size| size > most) {
            let wrong = anyhow!("tensor {name} has shape {shape:?}, which is larger than its file");
            return Err(wrong).with_context(told);
        }
        tensors.push(Tensor {
            name: name.to_owned(),
            dtype: view.dtype(),
            shape,
        });
    }
    Ok(tensors)
}

/// (in, out) of the linear layers whose name is a target or ends in one after a dot, as PEFT's `target_modules` says.
pub fn sites(tensors: &[Tensor], targets: &[String]) -> Vec<(u64, u64)> {
    let is_target = |module: &str| {
        let mut targets = targets.iter();
        targets.any(|target| {
            module
                .strip_suffix(target.as_str())
                .is_some_and(|r| r.is_empty() || r.ends_with('.'))
        })
    };
    let linear = tensors.iter().filter_map(|tensor| match tensor.shape[..] {
        [outputs, inputs] => is_target(tensor.name.strip_suffix(".weight")?).then_some((inputs, outputs)),
        _ => None,
    });
    linear.collect()
}

/// Numbers in the modules that are trained whole: those that have one of these names, or stand in one that has.
pub fn saved(tensors: &[Tensor], modules: &[String]) -> u64 {
    let is_saved = |tensor: &&Tensor| {
        let ends = tensor.name.match_indices('.').map(|(at, _)| &tensor.name[..at]);
        let mut paths = ends.flat_map(|path| modules.iter().map(move |module| (path, module)));
        paths.any(|(path, module)| {
            let rest = path.strip_suffix(module.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    };
    tensors.iter().filter(is_saved).map(Tensor::numbers).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/golden/trainer")
            .join(name)
            .join("base")
    }

    #[test]
    fn shards_are_one_model_and_sites_are_those_of_the_adapter() {
        let folder = golden("llama");
        let described = describe(&folder).unwrap();
        assert_eq!(
            (
                described.family.as_str(),
                described.shape.kv_heads,
                described.shape.max_tokens
            ),
            ("llama", 2, 128)
        );
        assert!(described.shape.decoder);
        let tensors = tensors(&folder).unwrap();
        // Two layers of q, k, v, o, gate, up, down and two norms, the table and the last norm.
        assert_eq!(tensors.len(), 20);
        let targets = ["q_proj", "v_proj"].map(String::from);
        let mut found = sites(&tensors, &targets);
        found.sort();
        assert_eq!(found, [(32, 16), (32, 16), (32, 32), (32, 32)]);
        let whole = |name: &str| saved(&tensors, &[name.to_owned()]);
        assert_eq!(
            [whole("k_proj"), whole("mlp"), whole("proj")],
            [2 * 32 * 16, 2 * 3 * 32 * 40, 0]
        );
        let bytes: u64 = tensors.iter().map(Tensor::bytes).sum();
        assert_eq!(bytes, 4 * tensors.iter().map(Tensor::numbers).sum::<u64>());
    }

    #[test]
    fn half_and_eight_bit_numbers_take_their_own_size() {
        let of = |dtype| {
            Tensor {
                name: "w".into(),
                dtype,
                shape: vec![3, 4],
            }
            .bytes()
        };
        assert_eq!(
            [Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::F8_E4M3].map(of),
            [48, 24, 24, 12]
        );
    }

    #[test]
    fn positions_of_robertas_family_begin_behind_the_padding() {
        let described = describe(&golden("xlmr")).unwrap();
        assert_eq!((described.shape.max_tokens, described.shape.decoder), (24, false));
    }

    #[test]
    fn sizes_are_taken_up_to_their_limits_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let text = std::fs::read(golden("llama").join("config.json")).unwrap();
        let with = |field: &str, value: serde_json::Value| {
            let mut config: serde_json::Value = serde_json::from_slice(&text).unwrap();
            config[field] = value;
            std::fs::write(&path, config.to_string()).unwrap();
            describe(folder.path()).map_err(|error| format!("{error:#}"))
        };
        for (field, most) in [
            ("vocab_size", VOCABULARY_MAX),
            ("hidden_size", HIDDEN_MAX),
            ("num_hidden_layers", LAYERS_MAX),
            ("num_attention_heads", HEADS_MAX),
            ("num_key_value_heads", HEADS_MAX),
            ("head_dim", HEAD_DIM_MAX),
            ("intermediate_size", INNER_MAX),
            ("max_position_embeddings", POSITIONS_MAX),
        ] {
            with(field, most.into()).unwrap();
            for value in [0, most + 1, u64::MAX] {
                let said = with(field, value.into()).unwrap_err();
                let told = format!("config.json: {field} is {value}; it must be between 1 and {most}");
                assert!(said.contains(&told), "{said}");
            }
        }
        // The padding's id is the last number that there is.
        with("pad_token_id", u64::MAX.into()).unwrap();
        let roberta = std::fs::read_to_string(&path)
            .unwrap()
            .replace("\"llama\"", "\"roberta\"");
        std::fs::write(&path, roberta).unwrap();
        let said = format!("{:#}", describe(folder.path()).unwrap_err());
        assert!(
            said.contains("pad_token_id") && said.contains("leaves no position"),
            "{said}"
        );
        std::fs::write(&path, vec![b' '; model_files::CONFIG_BYTES_MAX as usize + 1]).unwrap();
        let said = format!("{:#}", describe(folder.path()).unwrap_err());
        assert!(said.contains("at most 1048576 are read"), "{said}");
    }

    #[test]
    fn a_tensor_without_numbers_is_no_larger_than_its_file_either() {
        let folder = tempfile::tempdir().unwrap();
        let write = |shape: &str| {
            let header = format!(r#"{{"a.weight": {{"dtype": "F32", "shape": {shape}, "data_offsets": [0, 0]}}}}"#);
            let file = [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes()].concat();
            std::fs::write(folder.path().join("model.safetensors"), file).unwrap();
        };
        write("[0, 3]");
        assert_eq!(tensors(folder.path()).unwrap()[0].shape, [0, 3]);
        write("[0, 18446744073709551615]");
        let said = format!("{:#}", tensors(folder.path()).unwrap_err());
        assert!(
            said.contains("a.weight") && said.contains("larger than its file"),
            "{said}"
        );
    }

    #[test]
    fn a_broken_folder_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let said = format!("{:#}", describe(folder.path()).unwrap_err());
        assert!(said.contains("config.json"), "{said}");
        std::fs::write(folder.path().join("model.safetensors"), b"not one").unwrap();
        let said = format!("{:#}", tensors(folder.path()).unwrap_err());
        assert!(
            said.contains("model.safetensors") && said.contains("download"),
            "{said}"
        );
    }
}
