//! What is trained beside the head.

use super::bottleneck::Bottlenecks;
use super::rows::TrainedRows;
use super::saved::{self, SavedModule};
use super::{Held, LoraSite, ParamGroup, Value};
use crate::error::TrainerError;
use tch::Tensor;
use wengu_protocol::job::Lora;

/// The prompt's name in [`Held`], in parameter names and in PEFT's file.
pub const PROMPT: &str = "prompt_embeddings";

/// What is trained beside the head.
pub enum Adapter {
    /// Nothing.
    None,
    /// Low-rank updates of linear layers, and embeddings of term tokens.
    Lora {
        settings: Lora,
        sites: Vec<LoraSite>,
        terms: Option<TrainedRows>,
        saved: Vec<SavedModule>,
    },
    /// Embeddings of virtual tokens that stand before each example (Lester et al. 2021).
    Prompt(TrainedRows),
    /// Small layers behind sub-layers of the model.
    Bottleneck(Bottlenecks),
}

impl Adapter {
    /// Whether only the head is trained.
    pub fn is_none(&self) -> bool {
        matches!(self, Adapter::None)
    }

    /// Updates of linear layers, in the model's order.
    pub fn sites(&self) -> &[LoraSite] {
        match self {
            Adapter::Lora { sites, .. } => sites,
            Adapter::None | Adapter::Prompt(_) | Adapter::Bottleneck(_) => &[],
        }
    }

    /// Modules that are trained whole.
    pub fn saved(&self) -> &[SavedModule] {
        match self {
            Adapter::Lora { saved, .. } => saved,
            Adapter::None | Adapter::Prompt(_) | Adapter::Bottleneck(_) => &[],
        }
    }

    /// Embeddings of term tokens.
    pub fn terms(&self) -> Option<&TrainedRows> {
        match self {
            Adapter::Lora { terms, .. } => terms.as_ref(),
            Adapter::None | Adapter::Prompt(_) | Adapter::Bottleneck(_) => None,
        }
    }

    /// Embeddings of virtual tokens.
    pub fn prompt(&self) -> Option<&TrainedRows> {
        match self {
            Adapter::Prompt(rows) => Some(rows),
            Adapter::None | Adapter::Lora { .. } | Adapter::Bottleneck(_) => None,
        }
    }

    /// Small layers behind sub-layers.
    pub fn bottlenecks(&self) -> Option<&Bottlenecks> {
        match self {
            Adapter::Bottleneck(bottlenecks) => Some(bottlenecks),
            Adapter::None | Adapter::Lora { .. } | Adapter::Prompt(_) => None,
        }
    }

    /// Share of the sites' input that is dropped in training.
    pub fn dropout(&self) -> f64 {
        match self {
            Adapter::Lora { settings, .. } => settings.dropout,
            Adapter::None | Adapter::Prompt(_) | Adapter::Bottleneck(_) => 0.0,
        }
    }

    /// Whether something is trained in the layer whose parts' names begin so.
    pub fn trains_in(&self, layer_prefix: &str) -> bool {
        let low_rank = self.sites().iter().map(|site| &site.name);
        let bottlenecks = self.bottlenecks().into_iter().flat_map(|all| &all.sites);
        let saved = self.saved().iter().map(|module| &module.name);
        let mut names = low_rank.chain(saved).chain(bottlenecks.map(|site| &site.place.module));
        names.any(|name| name.starts_with(layer_prefix))
    }

    /// Its parameters in an order that never changes; `table` is the name of the table of embeddings.
    pub fn trainable(&self, table: &str) -> Vec<(String, Tensor, ParamGroup)> {
        let mut all = Vec::new();
        let mut add = |name: String, tensor: &Tensor, group| all.push((name, tensor.shallow_clone(), group));
        for site in self.sites() {
            add(format!("{}.lora_A.weight", site.name), &site.a, ParamGroup::Adapter);
            add(format!("{}.lora_B.weight", site.name), &site.b, ParamGroup::Adapter);
            if let Some(dora) = &site.dora {
                let name = format!("{}.lora_magnitude_vector", site.name);
                add(name, &dora.magnitude, ParamGroup::Magnitude);
            }
        }
        all.extend(saved::trainable(self.saved()));
        let mut add = |name: String, tensor: &Tensor, group| all.push((name, tensor.shallow_clone(), group));
        if let Some(terms) = self.terms() {
            add(format!("{table}.trainable_tokens"), &terms.rows, ParamGroup::Embeddings);
        }
        if let Some(prompt) = self.prompt() {
            add(PROMPT.into(), &prompt.rows, ParamGroup::Embeddings);
        }
        all.extend(self.bottlenecks().map(Bottlenecks::trainable).unwrap_or_default());
        all
    }

    /// What EWC holds of it. Term tokens are not among it: what they were worth is not known from before they were there.
    pub fn held(&self) -> Result<Vec<Held>, TrainerError> {
        let products = self.sites().iter().map(|site| {
            Ok(Held {
                name: site.name.clone(),
                value: site.held()?,
                grows: false,
            })
        });
        let prompt = self.prompt().map(|prompt| {
            Ok(Held {
                name: PROMPT.into(),
                value: Value::Whole(prompt.rows.shallow_clone()),
                grows: false,
            })
        });
        let whole = saved::held(self.saved()).into_iter();
        let bottlenecks = self.bottlenecks().map(Bottlenecks::held).unwrap_or_default();
        let further = whole.chain(bottlenecks).map(Ok);
        products.chain(prompt).chain(further).collect()
    }
}
