use crate::bench::{Bench, Finding, Verdict, failed, quoted};
use crate::corpus::{PLAIN, long, repetitive};
use crate::raw::{Call, Instance, SinkKind};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use std::num::NonZeroUsize;
use wengu_plugin::Prediction;

/// Metadata of an ordinary document.
pub const METADATA: &str = r#"{"path":"case-1.txt"}"#;
/// Its seed.
pub const SEED: u64 = 7;

/// All calls on a document that a plugin has. What they return does not matter here.
pub fn call_all(bench: &Bench, instance: &Instance, text: &str) -> Result<(), Finding> {
    judge_all(bench, instance, text, &|_, _| Ok(()))
}

/// How a call ended.
pub struct Ended {
    pub answer: bool,
    pub status: i32,
    pub message: Vec<u8>,
    pub terminated: bool,
    pub told: String,
}

impl<T> From<Call<T>> for Ended {
    fn from(call: Call<T>) -> Ended {
        Ended {
            answer: call.is_answer(),
            told: call.told(),
            status: call.status,
            message: call.message,
            terminated: call.terminated,
        }
    }
}

/// All calls on a document, each judged.
pub fn judge_all(
    bench: &Bench,
    instance: &Instance,
    text: &str,
    judge: &dyn Fn(&'static str, Ended) -> Result<(), Finding>,
) -> Result<(), Finding> {
    let tables = &bench.library()?.tables;
    if tables.segmenter.is_some() {
        judge("segment", instance.segment(text.as_bytes(), SinkKind::Takes).into())?;
    }
    if tables.labeler.is_some() {
        judge(
            "label",
            instance.label(text.as_bytes(), METADATA, SEED, SinkKind::Takes).into(),
        )?;
    }
    if tables.evaluator.is_some() {
        let item = Prediction {
            input: text,
            expected: "yes",
            actual: text,
        };
        judge("score", instance.score(&item, SEED, SinkKind::Takes).into())?;
    }
    Ok(())
}

pub fn all(bench: &Bench) -> Verdict {
    let instance = bench.instance()?;
    for (i, text) in bench.texts().enumerate() {
        (bench.at)(&format!("document {i}, {}", quoted(text)));
        call_all(bench, &instance, text)?;
    }
    Ok(String::new())
}

fn answered(bench: &Bench, instance: &Instance, text: &str) -> Result<(), Finding> {
    (bench.at)(&quoted(text));
    judge_all(bench, instance, text, &|call, ended| match ended.answer {
        true => Ok(()),
        false => failed(format!("{call}() of {}: {}", quoted(text), ended.told)),
    })
}

pub fn answers(bench: &Bench) -> Verdict {
    let instance = bench.instance()?;
    for text in bench.texts() {
        answered(bench, &instance, text)?;
    }
    Ok(String::new())
}

pub fn error_message(bench: &Bench) -> Verdict {
    let instance = bench.instance()?;
    for text in bench.texts() {
        judge_all(bench, &instance, text, &|call, ended| {
            let bad = if !ended.terminated {
                "has no NUL at its end"
            } else if std::str::from_utf8(&ended.message).is_err() {
                "is not UTF-8"
            } else if !matches!(ended.status, 0 | 3) && ended.message.is_empty() {
                "is empty, so nobody learns what was wrong"
            } else {
                return Ok(());
            };
            failed(format!("{call}() of {}: the message {bad}", quoted(text)))
        })?;
    }
    Ok(String::new())
}

pub fn empty(bench: &Bench) -> Verdict {
    let instance = bench.instance()?;
    answered(bench, &instance, "")?;
    let segments = instance.segment(b"", SinkKind::Takes).items;
    if !segments.is_empty() {
        return failed(format!(
            "segment() of an empty text pushed {} segments; there is nothing to tile",
            segments.len()
        ));
    }
    let votes = instance.label(b"", METADATA, SEED, SinkKind::Takes).items;
    match votes.iter().find(|v| (v.begin, v.end) != (0, 0)) {
        None => Ok(String::new()),
        Some(v) => failed(format!("label() of an empty text voted about {}..{}", v.begin, v.end)),
    }
}

pub fn long_one(bench: &Bench) -> Verdict {
    const BYTES: usize = 4 << 20;
    let instance = bench.instance()?;
    answered(bench, &instance, &long(BYTES)).map(|()| String::new())
}

pub fn repetitive_ones(bench: &Bench) -> Verdict {
    let instance = bench.instance()?;
    for text in repetitive() {
        answered(bench, &instance, &text)?;
    }
    Ok(String::new())
}

/// The text lies at the very end of pages that cannot be written, before one that cannot be read.
pub fn input_borders(bench: &Bench) -> Verdict {
    const PAGE: usize = 4096;
    let instance = bench.instance()?;
    let (labels, segments) = {
        let tables = &bench.library()?.tables;
        (tables.labeler.is_some(), tables.segmenter.is_some())
    };
    for text in bench.texts().chain([PLAIN]) {
        (bench.at)(&quoted(text));
        let pages = text.len().div_ceil(PAGE).max(1) * PAGE;
        let system = |e: nix::Error| Finding::Failed(format!("the pages cannot be had: {e}"));
        let length = NonZeroUsize::new(pages + PAGE).expect("at least two pages");
        let (protection, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE);
        // SAFETY: new anonymous pages; all accesses below stay within them, and they are unmapped when none is left.
        unsafe {
            let base = mmap_anonymous(None, length, protection, flags).map_err(system)?;
            let begin = base.cast::<u8>().add(pages - text.len());
            begin.as_ptr().copy_from_nonoverlapping(text.as_ptr(), text.len());
            mprotect(base, pages, ProtFlags::PROT_READ).map_err(system)?;
            mprotect(base.byte_add(pages), PAGE, ProtFlags::PROT_NONE).map_err(system)?;
            let guarded = std::slice::from_raw_parts(begin.as_ptr(), text.len());
            if segments {
                instance.segment(guarded, SinkKind::Takes);
            }
            if labels {
                instance.label(guarded, METADATA, SEED, SinkKind::Takes);
            }
            munmap(base, pages + PAGE).map_err(system)?;
        }
    }
    Ok(String::new())
}

pub fn metadata(bench: &Bench) -> Verdict {
    bench.needs_labeler()?;
    let instance = bench.instance()?;
    let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    let wide = format!("{{\"tags\":[{}0]}}", "\"标签\",".repeat(10_000));
    for metadata in [
        "{}",
        METADATA,
        r#"{"path":null,"path2":[1,{"x":"\u0000"}],"未知":"值"}"#,
        &deep,
        &wide,
    ] {
        (bench.at)(&quoted(metadata));
        let call = instance.label(PLAIN.as_bytes(), metadata, SEED, SinkKind::Takes);
        if !call.is_answer() {
            return failed(format!(
                "label() with the metadata {}: {}",
                quoted(metadata),
                call.told()
            ));
        }
    }
    Ok(String::new())
}
