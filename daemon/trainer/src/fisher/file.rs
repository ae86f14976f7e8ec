use super::factored::{Factored, sums_of};
use super::squares::Squares;
use crate::error::TrainerError;
use crate::job::tensors;
use crate::model::{Held, Product};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Kind, Tensor};
use wengu_protocol::job::{FisherEstimate, JobEnd};

/// Fisher information of each number of one weight and the value it was taken at.
#[derive(Debug)]
pub struct Entry {
    /// Diagonal Fisher, not negative.
    pub fisher: Tensor,
    /// The weight then: [`Held::whole`].
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
    /// Layers whose Fisher is kept by its sums.
    pub factored: u64,
}

/// `fisher.safetensors`, F32: for each weight `fisher/NAME` and `anchor/NAME`; for one whose Fisher is kept by its sums `rows/NAME`,
/// `columns/NAME`, and the anchor's factors `left/NAME` and `right/NAME`.
#[derive(Debug, Default)]
pub struct FisherState {
    entries: BTreeMap<String, Entry>,
    factored: BTreeMap<String, Factored>,
}

impl FisherState {
    /// The weights, by name.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The weights whose Fisher is kept by its sums, by name.
    pub fn factored(&self) -> impl Iterator<Item = (&str, &Factored)> {
        self.factored.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// Takes a weight in.
    pub fn insert(&mut self, name: &str, entry: Entry) {
        self.entries.insert(name.to_owned(), entry);
    }

    /// Takes in a weight whose Fisher is kept by its sums.
    pub fn insert_factored(&mut self, name: &str, entry: Factored) {
        self.factored.insert(name.to_owned(), entry);
    }

    /// What is known of a weight, [out, in]: of one that is kept by its sums what these say of each number.
    fn diagonal(&self, name: &str) -> Result<Option<Tensor>, TrainerError> {
        match (self.entries.get(name), self.factored.get(name)) {
            (Some(entry), _) => Ok(Some(entry.fisher.f_to_kind(Kind::Double)?)),
            (None, Some(factored)) => factored.diagonal().map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The row and column sums of what is known of a weight, as F64.
    fn sums(&self, name: &str) -> Result<Option<(Tensor, Tensor)>, TrainerError> {
        match (self.entries.get(name), self.factored.get(name)) {
            (_, Some(Factored { rows, columns, .. })) => {
                Ok(Some((rows.f_to_kind(Kind::Double)?, columns.f_to_kind(Kind::Double)?)))
            }
            (Some(entry), None) => sums_of(entry).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The state after an update: `decay * parent + mean`, anchored at the weights as they are now, in the form that `mean` has. A label
    /// that the parent did not know, or a weight that it did not have, has no old information.
    pub fn accumulate(
        parent: Option<&FisherState>,
        decay: f64,
        mean: &BTreeMap<String, Squares>,
        held: &[Held],
    ) -> Result<FisherState, TrainerError> {
        let _guard = tch::no_grad_guard();
        let mut state = FisherState::default();
        let nothing = FisherState::default();
        let parent = parent.unwrap_or(&nothing);
        let float = |tensor: &Tensor| tensor.f_to_kind(Kind::Float);
        for (name, new) in mean {
            let missing = || TrainerError::new(JobEnd::Internal, format!("the model holds no `{name}`"));
            let held = held.iter().find(|held| held.name == *name).ok_or_else(missing)?;
            match new {
                Squares::Diagonal(new) => {
                    let fisher = new.f_to_kind(Kind::Double)?.copy();
                    if let Some(old) = parent.diagonal(name)? {
                        let part = fisher.f_narrow(0, 0, old.size()[0])?;
                        let _ = part.shallow_clone().f_add_(&old.f_mul_scalar(decay)?)?;
                    }
                    state.insert(name, anchored(&float(&fisher)?, held)?);
                }
                Squares::Factored { rows, columns } => {
                    let (mut rows, mut columns) = (rows.f_to_kind(Kind::Double)?, columns.f_to_kind(Kind::Double)?);
                    if let Some((old_rows, old_columns)) = parent.sums(name)? {
                        rows = rows.f_add(&old_rows.f_mul_scalar(decay)?)?;
                        columns = columns.f_add(&old_columns.f_mul_scalar(decay)?)?;
                    }
                    let (rows, columns) = (float(&rows)?, float(&columns)?);
                    let anchor = anchor(held)?.ok_or_else(missing)?;
                    state.insert_factored(name, Factored { rows, columns, anchor });
                }
            }
        }
        // What no example of this update reached keeps what was known of it, held where it is now.
        let unreached = |held: &&Held| !mean.contains_key(&held.name);
        for held in held.iter().filter(unreached) {
            if let Some(old) = parent.entries.get(&held.name) {
                state.insert(&held.name, anchored(&old.fisher.f_mul_scalar(decay)?, held)?);
            }
            if let (Some(old), Some(anchor)) = (parent.factored.get(&held.name), anchor(held)?) {
                let (rows, columns) = (old.rows.f_mul_scalar(decay)?, old.columns.f_mul_scalar(decay)?);
                state.insert_factored(&held.name, Factored { rows, columns, anchor });
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
        let named = |tensors: &BTreeMap<String, Tensor>, part: &str| -> Vec<String> {
            let names = tensors.keys().filter_map(|key| key.strip_prefix(part));
            names.map(str::to_owned).collect()
        };
        for name in named(&tensors, "fisher/") {
            let [fisher, anchor] = take(&mut tensors, &name, ["fisher", "anchor"]).map_err(bad)?;
            let shape = fisher.size();
            if shape.is_empty() || shape != anchor.size() {
                return Err(bad(format!("`fisher/{name}` and `anchor/{name}` differ in shape")));
            }
            check_values(&name, &[&fisher], &[&anchor])?.map_err(bad)?;
            state.insert(&name, Entry { fisher, anchor });
        }
        for name in named(&tensors, "rows/") {
            let parts = ["rows", "columns", "left", "right"];
            let [rows, columns, left, right] = take(&mut tensors, &name, parts).map_err(bad)?;
            let shapes = (rows.size(), columns.size(), left.size(), right.size());
            let fit = matches!(&shapes, (rows, columns, left, right) if rows.len() == 1 && columns.len() == 1
                && left.len() == 2 && right.len() == 2 && left[0] == rows[0] && right[1] == columns[0] && left[1] == right[0]);
            if !fit {
                return Err(bad(format!(
                    "the shapes {shapes:?} of `rows/`, `columns/`, `left/` and `right/{name}` do not fit"
                )));
            }
            check_values(&name, &[&rows, &columns], &[&left, &right])?.map_err(bad)?;
            let anchor = Product { left, right };
            state.insert_factored(&name, Factored { rows, columns, anchor });
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
        let entries = self.entries.iter().flat_map(|(name, entry)| {
            [
                (format!("fisher/{name}"), &entry.fisher),
                (format!("anchor/{name}"), &entry.anchor),
            ]
        });
        let factored = self.factored.iter().flat_map(|(name, entry)| {
            [
                (format!("rows/{name}"), &entry.rows),
                (format!("columns/{name}"), &entry.columns),
                (format!("left/{name}"), &entry.anchor.left),
                (format!("right/{name}"), &entry.anchor.right),
            ]
        });
        tensors::write(path, entries.chain(factored), Some(metadata))
    }
}

/// This Fisher of a weight, with the weight as it is now.
fn anchored(fisher: &Tensor, held: &Held) -> Result<Entry, TrainerError> {
    Ok(Entry {
        fisher: fisher.shallow_clone(),
        anchor: held.whole()?.f_detach()?.copy().f_to_kind(Kind::Float)?,
    })
}

/// The factors as they are now, where there are some.
fn anchor(held: &Held) -> Result<Option<Product>, TrainerError> {
    let now = |tensor: &Tensor| tensor.f_detach()?.copy().f_to_kind(Kind::Float);
    let of = |product: &Product| -> Result<Product, TrainerError> {
        Ok(Product {
            left: now(&product.left)?,
            right: now(&product.right)?,
        })
    };
    held.product().map(of).transpose()
}

/// The parts of one weight out of a file's tensors.
fn take<const N: usize>(
    tensors: &mut BTreeMap<String, Tensor>,
    name: &str,
    parts: [&str; N],
) -> Result<[Tensor; N], String> {
    let first = parts[0];
    let found = parts.map(|part| {
        let missing = || format!("there is no `{part}/{name}` to `{first}/{name}`");
        tensors.remove(&format!("{part}/{name}")).ok_or_else(missing)
    });
    let found: Vec<Tensor> = found.into_iter().collect::<Result<_, _>>()?;
    found.try_into().map_err(|_| format!("`{name}` lacks a part"))
}

/// What a Fisher is made of is finite and not negative, and what it was taken at is finite.
fn check_values(name: &str, fisher: &[&Tensor], anchor: &[&Tensor]) -> Result<Result<(), String>, TrainerError> {
    let mut sound = true;
    for tensor in fisher.iter().chain(anchor) {
        sound &= tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 1;
    }
    for tensor in fisher.iter().filter(|tensor| tensor.numel() > 0) {
        sound &= tensor.f_min()?.f_double_value(&[])? >= 0.0;
    }
    let wrong = || format!("`{name}` holds values that are not finite, or a negative Fisher");
    Ok(sound.then_some(()).ok_or_else(wrong))
}
