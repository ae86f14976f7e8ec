//! The objective, AdamW and the Fisher against values that PyTorch computed in float64 (tests/oracle).

mod adapters;
mod factored;
mod fisher;
mod losses;
mod optimizer;
mod penalty;

use std::collections::BTreeMap;
use std::path::Path;
use tch::Tensor;

fn golden(file: &str) -> BTreeMap<String, Tensor> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden/objective")
        .join(file);
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

/// Largest difference, which must be below `limit` relative to the largest value.
fn assert_close(found: &Tensor, expected: &Tensor, limit: f64, what: &str) {
    assert_eq!(found.size(), expected.size(), "{what}");
    let difference = (found - expected).abs().max().double_value(&[]);
    let scale = expected.abs().max().double_value(&[]).max(1e-30);
    assert!(
        difference / scale < limit,
        "{what}: {difference:e} where values reach {scale:e}"
    );
}

fn leaf(tensor: &Tensor) -> Tensor {
    tensor.copy().set_requires_grad(true)
}
