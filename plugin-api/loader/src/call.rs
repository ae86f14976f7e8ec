use crate::LoadError;
use crate::check::{Checked, check};
use crate::open::open;
use crate::sink::{Collected, empty_error, message};
use std::collections::HashSet;
use std::ffi::c_void;
use std::ptr::NonNull;
use wengu_plugin::segments::check_tiling;
use wengu_plugin::{Error, Metric, Prediction, Segment, SegmentKind, Status, Vote, abi};
use wengu_plugin_package::Installed;

/// What a plugin may ask of its host.
pub trait HostCalls {
    /// A line for the log; level 0 error .. 4 trace.
    fn log(&self, level: i32, text: &str);
    /// The plugin is alive. False stops the call.
    fn keep_going(&self, done: u64, total: u64) -> bool;
}

/// What an instance lists, once and for all. Empty without the capability.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lists {
    /// Terms that deserve a token of their own.
    pub terms: Vec<String>,
    /// Label names.
    pub labels: Vec<String>,
    /// Names of the labelling functions.
    pub functions: Vec<String>,
    /// Metrics.
    pub metrics: Vec<Metric>,
}

/// A loaded plugin with one instance. Not `Send`: the heartbeat belongs to the thread that calls.
pub struct Plugin {
    checked: Checked,
    config: String,
    lists: Lists,
    instance: Option<NonNull<abi::Instance>>,
    // Declared last: it must outlive the instance.
    host: Box<HostSide>,
}

struct HostSide {
    table: abi::Host,
    calls: Box<dyn HostCalls + Sync>,
}

