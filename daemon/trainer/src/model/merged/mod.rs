//! Writes a model as a Hugging Face folder without an adapter. Files are those of the base model, tensor by tensor from the mapped files, so
//! that what is held in memory is the adapter and one tensor.

mod class;
mod tensors;

use super::bert::POOLER_DENSE;
use super::weights::{FACTORS, TensorFiles, Weights};
use super::{Model, lora};
use crate::error::TrainerError;
use crate::job::files::{create_dirs, write_failed, write_json};
pub use class::family_name;
use class::{Class, HeadNames};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tch::{Kind, Tensor};
use tensors::{FirstError, Source, Written};
use wengu_protocol::job::{JobEnd, Task};
use wengu_protocol::merge::{MERGE_SCHEMA, Merged, Precision};

/// What the names of tensors of heads begin with, which a merged model has none of but its own.
const HEADS: [&str; 4] = ["cls.", "classifier.", "score.", "lm_head."];
const LM_HEAD: &str = "lm_head.weight";

impl Model {
    /// Writes config.json and the weights, and the head where no class of transformers has it, into an empty folder.
    /// `precision` None: each tensor as the base model has it. Everything is synced.
    pub fn write_merged(mut self, out: &Path, precision: Option<Precision>) -> Result<Merged, TrainerError> {
        create_dirs(out)?;
        let path = self.base_path.join("config.json");
        let bad = |error: &dyn std::fmt::Display| TrainerError::at(JobEnd::BadModel, &path, error);
        let text = std::fs::read(&path).map_err(|e| bad(&e))?;
        let base: Map<String, Value> = serde_json::from_slice(&text).map_err(|e| bad(&e))?;
        let model_type = base.get("model_type").and_then(Value::as_str).unwrap_or_default();
        let class = Class::of(&self, model_type)?;

        let linears = self.encoder.linears().into_iter();
        let sites: HashMap<String, usize> = linears
            .filter_map(|l| Some((format!("{}.weight", l.name), l.site?)))
            .collect();
        let files = TensorFiles::open(&self.base_path)?;
        let mut weights = files.parse()?.in_blocks(self.encoder.weight_blocks());
        let table = format!("{}.weight", self.encoder.word_embeddings_name());
        if !weights.has(&table) {
            weights = weights.below(self.encoder.prefix());
        }
        let folder = Folder {
            model: &self,
            class: &class,
            sites,
            table,
            precision,
        };
        folder.write(&weights, out)?;

        let config = class.config(base, &self, self.vocab_size(), precision);
        write_json(&out.join("config.json"), &config)?;
        if class.apart.is_some() {
            self.save_head(&out.join("head"))?;
            write_json(
                &out.join("1_Pooling/config.json"),
                &self.pooling.config(self.limits().hidden_size),
            )?;
        }
        sync_dir(out)?;
        Ok(Merged {
            schema: MERGE_SCHEMA,
            class: class.name,
            head_apart: class.apart,
        })
    }

    /// The table of embeddings, with the term tokens' rows in their places.
    fn with_terms(&self, table: &Tensor) -> Result<Tensor, TrainerError> {
        let Some(terms) = self.adapter.terms() else {
            return Ok(table.shallow_clone());
        };
        let grown = Tensor::f_zeros([self.vocab_size(), table.size()[1]], (Kind::Float, table.device()))?;
        let place = |first, rows: &Tensor| -> Result<(), TrainerError> {
            grown.f_narrow(0, first, rows.size()[0])?.f_copy_(rows)?;
            Ok(())
        };
        place(0, table)?;
        place(terms.first, &terms.rows.f_detach()?)?;
        Ok(grown)
    }
}

/// A folder that is being written.
struct Folder<'a> {
    model: &'a Model,
    class: &'a Class,
    /// Adapted weights, by the names that the model gives them.
    sites: HashMap<String, usize>,
    /// The table of embeddings' name.
    table: String,
    precision: Option<Precision>,
}

