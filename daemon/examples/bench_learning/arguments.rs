//! How the program is asked.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::path::PathBuf;

pub struct Arguments {
    pub stream: PathBuf,
    pub settings: PathBuf,
    pub out: PathBuf,
    pub model: PathBuf,
    pub trainer: PathBuf,
    pub seed: u64,
    pub memory: f64,
    pub mode: String,
    pub precision: String,
    pub device: String,
    /// Leave the versions there, for a closer look.
    pub keep: bool,
}

pub fn arguments() -> Result<Arguments> {
    let mut places = Vec::new();
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    let mut all = std::env::args().skip(1);
    while let Some(argument) = all.next() {
        match argument.strip_prefix("--") {
            Some(name) => {
                let value = all.next().with_context(|| format!("--{name} needs a value"))?;
                named.insert(name.to_owned(), value);
            }
            None => places.push(PathBuf::from(argument)),
        }
    }
    let [stream, settings, out, model, trainer] =
        <[PathBuf; 5]>::try_from(places).map_err(|_| anyhow::anyhow!("five paths are needed"))?;
    let mut value = |name: &str, default: &str| named.remove(name).unwrap_or_else(|| default.to_owned());
    let arguments = Arguments {
        stream,
        settings,
        out: std::path::absolute(out)?,
        model: std::path::absolute(model)?,
        trainer: std::path::absolute(trainer)?,
        seed: value("seed", "1").parse()?,
        memory: value("memory", "0.09").parse()?,
        mode: value("mode", "stream"),
        precision: value("precision", "fp32"),
        device: value("device", "cpu"),
        keep: value("keep", "") == "versions",
    };
    ensure!(named.is_empty(), "unknown: {named:?}");
    Ok(arguments)
}