impl Plugin {
    /// Loads, checks and starts an installed plugin. `config` is the JSON of the operator's table for it.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn load(installed: &Installed, config: &str, calls: Box<dyn HostCalls + Sync>) -> Result<Plugin, LoadError> {
        let entry = open(installed)?;
        // SAFETY: `entry` came from the library's entry symbol.
        let checked = unsafe { check(entry, &installed.manifest)? };
        let table = abi::Host {
            size: size_of::<abi::Host>() as u64,
            ctx: std::ptr::null_mut(),
            log: Some(host_log),
            keep_going: Some(host_keep_going),
        };
        let mut host = Box::new(HostSide { table, calls });
        host.table.ctx = (&raw const *host).cast_mut().cast();
        let config = config.to_owned();
        let mut plugin = Plugin {
            checked,
            config,
            lists: Lists::default(),
            instance: None,
            host,
        };
        plugin.create().map_err(LoadError::Create)?;
        plugin.lists = plugin.read_lists()?;
        Ok(plugin)
    }

    /// What the instance lists.
    pub fn lists(&self) -> &Lists {
        &self.lists
    }

    /// Segments a text; the segments tile it.
    ///
    /// # Errors
    /// The plugin's, or [`Status::Internal`] where its segments do not tile the text.
    pub fn segment(&mut self, text: &str) -> Result<Vec<Segment>, Error> {
        let (_, segment) = self.checked.segmenter.ok_or_else(|| unsupported("segmenter"))?;
        fits_offsets(text)?;
        // SAFETY: a checked table's function on a live instance; the text lives for the call.
        let raw: Vec<abi::Segment> = self.call(|i, sink, err| unsafe { segment(i, bytes(text), sink, err) })?;
        let segments = raw.iter().map(|s| {
            let kind = match s.kind {
                abi::SEGMENT_TEXT => SegmentKind::Text,
                abi::SEGMENT_TERM => SegmentKind::Term,
                abi::SEGMENT_DROP => SegmentKind::Drop,
                other => return Err(internal(format!("segment kind {other} is none of 0, 1, 2"))),
            };
            Ok(Segment {
                kind,
                range: s.begin as usize..s.end as usize,
            })
        });
        let segments = segments.collect::<Result<Vec<_>, _>>()?;
        check_tiling(text, &segments).map_err(internal)?;
        Ok(segments)
    }

    /// Votes for a document. `metadata` is a JSON object.
    ///
    /// # Errors
    /// The plugin's, or [`Status::Internal`] where a vote points nowhere.
    pub fn label(&mut self, text: &str, metadata: &str, seed: u64) -> Result<Vec<Vote>, Error> {
        let (_, _, label) = self.checked.labeler.ok_or_else(|| unsupported("labeler"))?;
        fits_offsets(text)?;
        let raw: Vec<abi::Vote> =
            // SAFETY: a checked table's function on a live instance; the texts live for the call.
            self.call(|i, sink, err| unsafe { label(i, bytes(text), bytes(metadata), seed, sink, err) })?;
        raw.iter().map(|v| self.vote(v, text)).collect()
    }

    /// One value for each metric, in their order.
    ///
    /// # Errors
    /// The plugin's, or [`Status::Internal`] where a metric is missing, repeated or not finite.
    pub fn score(&mut self, item: &Prediction, seed: u64) -> Result<Vec<f64>, Error> {
        let (_, score) = self.checked.evaluator.ok_or_else(|| unsupported("evaluator"))?;
        let raw_item = abi::Prediction {
            input: bytes(item.input),
            expected: bytes(item.expected),
            actual: bytes(item.actual),
        };
        // SAFETY: a checked table's function on a live instance; the item lives for the call.
        let raw: Vec<abi::Score> =
            self.call(|i, sink, err| unsafe { score(i, &raw const raw_item, seed, sink, err) })?;
        let metrics = &self.lists.metrics;
        let mut values = vec![None; metrics.len()];
        for s in &raw {
            let count = metrics.len();
            let slot = values
                .get_mut(s.metric as usize)
                .ok_or_else(|| internal(format!("a score is for metric {} of {count}", s.metric)))?;
            if !s.value.is_finite() || slot.replace(s.value).is_some() {
                return Err(internal(format!(
                    "metric {} is {} or is scored twice",
                    s.metric, s.value
                )));
            }
        }
        let complete: Option<Vec<f64>> = values.iter().copied().collect();
        complete.ok_or_else(|| internal(format!("{} scores for {} metrics", raw.len(), metrics.len())))
    }

    fn vote(&self, v: &abi::Vote, text: &str) -> Result<Vote, Error> {
        let (function, label) = (v.function as usize, v.label as usize);
        if function >= self.lists.functions.len() || label >= self.lists.labels.len() {
            let (functions, labels) = (self.lists.functions.len(), self.lists.labels.len());
            return Err(internal(format!(
                "a vote is by function {function} of {functions} for label {label} of {labels}"
            )));
        }
        if !(v.confidence > 0.0 && v.confidence <= 1.0) {
            return Err(internal(format!(
                "a vote's confidence is {}, not in (0,1]",
                v.confidence
            )));
        }
        let span = match (v.begin as usize, v.end as usize) {
            (0, 0) => None,
            (begin, end) if begin < end && text.get(begin..end).is_some() => Some(begin..end),
            (begin, end) => {
                return Err(internal(format!(
                    "a vote's span {begin}..{end} is no piece of the text"
                )));
            }
        };
        Ok(Vote {
            function,
            label,
            span,
            confidence: v.confidence,
        })
    }

    /// One call on the instance. A poisoned instance is destroyed, and the next call makes a new one.
    fn call<T: crate::sink::Receive>(
        &mut self,
        call: impl FnOnce(*mut abi::Instance, *const abi::Sink, *mut abi::Error) -> abi::Status,
    ) -> Result<Vec<T>, Error> {
        if self.instance.is_none() {
            self.create()?;
        }
        let instance = self.instance.ok_or_else(|| internal("there is no instance".into()))?;
        let outcome = Collected::from_call(|sink, err| call(instance.as_ptr(), sink, err));
        if matches!(&outcome, Err(e) if e.status == Status::Poisoned) {
            self.destroy();
        }
        outcome
    }

    fn create(&mut self) -> Result<(), Error> {
        let mut out = std::ptr::null_mut();
        let mut error = empty_error();
        // SAFETY: a checked function; host, config, out and error live for the call, the host until destroy().
        let status = unsafe {
            (self.checked.create)(
                &raw const self.host.table,
                bytes(&self.config),
                &raw mut out,
                &raw mut error,
            )
        };
        match (Status::from_raw(status), NonNull::new(out)) {
            (Some(status), _) => Err(Error::new(status, message(&error))),
            (None, None) => Err(internal("create() returned WENGU_OK and no instance".into())),
            (None, instance) => {
                self.instance = instance;
                Ok(())
            }
        }
    }

    fn destroy(&mut self) {
        if let Some(instance) = self.instance.take() {
            // SAFETY: a checked function, on an instance that is never used again.
            unsafe { (self.checked.destroy)(instance.as_ptr()) }
        }
    }

    fn read_lists(&mut self) -> Result<Lists, LoadError> {
        let mut lists = Lists::default();
        if let Some((terms, _)) = self.checked.segmenter {
            lists.terms = self.list("terms", terms)?;
            unique("terms", &lists.terms)?;
        }
        if let Some((labels, functions, _)) = self.checked.labeler {
            lists.labels = self.list("labels", labels)?;
            unique("labels", &lists.labels)?;
            lists.functions = self.list("functions", functions)?;
            unique("functions", &lists.functions)?;
        }
        if let Some((metrics, _)) = self.checked.evaluator {
            lists.metrics = self.list("metrics", metrics)?;
            unique(
                "metrics",
                &lists.metrics.iter().map(|m| m.name.clone()).collect::<Vec<_>>(),
            )?;
        }
        Ok(lists)
    }

    fn list<T: crate::sink::Receive>(&mut self, list: &'static str, f: abi::List) -> Result<Vec<T>, LoadError> {
        // SAFETY: a checked table's function on a live instance.
        self.call(|i, sink, err| unsafe { f(i, sink, err) })
            .map_err(|error| LoadError::Lists { list, error })
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.destroy();
    }
}