impl Folder<'_> {
    fn write(&self, weights: &Weights, out: &Path) -> Result<(), TrainerError> {
        let error = FirstError::default();
        let mut by_file: BTreeMap<String, Vec<(String, Written)>> = BTreeMap::new();
        let mut table_dtype = Dtype::F32;
        for (path, stored, view) in weights.all() {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some((name, source, mut shape)) = self.tensor(weights, stored, &view) else {
                continue;
            };
            // Eight bits would lose the update. Such a model's other numbers are BF16 too.
            let stored_as = match view.dtype() {
                Dtype::F8_E4M3 => Dtype::BF16,
                other => other,
            };
            let dtype = self.precision.map_or(stored_as, tensors::dtype);
            if weights.name_below_prefix(stored) == self.table {
                table_dtype = dtype;
                shape[0] = self.model.vocab_size() as usize;
            }
            let written = Written {
                source,
                shape,
                dtype,
                error: &error,
            };
            by_file.entry(file).or_default().push((name, written));
        }
        // A shard of nothing but heads that are left out has no file.
        if let Some(mut last) = by_file.last_entry() {
            last.get_mut().extend(self.head(table_dtype, &error));
        }
        let sharded = weights.path().extension().is_some_and(|end| end == "json");
        let mut index = (Map::new(), 0);
        for (file, tensors) in by_file {
            for (name, written) in &tensors {
                index.0.insert(name.clone(), json!(file));
                index.1 += safetensors::tensor::View::data_len(written);
            }
            write_file(&out.join(file), tensors, &error)?;
        }
        if sharded {
            let index = json!({"metadata": {"total_size": index.1}, "weight_map": index.0});
            let name = weights.path().file_name().unwrap_or_default();
            write_json(&out.join(name), &index)?;
        }
        Ok(())
    }

    /// A stored tensor's name, content and shape in the merged model; None where it has no place there.
    fn tensor<'s>(
        &'s self,
        weights: &'s Weights,
        stored: &'s str,
        view: &TensorView<'s>,
    ) -> Option<(String, Source<'s>, Vec<usize>)> {
        let shape = view.shape().to_vec();
        let keeps_output = self.model.task == Task::CausalLm && stored == LM_HEAD;
        if keeps_output {
            if let Some(tensor) = self.saved(LM_HEAD) {
                return Some((stored.to_owned(), tensor, shape));
            }
            return Some((stored.to_owned(), Source::Stored(view.clone()), shape));
        }
        let below = weights.name_below_prefix(stored);
        let of_pooler = below
            .strip_prefix(POOLER_DENSE)
            .is_some_and(|rest| rest.starts_with('.'));
        let table = below.ends_with("position_ids") || below.ends_with("rotary_emb.inv_freq");
        // The factors of weights of eight bits are in the weights that are written.
        let factors = below.strip_suffix(FACTORS).is_some_and(|weight| weights.has(weight));
        let further = self
            .model
            .encoder
            .further_layers
            .iter()
            .any(|layer| stored.starts_with(layer));
        let table = table || factors || further;
        if HEADS.iter().any(|head| stored.starts_with(head)) || table || (of_pooler && !self.class.pooler) {
            return None;
        }
        // Old checkpoints spell the normalisations' tensors otherwise.
        let name = below.replace("LayerNorm.gamma", "LayerNorm.weight");
        let name = name.replace("LayerNorm.beta", "LayerNorm.bias");
        let model = self.model;
        if let Some(tensor) = self.saved(&name) {
            return Some((format!("{}{name}", self.class.prefix), tensor, shape));
        }
        let source = match self.sites.get(&name) {
            Some(&site) => Source::Values(Box::new(move || {
                lora::merged(&model.adapters()[site], &weights.values(stored)?)
            })),
            None if name == self.table && model.adapter.terms().is_some() => {
                Source::Values(Box::new(move || model.with_terms(&weights.values(stored)?)))
            }
            None if view.dtype() == Dtype::F8_E4M3 => Source::Values(Box::new(move || weights.values(stored))),
            None => Source::Stored(view.clone()),
        };
        Some((format!("{}{name}", self.class.prefix), source, shape))
    }

    /// A tensor of a module that was trained whole.
    fn saved<'s>(&'s self, name: &str) -> Option<Source<'s>> {
        let modules = self.model.adapter.saved().iter();
        let mut tensors = modules.flat_map(|module| {
            let tensors = module.tensors();
            tensors.map(|(part, tensor)| (format!("{}.{part}", module.name), tensor))
        });
        let (_, tensor) = tensors.find(|(own, _)| own == name)?;
        Some(Source::Values(Box::new(move || Ok(tensor.f_detach()?))))
    }

    /// The head's tensors, where the class has them.
    fn head<'s>(&'s self, base: Dtype, error: &'s FirstError) -> Vec<(String, Written<'s>)> {
        let (Some(HeadNames { weight, bias }), Some((w, b))) = (&self.class.head, self.model.head()) else {
            return Vec::new();
        };
        let dtype = self.precision.map_or(base, tensors::dtype);
        let parts = [Some((*weight, w)), bias.map(|bias| (bias, b))];
        let written = parts.into_iter().flatten().map(|(name, tensor)| {
            let shape = tensor.size().iter().map(|&n| n as usize).collect();
            let source = Source::Values(Box::new(move || Ok(tensor.f_detach()?)));
            (
                name.to_owned(),
                Written {
                    source,
                    shape,
                    dtype,
                    error,
                },
            )
        });
        written.collect()
    }
}

fn write_file(path: &Path, tensors: Vec<(String, Written)>, error: &FirstError) -> Result<(), TrainerError> {
    let _frozen = tch::no_grad_guard();
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let written = safetensors::serialize_to_file(tensors, Some(metadata), path);
    if let Some(error) = error.borrow_mut().take() {
        return Err(error);
    }
    written.map_err(|e| match e {
        SafeTensorError::IoError(e) => write_failed(path, &e),
        other => TrainerError::at(JobEnd::Internal, path, other),
    })?;
    let sync = || -> std::io::Result<()> {
        let file = File::open(path)?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.sync_all()
    };
    sync().map_err(|e| write_failed(path, &e))
}

fn sync_dir(path: &Path) -> Result<(), TrainerError> {
    let sync = File::open(path).and_then(|dir| dir.sync_all());
    sync.map_err(|e| write_failed(path, &e))
}
