//! What a case works with, and what it may find.

use crate::corpus::CORPUS;
use crate::raw::{HostKind, Instance, Library, Made, Name};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use wengu_plugin_package::Installed;

/// What a case found. `Err` of a case's body is anything but a plain pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// The rule is kept, but something should be better.
    Warned(String),
    /// The rule is broken.
    Failed(String),
    /// The rule is about something that this plugin has not.
    Skipped(String),
}

/// The result of a case's body: a note for the parent where it passed.
pub type Verdict = Result<String, Finding>;

pub fn failed<T>(why: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::Failed(why.into()))
}

pub fn warned<T>(why: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::Warned(why.into()))
}

pub fn skipped<T>(why: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::Skipped(why.into()))
}

/// A plugin on the bench.
pub struct Bench<'a> {
    /// The package.
    pub installed: Installed,
    /// Every random choice follows from it.
    pub seed: u64,
    /// Rounds of the fuzz case.
    pub rounds: u32,
    /// Texts of the author's own, after those of the corpus.
    pub own: Vec<String>,
    /// Tells the parent where the case is, in case it is never heard of again.
    pub at: &'a (dyn Fn(&str) + Sync),
    /// What the kernel says of this process: `/proc/self/status`, which was opened before the sandbox closed.
    pub process_status: &'a dyn Fn() -> std::io::Result<String>,
    /// Its library, once opened.
    pub library: OnceLock<Library>,
}

/// The names of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    pub terms: Vec<Name>,
    pub labels: Vec<Name>,
    pub functions: Vec<Name>,
    pub metrics: Vec<Name>,
}

impl Bench<'_> {
    /// The library, opened; what an earlier case has already judged is told as that.
    pub fn library(&self) -> Result<&Library, Finding> {
        if self.library.get().is_none() {
            let library = Library::open(&self.installed).map_err(Finding::Failed)?;
            let _ = self.library.set(library);
        }
        self.library.get().ok_or_else(|| Finding::Failed("not opened".into()))
    }

    /// A new instance with an empty config.
    pub fn instance(&self) -> Result<Instance<'_>, Finding> {
        self.instance_with(HostKind::Plain)
    }

    /// A new instance with an empty config, in a host of this kind.
    pub fn instance_with(&self, host: HostKind) -> Result<Instance<'_>, Finding> {
        match self.library()?.create("{}", host) {
            Made::Instance(instance) => Ok(instance),
            Made::Refused(call) => failed(format!("create() with an empty config: {}", call.told())),
            Made::Nothing => failed("create() returned WENGU_OK and no instance"),
        }
    }

    /// What the instance lists; empty without the capability.
    pub fn names(&self, instance: &Instance) -> Result<Names, Finding> {
        let tables = &self.library()?.tables;
        let mut names = Names::default();
        let items = |what: &str, call: crate::raw::Call<Name>| match call.is_ok() {
            true => Ok(call.items),
            false => failed(format!("{what}(): {}", call.told())),
        };
        if tables.segmenter.is_some() {
            names.terms = items("terms", instance.terms())?;
        }
        if tables.labeler.is_some() {
            names.labels = items("labels", instance.labels())?;
            names.functions = items("functions", instance.functions())?;
        }
        if tables.evaluator.is_some() {
            names.metrics = items("metrics", instance.metrics())?;
        }
        Ok(names)
    }

    /// The texts that a plugin is shown: the corpus, then the author's own.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        CORPUS.iter().copied().chain(self.own.iter().map(String::as_str))
    }

    /// Whether there is a segmenter; else why the case is skipped.
    pub fn needs_segmenter(&self) -> Result<(), Finding> {
        match self.library()?.tables.segmenter {
            Some(_) => Ok(()),
            None => skipped("the plugin provides no segmenter"),
        }
    }

    /// Whether there is a labeler; else why the case is skipped.
    pub fn needs_labeler(&self) -> Result<(), Finding> {
        match self.library()?.tables.labeler {
            Some(_) => Ok(()),
            None => skipped("the plugin provides no labeler"),
        }
    }

    /// Whether there is an evaluator; else why the case is skipped.
    pub fn needs_evaluator(&self) -> Result<(), Finding> {
        match self.library()?.tables.evaluator {
            Some(_) => Ok(()),
            None => skipped("the plugin provides no evaluator"),
        }
    }
}

/// A text for a message: its beginning, on one line.
pub fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let short: String = text.chars().take(CHARS_MAX).collect();
    let more = if short.len() < text.len() { " …" } else { "" };
    format!("{short:?}{more}")
}
