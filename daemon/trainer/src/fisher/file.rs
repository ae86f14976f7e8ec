use crate::error::TrainerError;
use crate::job::tensors;
use crate::model::Held;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Kind, Tensor};
use wengu_protocol::job::{FisherEstimate, JobEnd};

/// Fisher information of one weight and the value it was taken at.
#[derive(Debug)]
pub struct Entry {
    /// Diagonal Fisher, not negative.
    pub fisher: Tensor,
    /// The weight then: [`Held::value`].
    pub anchor: Tensor,
}

/// How the newest part of a [`FisherState`] was estimated; for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The estimator.
    pub estimator: FisherEstimate,
    /// Examples it was estimated on.
    pub examples: u64,
    /// Labels of the model.
    pub labels: u64,
    /// Decay that the parent's Fisher was multiplied by.
    pub decay: f64,
    /// Whether a parent's Fisher is in it.
    pub accumulated: bool,
}

/// `fisher.safetensors`: for each weight `fisher/NAME` and `anchor/NAME`, F32.
#[derive(Debug, Default)]
pub struct FisherState {
    entries: BTreeMap<String, Entry>,
}

impl FisherState {
    /// The weights, by name.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// Takes a weight in.
    pub fn insert(&mut self, name: &str, entry: Entry) {
        self.entries.insert(name.to_owned(), entry);
    }

    /// The state after an update: `decay * parent + mean`, anchored at the weights as they are now. A label that the
    /// parent did not know, or a weight that it did not have, has no old information.
    pub fn accumulate(
        parent: Option<&FisherState>,
        decay: f64,
        mean: &BTreeMap<String, Tensor>,
        held: &[Held],
    ) -> Result<FisherState, TrainerError> {
        let _guard = tch::no_grad_guard();
        let mut state = FisherState::default();
        for (name, new) in mean {
            let held = held.iter().find(|held| held.name == *name);
            let missing = || TrainerError::new(JobEnd::Internal, format!("the model holds no `{name}`"));
            let anchor = held.ok_or_else(missing)?.value.f_detach()?.copy();
            let fisher = new.f_to_kind(Kind::Double)?.copy();
            if let Some(old) = parent.and_then(|p| p.entries.get(name)) {
                let rows = old.fisher.size()[0];
                let part = fisher.f_narrow(0, 0, rows)?;
                let _ = part
                    .shallow_clone()
                    .f_add_(&old.fisher.f_to_kind(Kind::Double)?.f_mul_scalar(decay)?)?;
            }
            state.insert(
                name,
                Entry {
                    fisher: fisher.f_to_kind(Kind::Float)?,
                    anchor: anchor.f_to_kind(Kind::Float)?,
                },
            );
        }
        // What no example of this update reached keeps what was known of it, held where it is now.
        let known = parent.into_iter().flat_map(FisherState::entries);
        for (name, old) in known.filter(|(name, _)| !mean.contains_key(*name)) {
            if let Some(held) = held.iter().find(|held| held.name == name) {
                let entry = Entry {
                    fisher: old.fisher.f_mul_scalar(decay)?,
                    anchor: held.value.f_detach()?.copy().f_to_kind(Kind::Float)?,
                };
                state.insert(name, entry);
            }
        }
        Ok(state)
    }

    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<FisherState, TrainerError> {
        let bad = |what: String| {
            let text = format!(
                "{}: {what}; take the version's own fisher.safetensors again",
                path.display()
            );
            TrainerError::new(JobEnd::BadModel, text)
        };
        let bytes = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
        let (mut tensors, _) = tensors::decode(&bytes).map_err(bad)?;
        let mut state = FisherState::default();
        let names: Vec<String> = tensors
            .keys()
            .filter_map(|k| k.strip_prefix("fisher/").map(str::to_owned))
            .collect();
        for name in names {
            let fisher = tensors.remove(&format!("fisher/{name}"));
            let anchor = tensors.remove(&format!("anchor/{name}"));
            let (Some(fisher), Some(anchor)) = (fisher, anchor) else {
                return Err(bad(format!("there is no `anchor/{name}` to `fisher/{name}`")));
            };
            let shape = fisher.size();
            if shape.is_empty() || shape != anchor.size() {
                return Err(bad(format!("`fisher/{name}` and `anchor/{name}` differ in shape")));
            }
            let finite =
                fisher.f_isfinite()?.f_all()?.f_int64_value(&[])? + anchor.f_isfinite()?.f_all()?.f_int64_value(&[])?;
            if finite < 2 || (fisher.numel() > 0 && fisher.f_min()?.f_double_value(&[])? < 0.0) {
                return Err(bad(format!(
                    "`{name}` holds values that are not finite, or a negative Fisher"
                )));
            }
            state.insert(&name, Entry { fisher, anchor });
        }
        if let Some(stray) = tensors.keys().next() {
            return Err(bad(format!("`{stray}` is neither a Fisher nor the anchor of one")));
        }
        Ok(state)
    }

    /// Writes the file durably.
    pub fn write(&self, path: &Path, provenance: &Provenance) -> Result<(), TrainerError> {
        let metadata = serde_json::to_string(provenance)
            .map_err(|e| TrainerError::new(JobEnd::Internal, format!("fisher metadata: {e}")))?;
        let tensors = self.entries.iter().flat_map(|(name, entry)| {
            [
                (format!("fisher/{name}"), &entry.fisher),
                (format!("anchor/{name}"), &entry.anchor),
            ]
        });
        tensors::write(path, tensors, Some(metadata))
    }
}
