//! Bottleneck adapters as AdapterHub's `adapters` library 1.3 keeps them: `adapter_config.json`, of the same name as PEFT's and with
//! other fields, and `adapter.safetensors`. Unlike that library, reading fails on a missing and on an unexpected key.

use crate::error::TrainerError;
use crate::job::files::{write_durable, write_json};
use crate::model::bottleneck::{ADAPTER_NAME, Affine, BottleneckSite, Place};
use crate::model::weights::TensorFile;
use crate::peft::{self, CONFIG_FILE, Keys};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use tch::Tensor;
use wengu_protocol::job::{Bottleneck, JobEnd, NonLinearity, Placement};

/// The file of the tensors.
pub const TENSORS_FILE: &str = "adapter.safetensors";
/// Whose format this is. Without a version, the library renames activations.
const VERSION: &str = "adapters.1.3.0";

/// adapter_config.json.
#[derive(Debug, Serialize, Deserialize)]
struct Config {
    /// What the adapter is, under the names of the library's BnConfig.
    config: Map<String, Value>,
    hidden_size: i64,
    #[serde(default)]
    model_class: Option<String>,
    #[serde(default)]
    model_name: Option<String>,
    model_type: String,
    /// What the adapter is called in the names of its tensors.
    name: String,
    version: String,
}

/// The model that the adapter belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    /// `model_type` of its config.json.
    pub model_type: &'a str,
    /// Width of its vectors.
    pub hidden: i64,
}

/// Fields that change nothing in an adapter of these two kinds: how it began, and what belongs to kinds that it is not.
const HARMLESS: [&str; 14] = [
    "architecture",
    "factorized_phm_W",
    "factorized_phm_rule",
    "hypercomplex_nonlinearity",
    "init_weights",
    "init_weights_seed",
    "inv_adapter_reduction_factor",
    "learn_phm",
    "phm_bias",
    "phm_c_init",
    "phm_dim",
    "phm_init_range",
    "shared_W_phm",
    "shared_phm_rule",
];

/// All fields of the library's SeqBnConfig or DoubleSeqBnConfig.
fn described(settings: &Bottleneck) -> Map<String, Value> {
    let double = settings.placement == Placement::DoubleSeqBn;
    let fields = json!({
        "adapter_residual_before_ln": false, "cross_adapter": false, "dropout": 0.0, "factorized_phm_W": true,
        "factorized_phm_rule": false, "hypercomplex_nonlinearity": "glorot-uniform", "init_weights": "bert",
        "init_weights_seed": null, "inv_adapter": null, "inv_adapter_reduction_factor": null, "is_parallel": false,
        "learn_phm": true, "leave_out": [], "ln_after": false, "ln_before": false, "mh_adapter": double,
        "non_linearity": name(settings.non_linearity), "original_ln_after": true, "original_ln_before": !double,
        "output_adapter": true, "phm_bias": true, "phm_c_init": "normal", "phm_dim": 4, "phm_init_range": 0.0001,
        "phm_layer": false, "phm_rank": 1, "reduction_factor": settings.reduction_factor, "residual_before_ln": true,
        "scaling": 1.0, "shared_W_phm": false, "shared_phm_rule": true, "stochastic_depth": 0.0, "use_gating": false
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

const NAMES: [(&str, NonLinearity); 6] = [
    ("relu", NonLinearity::Relu),
    ("swish", NonLinearity::Swish),
    ("silu", NonLinearity::Swish),
    ("gelu", NonLinearity::Gelu),
    ("gelu_new", NonLinearity::GeluNew),
    ("tanh", NonLinearity::Tanh),
];

fn name(non_linearity: NonLinearity) -> &'static str {
    let mut names = NAMES.iter().filter(|(_, known)| *known == non_linearity);
    names.next().map_or("relu", |(name, _)| name)
}

/// What the fields say, where nothing else is in them than this program computes.
fn settings(fields: &Map<String, Value>) -> Result<Bottleneck, String> {
    let of = |field: &str| fields.get(field).unwrap_or(&Value::Null);
    let said = of("non_linearity");
    let non_linearity = NAMES.iter().find(|(name, _)| said == name).map(|(_, known)| *known);
    let reduction_factor = of("reduction_factor").as_f64();
    let whole = |factor: &f64| factor.fract() == 0.0 && (1.0..=65_536.0).contains(factor);
    let settings = Bottleneck {
        placement: match of("mh_adapter") {
            Value::Bool(true) => Placement::DoubleSeqBn,
            _ => Placement::SeqBn,
        },
        reduction_factor: reduction_factor
            .filter(whole)
            .ok_or_else(|| format!("reduction_factor {} is no whole number", of("reduction_factor")))?
            as u32,
        non_linearity: non_linearity.ok_or_else(|| format!("non_linearity {said} is not supported"))?,
    };
    let mut expected = described(&settings);
    // It may have two names.
    expected.insert("non_linearity".into(), said.clone());
    let same = |found: &Value, expected: &Value| match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => found == expected,
        _ => found == expected,
    };
    let other = |(field, value): &(&String, &Value)| {
        let harmless = HARMLESS.contains(&field.as_str());
        !harmless && !expected.get(*field).is_some_and(|expected| same(value, expected))
    };
    match fields.iter().find(other) {
        Some((field, value)) => Err(format!("{field} = {value} is not supported")),
        None => Ok(settings),
    }
}

/// Names of one layer's weight and bias in the file.
fn keys_of(keys: Keys, layer: &str) -> [String; 2] {
    let module = keys.module(layer);
    [format!("{module}.weight"), format!("{module}.bias")]
}

/// Writes the directory, for the base model of a folder in this class of transformers. The same input gives the same bytes.
pub fn write(
    dir: &Path,
    base: Base,
    (folder, class): (&Path, String),
    keys: Keys,
    settings: &Bottleneck,
    sites: &[BottleneckSite],
) -> Result<(), TrainerError> {
    let layers = sites.iter().flat_map(BottleneckSite::layers);
    let of = |layer: &'_ Affine| {
        let [weight, bias] = keys_of(keys, &layer.name);
        [
            (weight, layer.weight.shallow_clone()),
            (bias, layer.bias.shallow_clone()),
        ]
    };
    let held: Vec<(String, Tensor)> = layers.flat_map(of).collect();
    let tensors: Vec<(String, &Tensor)> = held.iter().map(|(name, tensor)| (name.clone(), tensor)).collect();
    write_durable(&dir.join(TENSORS_FILE), &peft::tensor_bytes(&tensors)?)?;
    let config = Config {
        config: described(settings),
        hidden_size: base.hidden,
        model_class: Some(class),
        model_name: Some(folder.display().to_string()),
        model_type: base.model_type.into(),
        name: ADAPTER_NAME.into(),
        version: VERSION.into(),
    };
    write_json(&dir.join(CONFIG_FILE), &config)
}

