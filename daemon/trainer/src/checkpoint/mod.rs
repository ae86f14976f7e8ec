//! Where a job that was stopped goes on.
//!
//! `checkpoint/step-N/` holds `state.safetensors` (parameters, Adam's moments, and as metadata all else that the loop
//! carries) and `manifest.json` with its digest. It is written beside its place, made durable and renamed, so that a
//! checkpoint is there or not; one that was damaged later fails its digest and is passed over for the one before.
//! There is no random generator's state to keep: every draw follows from the seed and the step.

use crate::error::TrainerError;
use crate::job::files::{self, sha256_hex};
use crate::job::tensors;
use crate::optim::AdamW;
use crate::train_loop::{OldState, Snapshot, Stopping};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use tch::Tensor;
use wengu_failpoint::hit;
use wengu_protocol::job::{JobEnd, LossTerms};

/// Folder of the checkpoints in the job directory.
pub const FOLDER: &str = "checkpoint";

const SCHEMA: u32 = 2;
/// Terms of the loss: new, replay, distillation, EWC, and what keeps a new adapter from its parent's.
pub const TERMS: usize = 5;
const STATE: &str = "state.safetensors";
const MANIFEST: &str = "manifest.json";
/// Begins the names of the best epoch's tensors.
const BEST: &str = "best/";
/// The newest and the one before.
const KEPT: usize = 2;

/// All that the loop carries from step to step, apart from tensors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoopState {
    /// Steps done.
    pub step: u64,
    /// Updates of the optimizer: steps without the skipped ones.
    pub updates: u64,
    /// Steps skipped because their gradient was not finite.
    pub skipped: u64,
    /// How many of those came last, without one that was finite between.
    pub skipped_in_a_row: u32,
    /// Loss of the epoch so far.
    pub epoch_loss: LossSum,
    /// Mean loss of the last whole epoch.
    pub last_epoch_loss: Option<ExactTerms>,
    /// Seconds spent in steps, over all starts.
    pub train_seconds: f64,
    /// How training goes by the validation set.
    #[serde(default)]
    pub stopping: Stopping,
    /// Of those, seconds in the EWC penalty and its gradient.
    #[serde(default)]
    pub penalty_seconds: f64,
    /// What was seen of old examples.
    #[serde(default)]
    pub old: OldState,
    /// Files of the champion's predictions and their digests.
    pub champion: BTreeMap<String, String>,
}

/// Sum of loss terms over steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LossSum {
    /// Sum of the terms.
    pub sum: ExactTerms,
    /// Number of steps.
    pub steps: u64,
}

/// Loss terms as the bits of their float64 values: a JSON number may come back with another last bit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExactTerms([u64; TERMS]);

impl ExactTerms {
    /// From the [`TERMS`], in their order.
    pub fn new(terms: [f64; TERMS]) -> ExactTerms {
        ExactTerms(terms.map(f64::to_bits))
    }

    /// The [`TERMS`], in their order.
    pub fn values(self) -> [f64; TERMS] {
        self.0.map(f64::from_bits)
    }
}

impl LossSum {
    /// Takes one step's terms in.
    pub fn add(&mut self, terms: [f64; TERMS]) {
        let sum = self.sum.values();
        self.sum = ExactTerms::new(std::array::from_fn(|i| sum[i] + terms[i]));
        self.steps += 1;
    }

    /// Mean of the terms; None without a step.
    pub fn mean(&self) -> Option<ExactTerms> {
        (self.steps > 0).then(|| ExactTerms::new(self.sum.values().map(|v| v / self.steps as f64)))
    }
}

impl From<ExactTerms> for LossTerms {
    fn from(terms: ExactTerms) -> LossTerms {
        let [new, replay, distill, ewc, orthogonal] = terms.values();
        LossTerms {
            total: new + replay + distill + ewc + orthogonal,
            new,
            replay,
            distill,
            ewc,
            orthogonal,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    schema: u32,
    trainer: String,
    job_sha256: String,
    state_sha256: String,
}

/// The checkpoints of one job.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    job_sha256: String,
}

/// A checkpoint that passed its digest.
#[derive(Debug)]
pub struct Saved {
    /// The loop's state.
    pub state: LoopState,
    tensors: BTreeMap<String, Tensor>,
}

impl Checkpoints {
    /// Checkpoints in the job directory `root` of the job with this digest.
    pub fn new(root: &Path, job_sha256: &str) -> Checkpoints {
        Checkpoints {
            folder: root.join(FOLDER),
            job_sha256: job_sha256.to_owned(),
        }
    }

