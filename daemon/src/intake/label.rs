//! Reading an ingested file: its records, their labels and segments, and the side of every split they are on.

use crate::engine::Engine;
use crate::learn::examples::{EXAMPLES_SCHEMA, Example, Examples, LabelSource, Rejected};
use crate::model::sibling;
use anyhow::{Context, anyhow};
use serde_json::Value;
use std::time::Duration;
use wengu_config::Domain;
use wengu_decide::split::side;
use wengu_decide::weak::{self, aggregate};
use wengu_intake::{Extracted, Options, Record, Sidecar, extract};
use wengu_plugin_client::{Options as StartOptions, PluginClient};
use wengu_protocol::plugin::{self, LabelInput, Segment};
use wengu_store::Hash;
use wengu_store::records::{FileRecord, FileState};

/// Documents in one call of the plugin.
const DOCUMENTS_A_CALL: usize = 64;
/// A call that takes longer is a hang.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a file was not read.
pub enum ReadError {
    /// The file's own fault, for people.
    File(String),
    /// The plugin or the store failed; the file is tried again.
    Later(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for ReadError {
    fn from(e: E) -> Self {
        ReadError::Later(e.into())
    }
}

/// Segments of each record, the label voted for each that has no gold label, and which plugin said so.
type Answers = (Vec<Vec<Segment>>, Vec<Option<(String, f64)>>, Option<String>);

/// The domain's plugin, in its own process, started when it is first needed.
pub struct Labeler {
    plugin: Option<String>,
    client: Option<PluginClient>,
    options: Options,
}

impl Labeler {
    /// For a domain's configuration.
    pub fn new(domain: &Domain) -> Labeler {
        let intake = &domain.intake;
        Labeler {
            plugin: domain.plugin.clone(),
            client: None,
            options: Options {
                text_field: intake.text_field.clone(),
                label_field: intake.label_field.clone(),
                case_field: intake.case_field.clone(),
                encoding: intake.encoding.clone(),
                ..Options::default()
            },
        }
    }

    /// Digest of what decides how a file is read.
    pub fn read_with(&self, engine: &Engine, domain: &Domain) -> String {
        let plugin = self
            .plugin
            .as_ref()
            .map(|id| match wengu_plugin_package::find(&engine.layout.plugins(), id) {
                Ok(installed) => installed.dir.display().to_string(),
                Err(e) => e.to_string(),
            });
        let all = format!(
            "{:?} {} {plugin:?} {}",
            self.options,
            domain.intake.min_confidence,
            env!("CARGO_PKG_VERSION")
        );
        blake3::hash(all.as_bytes()).to_hex()[..16].to_string()
    }

    /// Reads an ingested file and says which state it is in now.
    pub async fn read(&mut self, engine: &Engine, domain: &Domain, file: &FileRecord) -> Result<FileState, ReadError> {
        let content = file.content.context("an ingested file has no content")?;
        let extracted = self.extract(engine, file, &content)?;
        let (segments, votes, plugin) = self.ask_plugin(engine, domain, &extracted.records).await?;
        let examples = Examples {
            schema: EXAMPLES_SCHEMA,
            content,
            format: extracted.format.as_str().into(),
            encoding: extracted.encoding.clone(),
            plugin,
            examples: extracted
                .records
                .into_iter()
                .zip(segments.into_iter().zip(votes))
                .map(|(record, (segments, vote))| example(domain, file, record, segments, vote))
                .collect(),
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
        Ok(if counts.train + counts.gate + counts.audit == 0 {
            FileState::Unlabelled { examples: hash, counts }
        } else {
            FileState::Pooled {
                examples: hash,
                counts,
                tried_in_run: None,
            }
        })
    }

    fn extract(&self, engine: &Engine, file: &FileRecord, content: &Hash) -> Result<Extracted, ReadError> {
        let bytes = engine.store.objects().get(content)?;
        let mut held = Vec::new();
        for sidecar in &file.sidecars {
            held.push((sidecar.name.clone(), engine.store.objects().get(&sidecar.content)?));
        }
        let sidecars: Vec<Sidecar> = held.iter().map(|(name, bytes)| Sidecar { name, bytes }).collect();
        let name = file.path.rsplit('/').next().unwrap_or(&file.path);
        extract(name, &bytes, &sidecars, &self.options).map_err(|e| ReadError::File(e.to_string()))
    }

    /// Segments of every record, and the aggregated vote of those without a gold label.
    async fn ask_plugin(&mut self, engine: &Engine, domain: &Domain, records: &[Record]) -> anyhow::Result<Answers> {
        let Some(id) = self.plugin.clone() else {
            return Ok((vec![Vec::new(); records.len()], vec![None; records.len()], None));
        };
        if self.client.is_none() {
            let installed = wengu_plugin_package::find(&engine.layout.plugins(), &id)?;
            let host = sibling("wengu-plugin-host")?;
            let options = StartOptions {
                call_timeout: CALL_TIMEOUT,
                ..StartOptions::default()
            };
            match PluginClient::start(&host, &installed, options).await {
                Ok(client) => self.client = Some(client),
                Err(end) => return Err(self.failed(engine, domain, &id, &end.to_string())),
            }
        }
        match self.call(records, domain).await {
            Ok(answer) => {
                engine.live().degraded.remove(&format!("{}:plugin", domain.name));
                Ok(answer)
            }
            Err(end) => Err(self.failed(engine, domain, &id, &end)),
        }
    }

    /// A plugin that failed is started anew with the next file; files that need it wait.
    fn failed(&mut self, engine: &Engine, domain: &Domain, id: &str, end: &str) -> anyhow::Error {
        self.client = None;
        let reason = format!("plugin {id}: {end}; its files wait");
        engine
            .live()
            .degraded
            .insert(format!("{}:plugin", domain.name), reason.clone());
        anyhow!(reason)
    }

    async fn call(&mut self, records: &[Record], domain: &Domain) -> Result<Answers, String> {
        let client = self.client.as_mut().ok_or("the plugin was not started")?;
        let ready = client.ready().clone();
        let provides = |capability: &str| ready.descriptor.provides.iter().any(|p| p == capability);
        let (mut segments, mut votes) = (Vec::new(), Vec::new());
        for chunk in records.chunks(DOCUMENTS_A_CALL) {
            let texts: Vec<&str> = chunk.iter().map(|r| r.text.as_str()).collect();
            if provides("wengu.segmenter/1") {
                // A text that the plugin cannot segment is tokenised as the base model does.
                let answers = client.segment(&texts).await.map_err(|e| e.to_string())?;
                segments.extend(answers.into_iter().map(|a| a.unwrap_or_default()));
            } else {
                segments.extend(chunk.iter().map(|_| Vec::new()));
            }
            if !provides("wengu.labeler/1") || chunk.iter().all(|r| r.label.is_some()) {
                votes.extend(chunk.iter().map(|_| None));
                continue;
            }
            let documents: Vec<LabelInput> = chunk
                .iter()
                .map(|r| LabelInput {
                    text: r.text.clone(),
                    metadata: Value::Object(r.metadata.clone()),
                    seed: domain.learning.seed,
                })
                .collect();
            for answer in client.label(&documents).await.map_err(|e| e.to_string())? {
                votes.push(
                    answer
                        .ok()
                        .and_then(|v| decide(&v, &ready.labels, domain.intake.min_confidence)),
                );
            }
        }
        let plugin = format!(
            "{} {} {}",
            ready.descriptor.id, ready.descriptor.version, ready.library_sha256
        );
        Ok((segments, votes, Some(plugin)))
    }
}

/// The label that the votes on the whole document amount to, if they are believed enough.
fn decide(votes: &[plugin::Vote], labels: &[String], min_confidence: f64) -> Option<(String, f64)> {
    let votes: Vec<weak::Vote> = votes
        .iter()
        .filter(|v| v.span.is_none())
        .map(|v| weak::Vote {
            function: v.function,
            label: v.label,
            confidence: v.confidence,
        })
        .collect();
    let (label, confidence) = aggregate(&votes, labels.len())?;
    (confidence >= min_confidence).then(|| (labels[label as usize].clone(), confidence))
}

fn example(
    domain: &Domain,
    file: &FileRecord,
    record: Record,
    segments: Vec<Segment>,
    vote: Option<(String, f64)>,
) -> Example {
    let case = record
        .case
        .map_or_else(|| format!("file:{}", file.case_key), |case| format!("case:{case}"));
    let (label, source) = match (record.label, vote) {
        (Some(gold), _) => (Some(gold), LabelSource::Gold),
        (None, Some((label, confidence))) => (Some(label), LabelSource::Weak { confidence }),
        (None, None) => (None, LabelSource::None),
    };
    Example {
        ordinal: record.ordinal,
        line: record.line,
        side: side(&domain.name, &case, domain.gate.gate_percent, domain.gate.audit_percent),
        case,
        text: record.text,
        label,
        source,
        segments,
    }
}
