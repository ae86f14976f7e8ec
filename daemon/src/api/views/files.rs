//! Files, and what became of them.

use crate::api::types::*;
use crate::engine::Engine;
use crate::forget::Refused;
use crate::learn::examples::{Examples, LabelSource, Place};
use crate::learn::votes::{LabelModel, every_vote};
use anyhow::{Result, bail};
use std::collections::HashMap;
use std::path::PathBuf;
use wengu_store::records::{FileRecord, FileState};
use wengu_store::{Change, Hash};

/// The files of a domain, or of all, in order of their paths.
pub fn files(engine: &Engine, domain: Option<&str>, state: Option<&str>) -> Result<Vec<FileView>> {
    let prefix = domain.map(|d| format!("{d}/")).unwrap_or_default();
    let mut files: Vec<FileView> = engine
        .store
        .scan::<FileRecord>(&prefix)?
        .into_iter()
        .map(|(_, f)| file_view(&f))
        .chain(refused(engine).filter(|f| domain.is_none_or(|domain| domain == f.domain)))
        .filter(|f| state.is_none_or(|s| s == f.state))
        .collect();
    files.sort_by(|a, b| (&a.domain, &a.path).cmp(&(&b.domain, &b.path)));
    Ok(files)
}

/// Files that lie in a watched folder and are refused, since they were forgotten.
fn refused(engine: &Engine) -> impl Iterator<Item = FileView> {
    let view = |(path, refused): (PathBuf, Refused)| FileView {
        domain: refused.domain,
        path: path.display().to_string(),
        state: "forgotten".into(),
        explanation: refused.why,
        present: true,
        revision: 0,
        counts: None,
        updated_ms: engine.started_ms,
    };
    engine.forgetting.all_refused().into_iter().map(view)
}

fn file_view(file: &FileRecord) -> FileView {
    FileView {
        domain: file.domain.clone(),
        path: file.path.clone(),
        state: file.state.name().into(),
        explanation: explain_state(&file.state),
        present: file.present,
        revision: file.revision,
        counts: file.state.examples().map(|(_, counts)| counts),
        updated_ms: file.updated_ms,
    }
}

pub(in crate::api) fn explain_state(state: &FileState) -> String {
    match state {
        FileState::Ingested => "a durable copy is held; it will be read next".into(),
        FileState::Pooled { tried_in_run: None, .. } => "its examples wait for the next update".into(),
        FileState::Pooled {
            tried_in_run: Some(run),
            ..
        } => {
            format!("run {run} was held; its examples are tried again together with newer ones")
        }
        FileState::Learned { version, .. } => format!("part of version {version}"),
        FileState::HeldBack { run, .. } => format!(
            "set aside: the update of run {run} was judged a regression or rolled back; correct the file and deliver \
             it again, or `wengu files release`"
        ),
        FileState::Unlabelled { .. } => {
            "nothing in it has a label: add a label field or a sidecar, or a plugin that labels it".into()
        }
        FileState::Quarantined { reason } => reason.clone(),
        FileState::Duplicate { of } => format!("the same bytes as {of}"),
    }
}

/// Everything about one file of a domain that is `seen`; one of another is as if it were not there.
pub fn explain_file(engine: &Engine, path: &str, seen: impl Fn(&str) -> bool) -> Result<FileExplanation> {
    let found = engine
        .store
        .scan::<FileRecord>("")?
        .into_iter()
        .find(|(_, f)| f.path == path && seen(&f.domain));
    let Some((key, file)) = found else {
        bail!(not_there(engine, path, seen))
    };
    let mut explanation = FileExplanation {
        file: file_view(&file),
        content: file.content.map(|h| h.to_string()),
        case_key: file.case_key.clone(),
        reading: Vec::new(),
        examples: Vec::new(),
        rejected: Vec::new(),
        history: file_history(engine, &key)?,
    };
    if let Some((hash, _)) = file.state.examples() {
        let read = Examples::read(&engine.store, &hash)?;
        let dropped = dropped(engine, &file.domain, &hash)?;
        // The label model is fitted over the whole domain; only votes on spans need it here.
        let spans = read.examples.iter().any(|e| e.votes.iter().any(|v| v.span.is_some()));
        let model = match spans {
            true => LabelModel::fit(&every_vote(engine, &file.domain)?),
            false => LabelModel::default(),
        };
        let plugin = read.plugin.clone().unwrap_or_default();
        explanation.reading = vec![format!("format {}", read.format), format!("encoding {}", read.encoding)];
        explanation.reading.extend(read.plugin.map(|p| format!("plugin {p}")));
        explanation.rejected = read.rejected.into_iter().map(|r| (r.line, r.reason)).collect();
        explanation.examples = read
            .examples
            .into_iter()
            .map(|e| ExampleView {
                line: e.line,
                place: e.place.as_ref().map(Place::in_words),
                side: format!("{:?}", e.side).to_lowercase(),
                label: e.label,
                source: match e.source {
                    LabelSource::Gold => "gold".into(),
                    LabelSource::Weak { confidence, .. } => format!("weak {confidence:.2}"),
                    LabelSource::None => "none".into(),
                },
                spans: span_views(&model, &plugin, &e.text),
                text: e.text.chars().take(120).collect::<String>().into(),
                dropped: dropped.get(&e.ordinal).cloned(),
            })
            .collect();
    }
    Ok(explanation)
}

/// Why there is nothing to tell of a path.
pub(in crate::api) fn not_there(engine: &Engine, path: &str, seen: impl Fn(&str) -> bool) -> String {
    let refused = refused(engine).find(|file| file.path == path && seen(&file.domain));
    match refused {
        Some(file) => format!("{path}: {}", file.explanation),
        None => format!("no watched folder has shown {path}; check the path, or give it time to settle"),
    }
}

fn span_views(model: &LabelModel, plugin: &str, text: &str) -> Vec<SpanView> {
    let spans = model.spans(plugin, text).into_iter();
    let view = |((begin, end), probabilities): ((u32, u32), Vec<(String, f64)>)| {
        let (label, probability) = probabilities.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let text = text.get(begin as usize..end as usize)?.to_owned();
        Some(SpanView {
            begin,
            end,
            text: text.into(),
            label,
            probability,
        })
    };
    spans.filter_map(view).collect()
}

/// Why examples of an object took no part in the last run that planned with it.
fn dropped(engine: &Engine, domain: &str, examples: &Hash) -> Result<HashMap<u32, String>> {
    for run in engine.runs(domain)?.iter().rev() {
        let manifest = engine.manifest(&run.manifest)?;
        if manifest.files.values().any(|h| h == examples) {
            let of_file = manifest.dropped.into_iter().filter(|d| d.examples == *examples);
            return Ok(of_file.map(|d| (d.ordinal, d.reason)).collect());
        }
    }
    Ok(HashMap::new())
}

/// The journal's events about one record.
fn file_history(engine: &Engine, key: &str) -> Result<Vec<(i64, String)>> {
    let mut history = Vec::new();
    for event in engine.store.journal_events(1)? {
        let event = event?;
        let about = |change: &Change| {
            let (Change::Put { table, key: k, .. } | Change::Delete { table, key: k }) = change;
            table == "file" && k == key
        };
        if event.changes.iter().any(about) {
            history.push((event.at_ms, event.event));
        }
    }
    Ok(history)
}
