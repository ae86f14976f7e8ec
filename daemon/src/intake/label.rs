//! Reading an ingested file: its records, their labels and segments, and the side of every split they are on.

use super::host::Host;
use super::reading;
use crate::engine::Engine;
use crate::learn::examples::{EXAMPLES_SCHEMA, Example, Examples, LabelSource, Place, Rejected, Voting};
use crate::model::sibling;
use anyhow::Context;
use serde_json::{Map, Value};
use wengu_config::{Domain, Gate};
use wengu_decide::split::{Side, side};
use wengu_decide::weak::aggregate;
use wengu_failpoint::hit;
use wengu_intake::{AnswerKind, Options, Record};
use wengu_plugin_client::{PluginClient, PluginEnd};
use wengu_protocol::job::Task;
use wengu_protocol::plugin::{self, LabelInput, Segment};
use wengu_store::records::{FileRecord, FileState};

/// Documents in one call of the plugin.
const DOCUMENTS_A_CALL: usize = 64;

/// Why a file was not read.
pub enum ReadError {
    /// The file's own fault, for people.
    File(String),
    /// The plugin or the store failed; the file is tried again.
    Later(anyhow::Error),
    /// It holds a case that was forgotten; why, for people.
    Forgotten(String),
    /// The plugin is not there or not to be used: the file waits, however long that takes.
    Waits,
}

impl<E: Into<anyhow::Error>> From<E> for ReadError {
    fn from(e: E) -> Self {
        ReadError::Later(e.into())
    }
}

/// What a plugin says of the records of a file.
#[derive(Default)]
struct Answers {
    /// Segments of each record.
    segments: Vec<Vec<Segment>>,
    /// Votes on each record.
    votes: Vec<Vec<plugin::Vote>>,
    voting: Option<Voting>,
    /// Its terms that stand in one of the records.
    terms: Vec<String>,
    /// Id, version and digest of the plugin.
    plugin: Option<String>,
}

/// Reads files of one domain, with its plugin if it has one.
pub struct Labeler {
    plugin: Option<Host>,
    options: Options,
}

impl Labeler {
    /// For a domain's configuration.
    pub fn new(domain: &Domain) -> Labeler {
        let intake = &domain.intake;
        Labeler {
            plugin: domain.plugin.as_deref().map(|id| Host::new(id, &domain.plugin_config)),
            options: Options {
                answer: match domain.task {
                    Task::SequenceClassification => AnswerKind::Label,
                    Task::MultiLabelClassification => AnswerKind::Labels,
                    Task::TokenClassification => AnswerKind::Spans,
                    Task::CausalLm => AnswerKind::Text,
                },
                text_field: intake.text_field.clone(),
                label_field: intake.label_field.clone(),
                label_separator: intake.label_separator.clone(),
                case_field: intake.case_field.clone(),
                encoding: intake.encoding.clone(),
                ..Options::default()
            },
        }
    }

    /// Digest of what decides how a file is read; none while the plugin cannot be used, and files wait for it.
    pub fn read_with(&self, engine: &Engine, domain: &Domain) -> Option<String> {
        let plugin = match &self.plugin {
            Some(host) => Some(host.usable(engine).ok()?.dir),
            None => None,
        };
        let all = format!(
            "{:?} {:?} {} {:?} {plugin:?} {} {}",
            self.options,
            engine.config.reader,
            domain.intake.min_confidence,
            (
                &domain.gate.checklist,
                &domain.gate.slice_fields,
                &domain.gate.slice_functions
            ),
            domain.plugin_config,
            env!("CARGO_PKG_VERSION")
        );
        Some(blake3::hash(all.as_bytes()).to_hex()[..16].to_string())
    }

    /// Stops a plugin that nothing was asked of for long.
    pub async fn stop_if_idle(&mut self) {
        if let Some(host) = &mut self.plugin {
            host.stop_if_idle().await;
        }
    }

