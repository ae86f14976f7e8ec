//! Loading a model: the base, checked by digest, then the parent's adapter and head.

use super::adapter::Adapter;
use super::bottleneck::{self, BottleneckSite, Bottlenecks};
use super::classifier::Classifier;
use super::compute::Compute;
use super::encoder::Encoder;
use super::experts;
use super::head::{Head, check_labels as check_label_count};
use super::lora::{self, Linear};
use super::rows::TrainedRows;
use super::saved::{self, SavedModule};
use super::{LoraSite, Model};
use crate::adapter_hub;
use crate::error::TrainerError;
use crate::job::files::sha256_file;
use crate::peft::{self, TokenRows};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tch::Tensor;
use wengu_protocol::job::{BaseModel, Bottleneck, JobEnd, Lora, Method, Parent, PromptTuning, Task, TermToken};

impl Model {
    /// Loads the base model and either continues the parent's adapter and head or begins new ones from the seed.
    /// The labels begin with the parent's; the head grows by the rest.
    #[expect(clippy::too_many_arguments, reason = "each is a field of the job")]
    pub fn load(
        task: Task,
        base: &BaseModel,
        parent: Option<&Parent>,
        labels: &[String],
        method: &Method,
        terms: &[TermToken],
        head_dropout: f64,
        seed: u64,
    ) -> Result<Model, TrainerError> {
        let compute = Compute::of(base)?;
        Model::load_in(compute, task, base, parent, labels, method, terms, head_dropout, seed)
    }

    /// A version without the frozen weights of its base model, to be merged into them.
    pub fn load_to_merge(
        task: Task,
        base: &BaseModel,
        version: &Parent,
        method: &Method,
        terms: &[TermToken],
    ) -> Result<Model, TrainerError> {
        let compute = Compute {
            reads_weights: false,
            ..Compute::of(base)?
        };
        let labels = &version.labels;
        Model::load_in(compute, task, base, Some(version), labels, method, terms, 0.0, 0)
    }

    #[expect(clippy::too_many_arguments, reason = "each is a field of the job")]
    fn load_in(
        compute: Compute,
        task: Task,
        base: &BaseModel,
        parent: Option<&Parent>,
        labels: &[String],
        method: &Method,
        terms: &[TermToken],
        head_dropout: f64,
        seed: u64,
    ) -> Result<Model, TrainerError> {
        check_label_count(task, labels)?;
        check_labels(labels, parent.map_or(&[], |parent| &parent.labels))?;
        check_digests(base)?;
        let (mut encoder, pooling) = Encoder::load(&base.path, task, compute)?;
        let mut output = encoder.output.take();

        let hidden = encoder.limits.hidden_size;
        let old = match (task, parent) {
            (Task::CausalLm, _) | (_, None) => None,
            (_, Some(parent)) => {
                let folder = parent.head.as_deref().ok_or_else(|| {
                    TrainerError::new(JobEnd::BadJob, "`parent.head` is missing; only a causal model has none")
                })?;
                Some(Classifier::read(folder, &parent.labels, hidden)?)
            }
        };
        let keys = peft::Keys::new(Model::adapter_task(task, pooling), encoder.prefix());
        let old_head = old.as_ref().map(|(weight, bias)| (weight, bias));
        let adapter = parent.and_then(|parent| parent.adapter.as_deref());
        let adapter = match (method, adapter) {
            (Method::HeadOnly, _) if task == Task::CausalLm => {
                let message = "a causal model has no head to train; use another method";
                return Err(TrainerError::new(JobEnd::BadJob, message));
            }
            (Method::HeadOnly, None) => Adapter::None,
            (Method::HeadOnly, Some(_)) => {
                let message = "the parent has an adapter, which method \"head_only\" would drop; use its own method";
                return Err(TrainerError::new(JobEnd::BadJob, message));
            }
            (Method::Lora(settings), adapter) => {
                check(settings)?;
                let Attached { sites, rows, saved } =
                    attach((&mut encoder, &mut output), settings, adapter, keys, old_head, seed)?;
                let known = known_rows(parent, terms, rows)?;
                if !terms.is_empty() && saved.iter().any(|module| module.is_table) {
                    let message = "`term_tokens` and a table of embeddings in `modules_to_save` do not go together; leave out one";
                    return Err(TrainerError::new(JobEnd::BadJob, message));
                }
                Adapter::Lora {
                    settings: settings.clone(),
                    sites,
                    terms: TrainedRows::of_terms(terms, known, encoder.word_embeddings())?,
                    saved,
                }
            }
            (Method::PromptTuning(settings), adapter) => {
                Adapter::Prompt(prompt(&encoder, settings, adapter, keys, old_head, seed)?)
            }
            (Method::Bottleneck(settings), adapter) => Adapter::Bottleneck(Bottlenecks {
                settings: settings.clone(),
                sites: bottlenecks(&encoder, settings, adapter, keys, seed)?,
            }),
        };
        let head = match output {
            Some(output) => Head::Language(output),
            None => Head::Classifier(Classifier::grow(old, labels.len() as i64, hidden, head_dropout, seed)?),
        };
        let (labels, base_path) = (labels.to_vec(), base.path.clone());
        Ok(Model {
            task,
            pooling,
            encoder,
            adapter,
            head,
            labels,
            base_path,
            computes: (compute.kind, compute.device),
        })
    }
}

