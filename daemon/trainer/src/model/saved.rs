//! Whole modules that are trained beside low-rank updates (PEFT's `modules_to_save`): linear layers, the table of embeddings and a causal
//! model's output layer. The layer and the adapter share the tensors.

use super::encoder::Encoder;
use super::{Held, ParamGroup, Value};
use crate::error::TrainerError;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};
use wengu_protocol::job::JobEnd;

/// The name of a causal model's output layer, as PEFT has it.
pub const OUTPUT: &str = "lm_head";
/// What PEFT saves beside the adapter of a model that classifies, whether asked or not: the head.
pub const HEADS: [&str; 2] = ["classifier", "score"];

/// A module that is trained whole.
pub struct SavedModule {
    /// Its path in the encoder, or [`OUTPUT`].
    pub name: String,
    /// F32 on the processor.
    pub weight: Tensor,
    /// Where it has one.
    pub bias: Option<Tensor>,
    /// Whether it is a table with a row a token.
    pub is_table: bool,
}

impl SavedModule {
    /// Its tensors with the ends of their names.
    pub fn tensors(&self) -> impl Iterator<Item = (&'static str, &Tensor)> {
        let bias = self.bias.iter().map(|bias| ("bias", bias));
        std::iter::once(("weight", &self.weight)).chain(bias)
    }
}

/// Names and shapes of the tensors of these modules, without a change.
pub fn shapes(encoder: &mut Encoder, output: Option<&Tensor>, asked: &[String]) -> BTreeMap<String, Vec<i64>> {
    let mut shapes = BTreeMap::new();
    let table = encoder.word_embeddings_name();
    if is_asked(table, asked) {
        shapes.insert(format!("{table}.weight"), encoder.word_embeddings().size());
    }
    if let Some(output) = output.filter(|_| is_asked(OUTPUT, asked)) {
        shapes.insert(format!("{OUTPUT}.weight"), output.size());
    }
    for linear in encoder
        .linears()
        .into_iter()
        .filter(|linear| is_asked(&linear.name, asked))
    {
        shapes.insert(format!("{}.weight", linear.name), linear.weight.size());
        let bias = linear
            .bias
            .as_ref()
            .map(|bias| (format!("{}.bias", linear.name), bias.size()));
        shapes.extend(bias);
    }
    shapes
}

/// Takes the modules out of what is frozen; `parent` has the values that a parent's adapter gives them, by the names of
/// their tensors. `output` is a causal model's output layer.
///
/// # Errors
/// A name that means no such module, one that is adapted too, or a table that is the output layer too.
pub fn take(
    encoder: &mut Encoder,
    output: &mut Option<Tensor>,
    asked: &[String],
    parent: &BTreeMap<String, Tensor>,
) -> Result<Vec<SavedModule>, TrainerError> {
    let mut saved = Vec::new();
    let table = encoder.word_embeddings_name().to_owned();
    let tied = output
        .as_ref()
        .is_some_and(|output| output.data_ptr() == encoder.word_embeddings().data_ptr());
    if tied && [table.as_str(), OUTPUT].iter().any(|name| is_asked(name, asked)) {
        let message = format!(
            "modules_to_save: {table} and {OUTPUT} are one table in this model (tie_word_embeddings), which peft would train apart; \
             leave both out"
        );
        return Err(TrainerError::new(JobEnd::BadJob, message));
    }
    for linear in encoder
        .linears()
        .into_iter()
        .filter(|linear| is_asked(&linear.name, asked))
    {
        if linear.site.is_some() {
            let message = format!(
                "{} is both in target_modules and in modules_to_save; leave it out of one of them",
                linear.name
            );
            return Err(TrainerError::new(JobEnd::BadJob, message));
        }
        let name = linear.name.clone();
        linear.weight = trained(&name, "weight", &linear.weight, parent)?;
        let bias = linear.bias.take().map(|bias| trained(&name, "bias", &bias, parent));
        linear.bias = bias.transpose()?;
        linear.is_saved = true;
        saved.push(SavedModule {
            weight: linear.weight.shallow_clone(),
            bias: linear.bias.as_ref().map(Tensor::shallow_clone),
            is_table: false,
            name,
        });
    }
    let tables = [
        is_asked(&table, asked).then(|| (table.clone(), encoder.word_embeddings_mut())),
        output
            .as_mut()
            .filter(|_| is_asked(OUTPUT, asked))
            .map(|output| (OUTPUT.to_owned(), output)),
    ];
    for (name, held) in tables.into_iter().flatten() {
        *held = trained(&name, "weight", held, parent)?;
        saved.push(SavedModule {
            weight: held.shallow_clone(),
            bias: None,
            is_table: true,
            name,
        });
    }
    let is_found = |asked: &String| {
        let only = std::slice::from_ref(asked);
        saved.iter().any(|module| is_asked(&module.name, only))
    };
    match asked.iter().find(|asked| !is_found(asked)) {
        None => Ok(saved),
        Some(unknown) => {
            let message = format!(
                "modules_to_save has \"{unknown}\", which is no linear layer, table of embeddings or output layer that this model \
                 uses; {table} is one"
            );
            Err(TrainerError::new(JobEnd::BadJob, message))
        }
    }
}