fn unique(list: &'static str, names: &[String]) -> Result<(), LoadError> {
    let mut seen = HashSet::new();
    let repeated = names.iter().find(|name| !seen.insert(name.as_str()));
    match repeated {
        None if !names.is_empty() || list == "terms" => Ok(()),
        None => Err(LoadError::Lists {
            list,
            error: internal("is empty".into()),
        }),
        Some(name) => Err(LoadError::Lists {
            list,
            error: internal(format!("{name:?} stands in it twice")),
        }),
    }
}

fn bytes(text: &str) -> abi::Bytes {
    abi::Bytes {
        ptr: text.as_ptr(),
        len: text.len() as u64,
    }
}

fn fits_offsets(text: &str) -> Result<(), Error> {
    match u32::try_from(text.len()) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::input(format!(
            "{} bytes are more than 32-bit offsets reach",
            text.len()
        ))),
    }
}

fn internal(message: String) -> Error {
    Error::new(Status::Internal, message)
}

fn unsupported(capability: &str) -> Error {
    Error::new(Status::Unsupported, format!("the plugin has no {capability}"))
}

unsafe extern "C" fn host_log(ctx: *mut c_void, level: i32, text: abi::Bytes) {
    const LINE_BYTES_MAX: u64 = 4096;
    if text.ptr.is_null() {
        return;
    }
    // SAFETY: `ctx` is the box of `Plugin::load`, which outlives the instance; the text is borrowed for the call.
    unsafe {
        let host = &*ctx.cast::<HostSide>();
        let line = std::slice::from_raw_parts(text.ptr, text.len.min(LINE_BYTES_MAX) as usize);
        host.calls.log(level, &String::from_utf8_lossy(line));
    }
}

unsafe extern "C" fn host_keep_going(ctx: *mut c_void, done: u64, total: u64) -> i32 {
    // SAFETY: as in `host_log`.
    let host = unsafe { &*ctx.cast::<HostSide>() };
    i32::from(host.calls.keep_going(done, total))
}
