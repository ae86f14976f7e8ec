//! Reads safetensors files: exact names, types and shapes, copied once into tensors.

use crate::error::TrainerError;
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};
use wengu_protocol::job::JobEnd;

/// A mapped safetensors file.
pub struct TensorFile {
    path: PathBuf,
    map: Mmap,
}

impl TensorFile {
    /// Maps the file. Nothing is parsed yet.
    pub fn open(path: &Path) -> Result<TensorFile, TrainerError> {
        let bad = |error: std::io::Error| TrainerError::at(JobEnd::BadModel, path, error);
        let file = File::open(path).map_err(bad)?;
        // SAFETY: the map is only read, and as bytes. Whoever truncates the file meanwhile ends this process with
        // SIGBUS, which the daemon reports like any other signal; a model folder is not written to while in use.
        let map = unsafe { Mmap::map(&file) }.map_err(bad)?;
        Ok(TensorFile {
            path: path.to_owned(),
            map,
        })
    }

    /// Parses and checks the header.
    pub fn parse(&self) -> Result<Weights<'_>, TrainerError> {
        let tensors =
            SafeTensors::deserialize(&self.map).map_err(|e| TrainerError::at(JobEnd::BadModel, &self.path, e))?;
        Ok(Weights {
            path: &self.path,
            tensors,
            prefix: "",
            taken: RefCell::default(),
        })
    }
}

/// The tensors of one file.
pub struct Weights<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
    prefix: &'static str,
    taken: RefCell<BTreeSet<String>>,
}

impl Weights<'_> {
    /// Whether the file has this tensor.
    pub fn has(&self, name: &str) -> bool {
        self.stored(name).is_some()
    }

    /// All names as they are in the file.
    pub fn names(&self) -> BTreeSet<String> {
        self.tensors.names().into_iter().map(str::to_owned).collect()
    }

    /// From here on, names are looked up below the prefix.
    pub fn below(self, prefix: &'static str) -> Self {
        Weights { prefix, ..self }
    }

    /// The stored name: below the prefix, and under the old spelling of layer normalisations where it is used.
    fn stored(&self, name: &str) -> Option<String> {
        let full = format!("{}{name}", self.prefix);
        let old = full
            .replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta");
        [full, old].into_iter().find(|name| self.tensors.tensor(name).is_ok())
    }

    /// The stored names that no call of [`Weights::tensor`] took.
    pub fn untaken(&self) -> Vec<String> {
        self.names().difference(&self.taken.borrow()).cloned().collect()
    }

    /// A stored name as it is looked up.
    pub fn name_below_prefix<'n>(&self, stored: &'n str) -> &'n str {
        stored.strip_prefix(self.prefix).unwrap_or(stored)
    }

    /// A copy of the tensor as F32. It must have exactly this shape.
    pub fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, TrainerError> {
        let bad = |message: String| TrainerError::at(JobEnd::BadModel, self.path, message);
        let stored = self
            .stored(name)
            .ok_or_else(|| bad(format!("tensor {}{name} is missing", self.prefix)))?;
        let view = self.tensors.tensor(&stored).map_err(|e| bad(e.to_string()))?;
        let found: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        if found != shape {
            return Err(bad(format!(
                "tensor {stored} has shape {found:?}; {shape:?} is expected"
            )));
        }
        let (kind, width) = match view.dtype() {
            Dtype::F32 => (Kind::Float, 4),
            Dtype::F16 => (Kind::Half, 2),
            Dtype::BF16 => (Kind::BFloat16, 2),
            other => {
                return Err(bad(format!(
                    "tensor {stored} has type {other:?}; F32, F16 and BF16 can be read"
                )));
            }
        };
        // libtorch reads as many bytes as the shape says, without looking at the slice's length.
        if view.data().len() as i64 != shape.iter().product::<i64>() * width {
            return Err(bad(format!("tensor {stored} has {} bytes", view.data().len())));
        }
        self.taken.borrow_mut().insert(stored);
        Ok(Tensor::f_from_data_size(view.data(), shape, kind)?.f_to_kind(Kind::Float)?)
    }
}
