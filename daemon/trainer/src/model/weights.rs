//! Reads safetensors files: exact names, types and shapes, copied once into tensors.

use super::compute::Compute;
use crate::error::TrainerError;
use memmap2::Mmap;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};
use wengu_protocol::job::JobEnd;
use wengu_protocol::model_files;

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
        let bad = |error: &dyn std::fmt::Display| TrainerError::at(JobEnd::BadModel, &self.path, error);
        model_files::check_header(&self.map).map_err(|e| bad(&e))?;
        let tensors = SafeTensors::deserialize(&self.map).map_err(|e| bad(&e))?;
        Ok(Weights {
            path: &self.path,
            files: vec![(&self.path, tensors)],
            prefix: "",
            compute: Compute::PLAIN,
            blocks: None,
            taken: RefCell::default(),
        })
    }
}

/// A base model's weights: `model.safetensors`, or the shards that `model.safetensors.index.json` names.
pub struct TensorFiles {
    path: PathBuf,
    files: Vec<TensorFile>,
    /// Tensor to the index of its file, as the index file says.
    places: Option<BTreeMap<String, usize>>,
}

const WEIGHTS_FILE: &str = "model.safetensors";
const INDEX_FILE: &str = "model.safetensors.index.json";
/// What the name of the factors of a weight of eight bits ends in after the weight's own.
pub const FACTORS: &str = "_scale_inv";

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl TensorFiles {
    /// Maps the folder's files. No header is parsed yet.
    pub fn open(folder: &Path) -> Result<TensorFiles, TrainerError> {
        let index = folder.join(INDEX_FILE);
        let single = folder.join(WEIGHTS_FILE);
        if single.exists() || !index.exists() {
            let files = vec![TensorFile::open(&single)?];
            return Ok(TensorFiles {
                path: single,
                files,
                places: None,
            });
        }
        let bad = |error: &dyn std::fmt::Display| TrainerError::at(JobEnd::BadModel, &index, error);
        let text = model_files::read(&index, model_files::INDEX_BYTES_MAX).map_err(|e| bad(&e))?;
        let map = serde_json::from_slice::<Index>(&text).map_err(|e| bad(&e))?.weight_map;
        let names: BTreeSet<&String> = map.values().collect();
        if let Some(name) = names
            .iter()
            .find(|name| name.contains(['/', '\\']) || name.starts_with('.'))
        {
            return Err(bad(&format!("\"{name}\" is no file of this folder")));
        }
        let order: Vec<&String> = names.into_iter().collect();
        let files = order.iter().map(|name| TensorFile::open(&folder.join(name)));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        let place = |name: &String| order.binary_search(&name).unwrap_or_default();
        let places = map.iter().map(|(tensor, file)| (tensor.clone(), place(file))).collect();
        Ok(TensorFiles {
            places: Some(places),
            path: index,
            files,
        })
    }

    /// Parses and checks the headers; the index must name what the shards hold, and where.
    pub fn parse(&self) -> Result<Weights<'_>, TrainerError> {
        let parsed = self
            .files
            .iter()
            .map(|file| Ok(file.parse()?.files))
            .collect::<Result<Vec<_>, TrainerError>>()?;
        let files: Vec<(&Path, SafeTensors)> = parsed.into_iter().flatten().collect();
        for (tensor, place) in self.places.iter().flatten() {
            let (path, held) = &files[*place];
            if held.tensor(tensor).is_err() {
                let message = format!("tensor {tensor} is not in {}, where the index says", path.display());
                return Err(TrainerError::at(JobEnd::BadModel, &self.path, message));
            }
        }
        let held: usize = files.iter().map(|(_, file)| file.len()).sum();
        if let Some(places) = self.places.as_ref().filter(|places| places.len() != held) {
            let message = format!("the index names {} tensors, its shards hold {held}", places.len());
            return Err(TrainerError::at(JobEnd::BadModel, &self.path, message));
        }
        Ok(Weights {
            path: &self.path,
            files,
            prefix: "",
            compute: Compute::PLAIN,
            blocks: None,
            taken: RefCell::default(),
        })
    }
}