/// What a low-rank adapter trains.
struct Attached {
    sites: Vec<LoraSite>,
    rows: Option<TokenRows>,
    saved: Vec<SavedModule>,
}

/// The parent's rows of term tokens, which must be the first of `terms`.
fn known_rows(
    parent: Option<&Parent>,
    terms: &[TermToken],
    rows: Option<TokenRows>,
) -> Result<Option<Tensor>, TrainerError> {
    let said = parent.map_or(0, |parent| parent.term_tokens as usize);
    let (ids, rows) = rows.map_or((Vec::new(), None), |TokenRows { ids, rows }| (ids, Some(rows)));
    let expected = terms.iter().take(said).map(|term| i64::from(term.id));
    if ids.len() != said || !expected.eq(ids.iter().copied()) {
        let message = format!(
            "the parent's adapter has the term tokens {ids:?}, the job says that they are the first {said} of its own"
        );
        return Err(TrainerError::new(JobEnd::BadJob, message));
    }
    Ok(rows)
}

fn check_labels(labels: &[String], parent: &[String]) -> Result<(), TrainerError> {
    let unique: BTreeSet<&String> = labels.iter().collect();
    if unique.len() != labels.len() {
        return Err(TrainerError::new(JobEnd::BadJob, "a label is there twice"));
    }
    if !labels.starts_with(parent) {
        let message = format!(
            "the labels do not begin with the parent's {} labels in the same order",
            parent.len()
        );
        return Err(TrainerError::new(JobEnd::UnknownLabel, message));
    }
    Ok(())
}

fn check_digests(base: &BaseModel) -> Result<(), TrainerError> {
    for (name, expected) in &base.sha256 {
        let path = base.path.join(name);
        let found = sha256_file(&path).map_err(|e| TrainerError::at(JobEnd::BadModel, &path, e))?;
        if found != *expected {
            let message = format!("sha256 is {found}, not {expected}: this is another base model than the job names");
            return Err(TrainerError::at(JobEnd::BadModel, &path, message));
        }
    }
    Ok(())
}

fn check(lora: &Lora) -> Result<(), TrainerError> {
    let bad = |message: String| Err(TrainerError::new(JobEnd::BadJob, message));
    if !(1..=4096).contains(&lora.rank) {
        return bad(format!("rank {} is not between 1 and 4096", lora.rank));
    }
    if !lora.alpha.is_finite() || lora.alpha <= 0.0 || !(0.0..1.0).contains(&lora.dropout) {
        return bad(format!(
            "alpha {} or dropout {} is out of range",
            lora.alpha, lora.dropout
        ));
    }
    Ok(())
}