    /// Reads an ingested file and says which state it is in now.
    pub async fn read(&mut self, engine: &Engine, domain: &Domain, file: &FileRecord) -> Result<FileState, ReadError> {
        let content = file.content.context("an ingested file has no content")?;
        let extracted = reading::records(engine, file, &content, &self.options).await?;
        hit("label.read");
        let cases = extracted.records.iter().map(|record| case_of(file, record));
        if let Some(why) = cases.filter_map(|case| engine.forgetting.refuses_case(&case)).next() {
            return Err(ReadError::Forgotten(why));
        }
        let answers = self.ask_plugin(engine, domain, &extracted.records).await?;
        hit("label.answered");
        let (min_confidence, voting) = (domain.intake.min_confidence, &answers.voting);
        let examples = Examples {
            schema: EXAMPLES_SCHEMA,
            content,
            format: extracted.format.as_str().into(),
            encoding: extracted.encoding.clone(),
            plugin: answers.plugin,
            examples: extracted
                .records
                .into_iter()
                .zip(answers.segments.into_iter().zip(answers.votes))
                .map(|(record, (segments, votes))| {
                    let of_texts = voting.as_ref().filter(|_| domain.task == Task::SequenceClassification);
                    let decided = of_texts.and_then(|v| decide(&votes, &v.labels, min_confidence));
                    let names = voting.as_ref().map_or(&[][..], |v| &v.functions);
                    let slices = slices(&domain.gate, &record.metadata, &votes, names);
                    Example {
                        votes,
                        slices,
                        ..example(domain, file, record, segments, decided)
                    }
                })
                .collect(),
            voting: answers.voting.clone(),
            terms: answers.terms,
            rejected: extracted
                .rejected
                .into_iter()
                .map(|r| Rejected {
                    line: r.line,
                    reason: r.reason,
                })
                .collect(),
        };
        let counts = examples.counts();
        let hash = engine.store.objects().put_bytes(&serde_json::to_vec(&examples)?)?;
        hit("label.stored");
        Ok(if counts.labelled() == 0 {
            FileState::Unlabelled { examples: hash, counts }
        } else {
            FileState::Pooled {
                examples: hash,
                counts,
                tried_in_run: None,
            }
        })
    }

    /// Segments of every record, and the aggregated vote of those without a gold label.
    async fn ask_plugin(&mut self, engine: &Engine, domain: &Domain, records: &[Record]) -> Result<Answers, ReadError> {
        let Some(host) = &mut self.plugin else {
            return Ok(Answers {
                segments: vec![Vec::new(); records.len()],
                votes: vec![Vec::new(); records.len()],
                ..Answers::default()
            });
        };
        let key = format!("{}:plugin", domain.name);
        let installed = match host.usable(engine) {
            Ok(installed) => installed,
            Err(e) => {
                engine.live().degraded.insert(key, format!("{e:#}; its files wait"));
                return Err(ReadError::Waits);
            }
        };
        let host_exe = sibling("wengu-plugin-host")?;
        let answer = match host.client(&host_exe, &installed).await {
            Ok(client) => call(client, records, domain).await,
            Err(end) => Err(end),
        };
        answer
            .inspect(|_| {
                engine.live().degraded.remove(&key);
            })
            .map_err(|end| {
                host.failed(engine, &installed.manifest.version, &end);
                engine.live().degraded.insert(key, format!("{end}; its files wait"));
                ReadError::Later(end.into())
            })
    }
}

