//! The base model, and how and where it computes.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A Hugging Face folder, by path, with the digests that its files must have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseModel {
    /// The folder with config.json and model.safetensors.
    pub path: PathBuf,
    /// File name to lowercase hex SHA-256. A file that differs ends the job as [`super::JobEnd::BadModel`].
    pub sha256: BTreeMap<String, String>,
    /// The numbers that the frozen weights are held and multiplied in. What is trained is F32 always.
    #[serde(default)]
    pub precision: Precision,
    /// Where it computes.
    #[serde(default)]
    pub device: Device,
}

/// Numbers of the frozen weights, and of what flows between them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    #[default]
    Fp32,
    /// 16 bits with the exponent of 32 (bfloat16): half the memory, and faster where the processor multiplies them.
    Bf16,
}

/// Where a model computes: `"auto"`, `"cpu"` or `"cuda:N"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The first CUDA device where libtorch finds one, otherwise the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

impl From<Device> for String {
    fn from(device: Device) -> String {
        match device {
            Device::Auto => "auto".into(),
            Device::Cpu => "cpu".into(),
            Device::Cuda(number) => format!("cuda:{number}"),
        }
    }
}

impl TryFrom<String> for Device {
    type Error = String;

    fn try_from(text: String) -> Result<Device, String> {
        let number = |text: &str| text.strip_prefix("cuda:")?.parse().ok();
        match text.as_str() {
            "auto" => Ok(Device::Auto),
            "cpu" => Ok(Device::Cpu),
            other => number(other)
                .map(Device::Cuda)
                .ok_or_else(|| format!("`{text}` is no device; write \"auto\", \"cpu\" or \"cuda:0\"")),
        }
    }
}
