//! Tensors in safetensors files of our own: results, Fisher, checkpoints.

use super::files::write_durable;
use crate::error::TrainerError;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use tch::{Kind, Tensor};
use wengu_protocol::job::JobEnd;

/// Key under which a file's metadata is kept: one JSON text. (With several keys the safetensors crate would write
/// them in random order, and the same job would not give the same bytes.)
pub const METADATA: &str = "wengu";

/// A safetensors file in memory, with one entry of metadata at most: several would be written in random order.
pub fn encode<'a>(
    tensors: impl IntoIterator<Item = (String, &'a Tensor)>,
    metadata: Option<(&str, String)>,
) -> Result<Vec<u8>, TrainerError> {
    let mut held = Vec::new();
    for (name, tensor) in tensors {
        let dtype = match tensor.f_kind()? {
            Kind::Float => Dtype::F32,
            Kind::Double => Dtype::F64,
            other => {
                return Err(internal(format!(
                    "tensor `{name}` is {other:?}, which wengu does not write"
                )));
            }
        };
        let tensor = tensor.f_detach()?.f_contiguous()?;
        let mut bytes = vec![0; tensor.numel() * dtype.bitsize() / 8];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        let shape: Vec<usize> = tensor.size().into_iter().map(|d| d as usize).collect();
        held.push((name, dtype, shape, bytes));
    }
    let mut views = Vec::with_capacity(held.len());
    for (name, dtype, shape, bytes) in &held {
        let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(|e| internal(e.to_string()))?;
        views.push((name.as_str(), view));
    }
    let metadata = metadata.map(|(key, text)| HashMap::from([(key.to_owned(), text)]));
    safetensors::serialize(views, metadata).map_err(|e| internal(e.to_string()))
}

/// Writes a safetensors file durably.
pub fn write<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, &'a Tensor)>,
    metadata: Option<String>,
) -> Result<(), TrainerError> {
    write_durable(path, &encode(tensors, metadata.map(|text| (METADATA, text)))?)
}

/// Tensors and metadata of a safetensors file of ours. Only float32 and float64 are taken.
pub fn decode(bytes: &[u8]) -> Result<(BTreeMap<String, Tensor>, Option<String>), String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| format!("not a safetensors file: {e}"))?;
    let metadata = header.metadata().as_ref().and_then(|m| m.get(METADATA).cloned());
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("not a safetensors file: {e}"))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let flat = match view.dtype() {
            Dtype::F32 => {
                let values: Vec<f32> = view
                    .data()
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&b| f32::from_le_bytes(b))
                    .collect();
                Tensor::f_from_slice(&values)
            }
            Dtype::F64 => {
                let values: Vec<f64> = view
                    .data()
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&b| f64::from_le_bytes(b))
                    .collect();
                Tensor::f_from_slice(&values)
            }
            other => return Err(format!("tensor `{name}` is {other:?}; only F32 and F64 are read")),
        };
        let shape: Vec<i64> = view.shape().iter().map(|&d| d as i64).collect();
        let tensor = flat
            .and_then(|t| t.f_reshape(shape))
            .map_err(|e| format!("tensor `{name}`: {e}"))?;
        tensors.insert(name.to_owned(), tensor);
    }
    Ok((tensors, metadata))
}

/// Copies `values` into `target`, which must have the same shape and type: libtorch would stretch or convert.
pub fn copy_exact(target: &Tensor, values: &Tensor) -> Result<(), String> {
    let same = target.size() == values.size() && target.f_kind().ok() == values.f_kind().ok();
    if !same {
        return Err(format!("shape {:?} where {:?} is needed", values.size(), target.size()));
    }
    let _guard = tch::no_grad_guard();
    target.shallow_clone().f_copy_(values).map_err(|e| e.to_string())
}

fn internal(text: String) -> TrainerError {
    TrainerError::new(JobEnd::Internal, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let a = Tensor::from_slice(&[1.5f32, -0.0, f32::MIN_POSITIVE]).reshape([3, 1]);
        let b = Tensor::from_slice(&[0.1f64]);
        let bytes = encode([("a".into(), &a), ("b".into(), &b)], Some((METADATA, "{}".into()))).unwrap();
        let (tensors, metadata) = decode(&bytes).unwrap();
        assert_eq!(metadata.as_deref(), Some("{}"));
        assert_eq!(tensors["a"].size(), [3, 1]);
        assert!(tensors["a"].equal(&a) && tensors["b"].equal(&b));
        assert_eq!(tensors["b"].kind(), Kind::Double);
        // A transposed view is written in its own order of elements.
        let t = Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0])
            .reshape([2, 2])
            .transpose(0, 1);
        let (read, _) = decode(&encode([("t".into(), &t)], None).unwrap()).unwrap();
        assert!(read["t"].equal(&t));
    }

    #[test]
    fn damage_is_an_error() {
        let bytes = encode([("a".into(), &Tensor::from_slice(&[1f32]))], None).unwrap();
        assert!(decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(decode(b"").is_err());
        let small = Tensor::from_slice(&[1f32]);
        let large = Tensor::from_slice(&[1f32, 2.0]);
        assert!(copy_exact(&large, &small).is_err());
        assert!(copy_exact(&small, &small.to_kind(Kind::Double)).is_err());
    }
}
