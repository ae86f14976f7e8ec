//! What the integration suite and the sweep share.

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A program that the workspace builds.
pub fn program(name: &str) -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    let path = deps.parent().unwrap().parent().unwrap().join(name);
    assert!(
        path.exists(),
        "{} is missing: cargo build --workspace --bins --lib",
        path.display()
    );
    path
}

/// The end of a daemon's log.
pub fn last_words(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    let from = log.len().saturating_sub(6000);
    log.get(from..).unwrap_or(&log).to_string()
}

/// Writes a golden base model to `folder`, with other numbers of rows where `rows` says so, and its config.json as `change` leaves it.
/// Always the same.
pub fn grown(golden: &Path, folder: &Path, rows: impl Fn(&str) -> Option<usize>, change: impl Fn(&mut Value)) {
    let bytes = fs::read(golden.join("model.safetensors")).unwrap();
    let held = SafeTensors::deserialize(&bytes).unwrap();
    let grow = |(name, view): (String, TensorView)| {
        let (mut shape, mut data) = (view.shape().to_vec(), view.data().to_vec());
        if let Some(rows) = rows(&name).filter(|rows| *rows != shape[0]) {
            shape[0] = rows;
            // Rows that were there twice would be tokens that nothing tells apart.
            data = numbers(rows * shape[1], name.len() as u32);
        }
        (name, shape, data)
    };
    let grown: Vec<(String, Vec<usize>, Vec<u8>)> = held.tensors().into_iter().map(grow).collect();
    let views = grown.iter().map(|(name, shape, data)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), data).unwrap();
        (name, view)
    });
    fs::write(folder.join("model.safetensors"), serialize(views, None).unwrap()).unwrap();
    let mut config: Value = serde_json::from_slice(&fs::read(golden.join("config.json")).unwrap()).unwrap();
    change(&mut config);
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

/// Between -0.5 and 0.5.
fn numbers(count: usize, seed: u32) -> Vec<u8> {
    let numbers = (0..count).scan(seed, |state, _| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((*state >> 8) as f32 / (1 << 24) as f32 - 0.5)
    });
    numbers.flat_map(f32::to_le_bytes).collect()
}
