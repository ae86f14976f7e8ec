use super::host::HostSide;
use super::library::Library;
use super::sink::{Call, Name, Score, Segment, SinkKind, Vote, collect};
use std::ptr::NonNull;
use wengu_plugin::{Prediction, abi};

/// An instance, destroyed with this value.
pub struct Instance<'a> {
    pub(super) library: &'a Library,
    pub(super) pointer: NonNull<abi::Instance>,
    /// Its host.
    pub host: Box<HostSide>,
}

// SAFETY: by the ABI the OS thread may differ from call to call, and two calls at once cannot be: `Instance` is not Sync.
unsafe impl Send for Instance<'_> {}

impl Instance<'_> {
    /// `terms()`; the plugin has a segmenter.
    pub fn terms(&self) -> Call<Name> {
        self.list(self.library.tables.segmenter.map(|t| t.0))
    }

    /// `labels()`; the plugin has a labeler.
    pub fn labels(&self) -> Call<Name> {
        self.list(self.library.tables.labeler.map(|t| t.0))
    }

    /// `functions()`; the plugin has a labeler.
    pub fn functions(&self) -> Call<Name> {
        self.list(self.library.tables.labeler.map(|t| t.1))
    }

    /// `metrics()`, their names; the plugin has an evaluator.
    pub fn metrics(&self) -> Call<Name> {
        let raw = self.raw_metrics();
        let name = |m: &abi::Metric| Name(m.name.iter().map(|c| *c as u8).take_while(|b| *b != 0).collect());
        let unterminated = raw.items.iter().find(|m| !m.name.contains(&0));
        let unterminated = unterminated.map(|m| format!("a metric's name has no NUL: {:?}", name(m)));
        Call {
            items: raw.items.iter().map(name).collect(),
            fault: raw.fault.or(unterminated),
            status: raw.status,
            message: raw.message,
            terminated: raw.terminated,
            puts: raw.puts,
        }
    }

    fn raw_metrics(&self) -> Call<abi::Metric> {
        self.list(self.library.tables.evaluator.map(|t| t.0))
    }

    fn list<T: super::sink::Item>(&self, list: Option<abi::List>) -> Call<T> {
        // SAFETY: a function of the table that its id names, on a live instance.
        let call = |sink, error| list.map_or(2, |list| unsafe { list(self.pointer.as_ptr(), sink, error) });
        collect(SinkKind::Takes, call)
    }

    /// `segment()`; the plugin has a segmenter.
    pub fn segment(&self, text: &[u8], sink: SinkKind) -> Call<Segment> {
        let function = self.library.tables.segmenter.map(|t| t.1);
        // SAFETY: as in `list`; the text lives for the call.
        let call = |sink, error| function.map_or(2, |f| unsafe { f(self.pointer.as_ptr(), bytes(text), sink, error) });
        collect(sink, call)
    }

    /// `label()`; the plugin has a labeler.
    pub fn label(&self, text: &[u8], metadata: &str, seed: u64, sink: SinkKind) -> Call<Vote> {
        let function = self.library.tables.labeler.map(|t| t.2);
        let (text, metadata) = (bytes(text), bytes(metadata.as_bytes()));
        let call = |sink, error| {
            // SAFETY: as in `list`; what is borrowed lives for the call.
            function.map_or(2, |f| unsafe {
                f(self.pointer.as_ptr(), text, metadata, seed, sink, error)
            })
        };
        collect(sink, call)
    }

    /// `score()`; the plugin has an evaluator.
    pub fn score(&self, item: &Prediction, seed: u64, sink: SinkKind) -> Call<Score> {
        let function = self.library.tables.evaluator.map(|t| t.1);
        let [input, expected, actual] = [item.input, item.expected, item.actual].map(|t| bytes(t.as_bytes()));
        let raw = abi::Prediction {
            input,
            expected,
            actual,
        };
        let call = |sink, error| {
            // SAFETY: as in `list`; what is borrowed lives for the call.
            function.map_or(2, |f| unsafe {
                f(self.pointer.as_ptr(), &raw const raw, seed, sink, error)
            })
        };
        collect(sink, call)
    }
}

impl Drop for Instance<'_> {
    fn drop(&mut self) {
        // SAFETY: the instance is live, and never used again.
        unsafe { (self.library.destroy)(self.pointer.as_ptr()) }
    }
}

fn bytes(text: &[u8]) -> abi::Bytes {
    abi::Bytes {
        ptr: text.as_ptr(),
        len: text.len() as u64,
    }
}