/// Marks the layers that are adapted and gives their sites: the parent's, or fresh ones.
fn attach(
    (encoder, output): (&mut Encoder, &mut Option<Tensor>),
    settings: &Lora,
    parent: Option<&Path>,
    keys: peft::Keys,
    head: Option<(&Tensor, &Tensor)>,
    seed: u64,
) -> Result<Attached, TrainerError> {
    let (hidden, table) = (encoder.limits.hidden_size, encoder.word_embeddings_name());
    let asked = settings.modules_to_save.as_slice();
    let names: Vec<String> = encoder.linears().iter().map(|linear| linear.name.clone()).collect();
    experts::check(&names, settings)?;
    for target in &settings.target_modules {
        if !names
            .iter()
            .any(|name| lora::is_target(name, std::slice::from_ref(target)))
        {
            let ends = names.iter().filter_map(|name| name.rsplit('.').next());
            let ends: BTreeSet<&str> = ends.collect();
            let message = format!(
                "target module \"{target}\" is no linear layer of the base model; ends of their names are {ends:?}"
            );
            return Err(TrainerError::new(JobEnd::BadJob, message));
        }
    }
    let mut adapted: Vec<&mut Linear> = encoder
        .linears()
        .into_iter()
        .filter(|linear| lora::is_target(&linear.name, &settings.target_modules))
        .collect();
    if adapted.is_empty() {
        return Err(TrainerError::new(JobEnd::BadJob, "target_modules is empty"));
    }
    for (index, linear) in adapted.iter_mut().enumerate() {
        linear.site = Some(index);
    }
    let Some(dir) = parent else {
        let fresh = adapted.iter().map(|linear| {
            let (rank, scaling) = peft::rank_and_scaling(settings, &keys.module(&linear.name))
                .map_err(|message| TrainerError::new(JobEnd::BadJob, message))?;
            lora::fresh_site(linear, rank, scaling, settings.use_dora, seed)
        });
        return Ok(Attached {
            sites: fresh.collect::<Result<_, _>>()?,
            rows: None,
            saved: saved::take(encoder, output, asked, &BTreeMap::new())?,
        });
    };
    let layers: Vec<(String, Tensor)> = adapted
        .iter()
        .map(|linear| (linear.name.clone(), linear.weight.shallow_clone()))
        .collect();
    let shapes = saved::shapes(encoder, output.as_ref(), asked);
    let parts = peft::Parts {
        layers: &layers,
        table: (table, hidden),
        saved: &shapes,
        head,
    };
    let (config, read) = peft::read(dir, keys, &parts)?;
    let of_parent = Lora {
        // These may change from one update to the next.
        dropout: settings.dropout,
        target_modules: settings.target_modules.clone(),
        ..config.method()
    };
    // PEFT keeps them as a set.
    let of_set = |lora: &Lora| lora.modules_to_save.iter().cloned().collect::<BTreeSet<_>>();
    let of_parent = match of_set(&of_parent) == of_set(settings) {
        true => Lora {
            modules_to_save: settings.modules_to_save.clone(),
            ..of_parent
        },
        false => of_parent,
    };
    if of_parent != *settings {
        let message = format!(
            "the parent's adapter has {}, the job {}: go on with the parent's, or start anew from the base model",
            described(&of_parent),
            described(settings)
        );
        return Err(TrainerError::new(JobEnd::BadJob, message));
    }
    Ok(Attached {
        sites: read.sites,
        rows: read.rows,
        saved: saved::take(encoder, output, asked, &read.saved)?,
    })
}

/// The parent's prompt, or a fresh one.
fn prompt(
    encoder: &Encoder,
    settings: &PromptTuning,
    parent: Option<&Path>,
    keys: peft::Keys,
    head: Option<(&Tensor, &Tensor)>,
    seed: u64,
) -> Result<TrainedRows, TrainerError> {
    let (table, asked) = (encoder.word_embeddings(), settings.virtual_tokens);
    let limit = encoder.limits.max_tokens;
    if asked == 0 || i64::from(asked) >= limit {
        let message = format!("a prompt of {asked} virtual tokens has to leave room for texts in {limit} tokens");
        return Err(TrainerError::new(JobEnd::BadJob, message));
    }
    let Some(dir) = parent else {
        return TrainedRows::fresh_prompt(asked, table, seed);
    };
    let rows = peft::read_prompt(dir, keys, encoder.limits.hidden_size, head)?;
    let first = encoder.limits.vocab_size;
    let prompt = TrainedRows { first, rows };
    if prompt.count() != i64::from(asked) {
        let message = format!(
            "the parent's prompt has {} virtual tokens, the job {asked}: go on with the parent's, or start anew from the base \
             model",
            prompt.count()
        );
        return Err(TrainerError::new(JobEnd::BadJob, message));
    }
    Ok(prompt)
}

/// The parent's bottlenecks, or fresh ones.
fn bottlenecks(
    encoder: &Encoder,
    settings: &Bottleneck,
    parent: Option<&Path>,
    keys: peft::Keys,
    seed: u64,
) -> Result<Vec<BottleneckSite>, TrainerError> {
    let hidden = encoder.limits.hidden_size;
    let places = bottleneck::places(encoder, settings.placement)?;
    let width = settings.width(hidden as u64) as i64;
    match parent {
        Some(dir) => {
            let base = adapter_hub::Base {
                model_type: &encoder.model_type,
                hidden,
            };
            adapter_hub::read(dir, base, keys, settings, places, width)
        }
        None => {
            let fresh = |place| BottleneckSite::fresh(place, hidden, width, seed);
            places.into_iter().map(fresh).collect()
        }
    }
}

fn described(lora: &Lora) -> String {
    let mut text = format!("rank {} and alpha {}", lora.rank, lora.alpha);
    for (holds, name) in [(lora.use_rslora, "use_rslora"), (lora.use_dora, "use_dora")] {
        if holds {
            text += &format!(", {name}");
        }
    }
    if !lora.modules_to_save.is_empty() {
        text += &format!(", the whole modules {:?}", lora.modules_to_save);
    }
    if !lora.rank_pattern.is_empty() || !lora.alpha_pattern.is_empty() {
        text += &format!(", ranks {:?} and alphas {:?}", lora.rank_pattern, lora.alpha_pattern);
    }
    text
}