/// The tensors of one file, or of the shards of one model.
pub struct Weights<'a> {
    path: &'a Path,
    files: Vec<(&'a Path, SafeTensors<'a>)>,
    prefix: &'static str,
    compute: Compute,
    blocks: Option<[i64; 2]>,
    taken: RefCell<BTreeSet<String>>,
}

impl<'a> Weights<'a> {
    /// Every tensor as it is stored, with its file and its stored name, in order.
    pub fn all(&self) -> Vec<(&'a Path, &str, TensorView<'a>)> {
        let all = self.files.iter().flat_map(|(path, file)| {
            let mut tensors: Vec<_> = file.iter().map(|(name, view)| (*path, name, view)).collect();
            tensors.sort_by_key(|(_, name, _)| *name);
            tensors
        });
        all.collect()
    }
}

impl Weights<'_> {
    /// Whether the file has this tensor.
    pub fn has(&self, name: &str) -> bool {
        self.stored(name).is_some()
    }

    /// All names as they are in the file.
    pub fn names(&self) -> BTreeSet<String> {
        let names = self.files.iter().flat_map(|(_, file)| file.names());
        names.into_iter().map(str::to_owned).collect()
    }

    /// From here on, names are looked up below the prefix.
    pub fn below(self, prefix: &'static str) -> Self {
        Weights { prefix, ..self }
    }

    /// From here on, tensors are read in these numbers and put there.
    pub fn computed(self, compute: Compute) -> Self {
        Weights { compute, ..self }
    }

    /// From here on, weights of eight bits have factors for blocks of so many rows and columns.
    pub fn in_blocks(self, blocks: Option<[i64; 2]>) -> Self {
        Weights { blocks, ..self }
    }

    /// The stored name: below the prefix, and under the old spelling of layer normalisations where it is used.
    fn stored(&self, name: &str) -> Option<String> {
        let full = format!("{}{name}", self.prefix);
        let old = full
            .replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta");
        [full, old].into_iter().find(|name| self.view(name).is_some())
    }

    fn view(&self, stored: &str) -> Option<(&Path, TensorView<'_>)> {
        let mut files = self.files.iter();
        files.find_map(|(path, file)| Some((*path, file.tensor(stored).ok()?)))
    }

    /// The file, or the index of the shards.
    pub fn path(&self) -> &Path {
        self.path
    }

    /// The stored names that no call of [`Weights::tensor`] took.
    pub fn untaken(&self) -> Vec<String> {
        self.names().difference(&self.taken.borrow()).cloned().collect()
    }

    /// A stored name as it is looked up.
    pub fn name_below_prefix<'n>(&self, stored: &'n str) -> &'n str {
        stored.strip_prefix(self.prefix).unwrap_or(stored)
    }

    /// The same in F32, whatever the model computes in.
    pub fn precise(&self, name: &str, shape: &[i64]) -> Result<Tensor, TrainerError> {
        self.read(name, shape, Kind::Float)
    }

    /// A copy of the tensor, in the numbers that the model computes in (F32 unless it says otherwise) and on its device. It must
    /// have exactly this shape.
    pub fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, TrainerError> {
        self.read(name, shape, self.compute.kind)
    }

    fn read(&self, name: &str, shape: &[i64], wanted: Kind) -> Result<Tensor, TrainerError> {
        let missing = || {
            let message = format!("tensor {}{name} is missing", self.prefix);
            TrainerError::at(JobEnd::BadModel, self.path, message)
        };
        let stored = self.stored(name).ok_or_else(missing)?;
        let (path, view) = self.view(&stored).ok_or_else(missing)?;
        let bad = |message: String| TrainerError::at(JobEnd::BadModel, path, message);
        let found: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        if found != shape {
            return Err(bad(format!(
                "tensor {stored} has shape {found:?}; {shape:?} is expected"
            )));
        }
        let kind = kind(&stored, &view).map_err(bad)?;
        // libtorch reads as many bytes as the shape says, without looking at the slice's length.
        if view.data().len() as i64 != shape.iter().product::<i64>() * view.dtype().bitsize() as i64 / 8 {
            return Err(bad(format!("tensor {stored} has {} bytes", view.data().len())));
        }
        if !self.compute.reads_weights {
            if kind == Kind::Float8e4m3fn {
                let _checked = self.factors(&stored, shape)?;
            }
            self.taken.borrow_mut().insert(stored);
            // One number, whatever the shape.
            return Ok(Tensor::f_zeros([1], (wanted, self.compute.device))?.f_expand(shape, true)?);
        }
        let mut held = Tensor::f_from_data_size(view.data(), shape, kind)?;
        if kind == Kind::Float8e4m3fn {
            held = self.dequantized(&stored, &held)?;
        }
        self.taken.borrow_mut().insert(stored);
        Ok(held.f_to_device(self.compute.device)?.f_to_kind(wanted)?)
    }

    /// A weight of eight bits [rows, columns] with its blocks times their factors, F32 (DeepSeek-V3, section 3.3).
    fn dequantized(&self, stored: &str, weight: &Tensor) -> Result<Tensor, TrainerError> {
        let size = weight.size();
        let ([rows, columns], factors) = self.factors(stored, &size)?;
        let factors = factors
            .f_repeat_interleave_self_int(rows, 0, None)?
            .f_narrow(0, 0, size[0])?
            .f_repeat_interleave_self_int(columns, 1, None)?
            .f_narrow(1, 0, size[1])?;
        Ok(weight.f_to_kind(Kind::Float)?.f_mul(&factors)?)
    }

    /// The size of a weight's blocks, and their factors, which `NAME_scale_inv` holds.
    fn factors(&self, stored: &str, size: &[i64]) -> Result<([i64; 2], Tensor), TrainerError> {
        let name = format!("{stored}{FACTORS}");
        let bad = |message: String| TrainerError::at(JobEnd::BadModel, self.path, message);
        let (Some([rows, columns]), &[outputs, inputs]) = (self.blocks, size) else {
            let message = format!("tensor {stored} has 8 bits, but config.json has no quantization_config with blocks");
            return Err(bad(message));
        };
        let (_, view) = self
            .view(&name)
            .ok_or_else(|| bad(format!("tensor {name} is missing: the factors of {stored}")))?;
        let expected = [(outputs, rows), (inputs, columns)].map(|(n, block)| (n as usize).div_ceil(block as usize));
        if view.dtype() != Dtype::F32 || view.shape() != expected || view.data().len() != 4 * expected[0] * expected[1]
        {
            let (dtype, shape) = (view.dtype(), view.shape());
            return Err(bad(format!(
                "tensor {name} is {dtype:?} {shape:?}; F32 {expected:?} is expected"
            )));
        }
        let factors = Tensor::f_from_data_size(view.data(), &expected.map(|n| n as i64), Kind::Float)?;
        self.taken.borrow_mut().insert(name);
        Ok(([rows, columns], factors))
    }

    /// The values of a tensor as it is stored, F32; of one with eight bits what its blocks' factors make of it.
    pub fn values(&self, stored: &str) -> Result<Tensor, TrainerError> {
        let (path, view) = self
            .view(stored)
            .ok_or_else(|| TrainerError::at(JobEnd::BadModel, self.path, format!("tensor {stored} is missing")))?;
        let kind = kind(stored, &view).map_err(|message| TrainerError::at(JobEnd::BadModel, path, message))?;
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        let held = Tensor::f_from_data_size(view.data(), &shape, kind)?;
        match kind {
            Kind::Float8e4m3fn => self.dequantized(stored, &held),
            _ => Ok(held.f_to_kind(Kind::Float)?),
        }
    }
}

/// The kind of a stored tensor's numbers, or why they cannot be read.
fn kind(stored: &str, view: &TensorView) -> Result<Kind, String> {
    match view.dtype() {
        Dtype::F32 => Ok(Kind::Float),
        Dtype::F16 => Ok(Kind::Half),
        Dtype::BF16 => Ok(Kind::BFloat16),
        Dtype::F8_E4M3 => Ok(Kind::Float8e4m3fn),
        other => Err(format!(
            "tensor {stored} has type {other:?}; F32, F16, BF16 and F8_E4M3 can be read"
        )),
    }
}