/// Asks a running plugin about every record.
async fn call(client: &mut PluginClient, records: &[Record], domain: &Domain) -> Result<Answers, PluginEnd> {
    let ready = client.ready().clone();
    let provides = |capability: &str| ready.descriptor.provides.iter().any(|p| p == capability);
    let (segmenter, labeler) = (provides("wengu.segmenter/1"), provides("wengu.labeler/1"));
    let mut answers = Answers::default();
    for chunk in records.chunks(DOCUMENTS_A_CALL) {
        // Votes on records with a gold label too: that shows how often each function is right.
        let documents: Vec<LabelInput> = chunk
            .iter()
            .map(|r| LabelInput {
                text: r.text.clone(),
                metadata: Value::Object(r.metadata.clone()).to_string(),
                seed: domain.learning.seed,
            })
            .collect();
        for read in client.read(&documents, segmenter, labeler).await? {
            // A text that the plugin cannot segment is tokenised as the base model does.
            let segments = read.segments.and_then(Result::ok).unwrap_or_default();
            answers.segments.push(segments);
            answers.votes.push(read.votes.and_then(Result::ok).unwrap_or_default());
        }
    }
    answers.terms = crate::learn::terms::standing_in(&ready.terms, records.iter().map(|r| r.text.as_str()));
    answers.voting = labeler.then(|| Voting {
        functions: ready.functions.clone(),
        labels: ready.labels.clone(),
    });
    answers.plugin = Some(format!(
        "{} {} {}",
        ready.descriptor.id, ready.descriptor.version, ready.library_sha256
    ));
    Ok(answers)
}

/// The label that the votes on the whole document amount to, if they are believed enough.
fn decide(votes: &[plugin::Vote], labels: &[String], min_confidence: f64) -> Option<(String, f64)> {
    let votes = crate::learn::votes::about_the_document(votes);
    let (label, confidence) = aggregate(&votes, labels.len())?;
    (confidence >= min_confidence).then(|| (labels[label as usize].clone(), confidence))
}

/// What a record belongs to, on whatever side of a split.
fn case_of(file: &FileRecord, record: &Record) -> String {
    match (&record.case, &record.place.case) {
        (Some(case), _) => format!("case:{case}"),
        (None, Some(member)) => format!("file:{}/{member}", file.case_key),
        (None, None) => format!("file:{}", file.case_key),
    }
}

fn example(
    domain: &Domain,
    file: &FileRecord,
    record: Record,
    segments: Vec<Segment>,
    vote: Option<(String, f64)>,
) -> Example {
    let case = case_of(file, &record);
    let place = Place {
        member: record.place.member,
        pages: record.place.pages,
    };
    let (label, source) = match (record.label, vote) {
        (Some(gold), _) => (Some(gold), LabelSource::Gold),
        (None, Some((label, confidence))) => (
            Some(label),
            LabelSource::Weak {
                confidence,
                probabilities: Vec::new(),
            },
        ),
        (None, None) => (None, LabelSource::None),
    };
    Example {
        ordinal: record.ordinal,
        line: record.line,
        side: match is_checklist(domain, file) {
            true => Side::Checklist,
            false => side(&domain.name, &case, &domain.gate.held_out),
        },
        case,
        place: (place.member.is_some() || !place.pages.is_empty()).then_some(place),
        text: record.text,
        label,
        source,
        votes: Vec::new(),
        segments,
        slices: Vec::new(),
    }
}

/// Whether a folder above the file, inside the watched one, has the checklist's name.
fn is_checklist(domain: &Domain, file: &FileRecord) -> bool {
    let folders = file.case_key.rsplit_once('/').map_or("", |(folders, _)| folders);
    let name = domain.gate.checklist.as_deref();
    name.is_some_and(|name| folders.split('/').any(|folder| folder == name))
}

/// What a record is counted under besides: values of fields and functions that vote on it, as far as the configuration names them.
fn slices(gate: &Gate, metadata: &Map<String, Value>, votes: &[plugin::Vote], functions: &[String]) -> Vec<String> {
    let value = |field: &String| match metadata.get(field)? {
        Value::String(text) => Some(format!("{field}={text}")),
        Value::Number(_) | Value::Bool(_) => Some(format!("{field}={}", metadata[field])),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let voted = |function: &&String| {
        let mut names = votes.iter().filter_map(|vote| functions.get(vote.function as usize));
        names.any(|name| name == *function)
    };
    let fields = gate.slice_fields.iter().filter_map(value);
    // Both kinds of text: a slice that every item is in says nothing of its own.
    let of_functions = gate.slice_functions.iter().map(|function| match voted(&function) {
        true => format!("{function}=voted"),
        false => format!("{function}=silent"),
    });
    fields.chain(of_functions).collect()
}