/// Reads a directory with an adapter of these settings at exactly these places, of this width. The tensors require gradients.
pub fn read(
    dir: &Path,
    base: Base,
    keys: Keys,
    asked: &Bottleneck,
    places: Vec<Place>,
    width: i64,
) -> Result<Vec<BottleneckSite>, TrainerError> {
    let path = dir.join(CONFIG_FILE);
    let bad = |error: &dyn std::fmt::Display| TrainerError::at(JobEnd::BadModel, &path, error);
    let text = std::fs::read(&path).map_err(|e| bad(&e))?;
    let value: Value = serde_json::from_slice(&text).map_err(|e| bad(&e))?;
    if let Some(found) = value.get("peft_type") {
        return Err(bad(&format!(
            "peft_type is {found}; the job's method goes on with bottleneck adapters: take the parent's method, or start anew from \
             the base model"
        )));
    }
    let config: Config = serde_json::from_value(value).map_err(|e| bad(&e))?;
    if config.model_type != base.model_type || config.hidden_size != base.hidden {
        let (found, size) = (&config.model_type, config.hidden_size);
        let (expected, hidden) = (base.model_type, base.hidden);
        return Err(bad(&format!(
            "it belongs to a \"{found}\" of width {size}; the base model is a \"{expected}\" of width {hidden}"
        )));
    }
    let found = settings(&config.config).map_err(|message| bad(&message))?;
    if found != *asked {
        let message = format!(
            "the parent's adapter has {found:?}, the job {asked:?}: go on with the parent's, or start anew from the base model"
        );
        return Err(TrainerError::new(JobEnd::BadJob, message));
    }
    let path = dir.join(TENSORS_FILE);
    let file = TensorFile::open(&path)?;
    let weights = file.parse()?;
    let layer = |place: &Place, part| -> (String, [String; 2]) {
        let stored = keys_of(keys, &Affine::name(place, &config.name, part));
        (Affine::name(place, ADAPTER_NAME, part), stored)
    };
    let parts = ["adapter_down.0", "adapter_up"];
    let expected: BTreeSet<String> = places
        .iter()
        .flat_map(|place| parts.map(|part| layer(place, part).1))
        .flatten()
        .collect();
    peft::check_names(&weights, &expected)?;
    let sites = places.into_iter().map(|place| {
        let affine = |part, outputs, inputs| -> Result<Affine, TrainerError> {
            let (name, [weight, bias]) = layer(&place, part);
            Ok(Affine {
                name,
                weight: weights.tensor(&weight, &[outputs, inputs])?.f_set_requires_grad(true)?,
                bias: weights.tensor(&bias, &[outputs])?.f_set_requires_grad(true)?,
            })
        };
        let down = affine(parts[0], width, base.hidden)?;
        let up = affine(parts[1], base.hidden, width)?;
        Ok(BottleneckSite { place, down, up })
    });
    sites.collect()
}