/// Whether the module, or one that it is a part of, has one of these names, or a name that ends in one after a dot.
pub(super) fn is_asked(module: &str, asked: &[String]) -> bool {
    let ends = module.match_indices('.').map(|(at, _)| &module[..at]).chain([module]);
    let mut paths = ends;
    paths.any(|path| super::lora::is_target(path, asked))
}

fn trained(name: &str, part: &str, frozen: &Tensor, parent: &BTreeMap<String, Tensor>) -> Result<Tensor, TrainerError> {
    let begun = parent.get(&format!("{name}.{part}")).unwrap_or(frozen);
    let begun = begun.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
    Ok(begun.f_detach()?.copy().f_set_requires_grad(true)?)
}

/// The parameters, in the order of the modules.
pub fn trainable(saved: &[SavedModule]) -> Vec<(String, Tensor, ParamGroup)> {
    let of = |module: &SavedModule| {
        let tensors = module.tensors().map(|(part, tensor)| {
            let group = match (part, module.is_table) {
                ("bias", _) => ParamGroup::AdapterBias,
                (_, true) => ParamGroup::Embeddings,
                (_, false) => ParamGroup::Adapter,
            };
            (format!("{}.{part}", module.name), tensor.shallow_clone(), group)
        });
        tensors.collect::<Vec<_>>()
    };
    saved.iter().flat_map(of).collect()
}

/// What EWC holds of them: linear layers. A table has a row for every entry of the vocabulary, of which an example reads few, and its
/// Fisher would take a table for each example; replay and distillation hold it.
pub fn held(saved: &[SavedModule]) -> Vec<Held> {
    let of = |module: &SavedModule| {
        let tensors = module.tensors().map(|(part, tensor)| Held {
            name: format!("{}.{part}", module.name),
            value: Value::Whole(tensor.shallow_clone()),
            grows: false,
        });
        tensors.collect::<Vec<_>>()
    };
    saved.iter().filter(|module| !module.is_table).flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::is_asked;

    #[test]
    fn a_module_is_asked_for_by_its_name_or_that_of_one_around_it() {
        let asked = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert!(is_asked("pooler.dense", &asked(&["pooler"])) && is_asked("pooler.dense", &asked(&["dense"])));
        assert!(is_asked("layers.0.mlp.down_proj", &asked(&["mlp"])));
        assert!(is_asked("embed_tokens", &asked(&["embed_tokens"])));
        assert!(!is_asked("layers.0.mlp.down_proj", &asked(&["proj", "lm_head"])));
    }
}