    /// Writes a checkpoint and removes those it replaces. `best` is of the best epoch.
    pub fn save(&self, state: &LoopState, optimizer: &AdamW, best: &Snapshot) -> Result<(), TrainerError> {
        let best = best.iter().map(|(name, tensor)| (format!("{BEST}{name}"), tensor));
        let names = optimizer.slots().iter().flat_map(|slot| {
            let name = &slot.name;
            [
                (format!("param/{name}"), &slot.parameter),
                (format!("m/{name}"), &slot.m),
                (format!("v/{name}"), &slot.v),
            ]
        });
        let bytes = tensors::encode(names.chain(best), Some((tensors::METADATA, to_json(state)?)))?;
        let manifest = Manifest {
            schema: SCHEMA,
            trainer: env!("CARGO_PKG_VERSION").into(),
            job_sha256: self.job_sha256.clone(),
            state_sha256: sha256_hex(&bytes),
        };
        let place = self.folder.join(format!("step-{:012}", state.step));
        let temporary = self.folder.join(".new");
        files::remove(&temporary)?;
        files::write_durable(&temporary.join(STATE), &bytes)?;
        files::write_durable(&temporary.join(MANIFEST), to_json(&manifest)?.as_bytes())?;
        hit("checkpoint.written");
        files::remove(&place)?;
        std::fs::rename(&temporary, &place)
            .and_then(|()| File::open(&self.folder)?.sync_all())
            .map_err(|e| files::write_failed(&place, &e))?;
        hit("checkpoint.named");
        for old in self.newest_first()?.into_iter().skip(KEPT) {
            files::remove(&old)?;
        }
        hit("checkpoint.old_removed");
        Ok(())
    }

    /// The newest checkpoint that is whole and of this job. What is passed over is said on stderr.
    pub fn newest(&self) -> Result<Option<Saved>, TrainerError> {
        for place in self.newest_first()? {
            match self.read(&place) {
                Ok(saved) => return Ok(Some(saved)),
                Err(why) => eprintln!("wengu-trainer: passing over the checkpoint {}: {why}", place.display()),
            }
        }
        Ok(None)
    }

    /// Removes all checkpoints.
    pub fn remove(&self) -> Result<(), TrainerError> {
        files::remove(&self.folder)
    }

    fn newest_first(&self) -> Result<Vec<PathBuf>, TrainerError> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(files::write_failed(&self.folder, &e)),
        };
        let mut places: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|e| e.path()))
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with("step-"))
            })
            .collect();
        places.sort_unstable_by(|a, b| b.cmp(a));
        Ok(places)
    }

    fn read(&self, place: &Path) -> Result<Saved, String> {
        let read = |name: &str| std::fs::read(place.join(name)).map_err(|e| format!("{name}: {e}"));
        let manifest: Manifest = serde_json::from_slice(&read(MANIFEST)?).map_err(|e| format!("{MANIFEST}: {e}"))?;
        if manifest.schema != SCHEMA || manifest.trainer != env!("CARGO_PKG_VERSION") {
            return Err(format!(
                "it is of trainer {} (schema {})",
                manifest.trainer, manifest.schema
            ));
        }
        if manifest.job_sha256 != self.job_sha256 {
            return Err("job.json has changed since".into());
        }
        let bytes = read(STATE)?;
        let found = sha256_hex(&bytes);
        if found != manifest.state_sha256 {
            return Err(format!("{STATE} has the digest {found}, not {}", manifest.state_sha256));
        }
        let (tensors, metadata) = tensors::decode(&bytes)?;
        let state = metadata.ok_or("there is no loop state")?;
        let state = serde_json::from_str(&state).map_err(|e| format!("loop state: {e}"))?;
        Ok(Saved { state, tensors })
    }
}

impl Saved {
    /// That of the best epoch. Empty where no epoch was validated.
    pub fn best(&self) -> Snapshot {
        let named = self.tensors.iter().filter_map(|(name, tensor)| {
            let name = name.strip_prefix(BEST)?;
            Some((name.to_owned(), tensor.shallow_clone()))
        });
        named.collect()
    }

    /// Puts parameters and moments back.
    pub fn restore(&self, optimizer: &mut AdamW) -> Result<(), TrainerError> {
        for slot in optimizer.slots() {
            for (kind, target) in [("param", &slot.parameter), ("m", &slot.m), ("v", &slot.v)] {
                let name = format!("{kind}/{}", slot.name);
                let copied = match self.tensors.get(&name) {
                    Some(values) => tensors::copy_exact(target, values),
                    None => Err("it is missing".into()),
                };
                copied.map_err(|why| {
                    let text = format!("the checkpoint does not fit the model: `{name}`: {why}; remove checkpoint/");
                    TrainerError::new(JobEnd::Internal, text)
                })?;
            }
        }
        optimizer.set_updates(self.state.updates);
        Ok(())
    }
}

fn to_json(value: &impl Serialize) -> Result<String, TrainerError> {
    serde_json::to_string(value).map_err(|e| TrainerError::new(JobEnd::Internal, format!("checkpoint: {e}")))
}
