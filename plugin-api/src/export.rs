//! The seam: the one module where raw pointers become slices and panics become statuses. Used by `export_plugin!`.

use crate::{Document, Error, Evaluator, Host, Labeler, Plugin, Prediction, Segmenter, Status, abi};
use std::any::Any;
use std::ffi::{CStr, CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

/// The plugin's entry table, made at the first call.
pub struct Entry(OnceLock<Leaked>);

struct Leaked(&'static abi::Entry);
// SAFETY: the table and all that it points to are never written after `get` has made them.
unsafe impl Send for Leaked {}
// SAFETY: as above.
unsafe impl Sync for Leaked {}

impl Entry {
    #[allow(
        clippy::new_without_default,
        reason = "a const for the macro's static, made nowhere else"
    )]
    pub const fn new() -> Entry {
        Entry(OnceLock::new())
    }

    pub fn get<P: Plugin>(&self, extension: abi::Extension, provides: &[&'static CStr]) -> *const abi::Entry {
        // A NUL in a descriptor's text is the only way to fail; a null entry is refused by name.
        catch_unwind(AssertUnwindSafe(|| {
            self.0.get_or_init(|| Leaked(entry::<P>(extension, provides))).0
        }))
        .map_or(std::ptr::null(), |entry| entry)
    }
}

fn entry<P: Plugin>(extension: abi::Extension, provides: &[&'static CStr]) -> &'static abi::Entry {
    let text = |s: &str| CString::new(s).expect("text without NUL").into_raw().cast_const();
    let list = |mut items: Vec<*const c_char>| {
        items.push(std::ptr::null());
        Box::leak(items.into_boxed_slice()).as_ptr()
    };
    let d = P::DESCRIPTOR;
    let descriptor = Box::leak(Box::new(abi::Descriptor {
        size: size_of::<abi::Descriptor>() as u64,
        id: text(d.id),
        name: text(d.name),
        version: text(d.version),
        domain: text(d.domain),
        languages: list(d.languages.iter().map(|l| text(l)).collect()),
        provides: list(provides.iter().map(|id| id.as_ptr()).collect()),
    }));
    Box::leak(Box::new(abi::Entry {
        size: size_of::<abi::Entry>() as u64,
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        descriptor,
        create: Some(create::<P>),
        destroy: Some(destroy::<P>),
        extension: Some(extension),
    }))
}

/// An extension id and its table.
#[derive(Clone, Copy)]
pub struct Capability {
    id: &'static CStr,
    table: *const c_void,
}

impl Capability {
    pub fn id(self) -> &'static CStr {
        self.id
    }
}

/// # Safety
/// `id` is null or NUL-terminated.
pub unsafe fn find(id: *const c_char, capabilities: &[Capability]) -> *const c_void {
    if id.is_null() {
        return std::ptr::null();
    }
    // SAFETY: not null, and NUL-terminated by this function's contract.
    let id = unsafe { CStr::from_ptr(id) };
    capabilities
        .iter()
        .find(|c| c.id == id)
        .map_or(std::ptr::null(), |c| c.table)
}

struct Tables<P>(P);
impl<P: Segmenter> Tables<P> {
    const SEGMENTER: &'static abi::SegmenterV1 = &abi::SegmenterV1 {
        terms: Some(terms::<P>),
        segment: Some(segment::<P>),
    };
}
impl<P: Labeler> Tables<P> {
    const LABELER: &'static abi::LabelerV1 = &abi::LabelerV1 {
        labels: Some(labels::<P>),
        functions: Some(functions::<P>),
        label: Some(label::<P>),
    };
}
impl<P: Evaluator> Tables<P> {
    const EVALUATOR: &'static abi::EvaluatorV1 = &abi::EvaluatorV1 {
        metrics: Some(metrics::<P>),
        score: Some(score::<P>),
    };
}

pub fn segmenter<P: Segmenter>() -> Capability {
    Capability {
        id: abi::EXT_SEGMENTER,
        table: std::ptr::from_ref(Tables::<P>::SEGMENTER).cast(),
    }
}

pub fn labeler<P: Labeler>() -> Capability {
    Capability {
        id: abi::EXT_LABELER,
        table: std::ptr::from_ref(Tables::<P>::LABELER).cast(),
    }
}

pub fn evaluator<P: Evaluator>() -> Capability {
    Capability {
        id: abi::EXT_EVALUATOR,
        table: std::ptr::from_ref(Tables::<P>::EVALUATOR).cast(),
    }
}

/// What an `abi::Instance` pointer points to. The plugin is gone after a panic.
struct Instance<P> {
    host: *const abi::Host,
    plugin: Option<P>,
}

unsafe extern "C" fn create<P: Plugin>(
    host: *const abi::Host,
    config: abi::Bytes,
    out: *mut *mut abi::Instance,
    err: *mut abi::Error,
) -> abi::Status {
    finish(err, || {
        // SAFETY: the ABI says that these live for the call, and the host until destroy() has returned.
        let (config, call) = unsafe { (text(&config, "config")?, Host::from_raw(host)) };
        let plugin = P::create(&call, &json(config, "config")?)?;
        let instance = Box::into_raw(Box::new(Instance {
            host,
            plugin: Some(plugin),
        }));
        // SAFETY: the ABI says that `out` may be written.
        unsafe { out.write(instance.cast()) };
        Ok(())
    })
}

unsafe extern "C" fn destroy<P: Plugin>(instance: *mut abi::Instance) {
    if !instance.is_null() {
        // SAFETY: made by `create`, and this is the last call.
        let instance = unsafe { Box::from_raw(instance.cast::<Instance<P>>()) };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(instance))) {
            std::mem::forget(payload);
        }
    }
}

unsafe extern "C" fn terms<P: Segmenter>(i: *mut abi::Instance, sink: *const abi::Sink, e: *mut abi::Error) -> i32 {
    with::<P>(i, e, |plugin, _| push_names(sink, &plugin.terms()))
}

unsafe extern "C" fn labels<P: Labeler>(i: *mut abi::Instance, sink: *const abi::Sink, e: *mut abi::Error) -> i32 {
    with::<P>(i, e, |plugin, _| push_names(sink, &plugin.labels()))
}

unsafe extern "C" fn functions<P: Labeler>(i: *mut abi::Instance, sink: *const abi::Sink, e: *mut abi::Error) -> i32 {
    with::<P>(i, e, |plugin, _| push_names(sink, &plugin.functions()))
}

unsafe extern "C" fn metrics<P: Evaluator>(i: *mut abi::Instance, sink: *const abi::Sink, e: *mut abi::Error) -> i32 {
    with::<P>(i, e, |plugin, _| {
        let metrics: Vec<abi::Metric> = plugin.metrics().iter().map(metric).collect::<Result<_, _>>()?;
        push(sink, &metrics)
    })
}

unsafe extern "C" fn segment<P: Segmenter>(
    instance: *mut abi::Instance,
    text_bytes: abi::Bytes,
    sink: *const abi::Sink,
    err: *mut abi::Error,
) -> abi::Status {
    with::<P>(instance, err, |plugin, host| {
        // SAFETY: borrowed for the call, as the ABI says.
        let text = unsafe { text(&text_bytes, "text")? };
        let segments: Vec<abi::Segment> = plugin
            .segment(host, text)?
            .into_iter()
            .map(|s| {
                Ok(abi::Segment {
                    kind: s.kind as u32,
                    begin: offset(s.range.start)?,
                    end: offset(s.range.end)?,
                })
            })
            .collect::<Result<_, Error>>()?;
        push(sink, &segments)
    })
}

unsafe extern "C" fn label<P: Labeler>(
    instance: *mut abi::Instance,
    text_bytes: abi::Bytes,
    metadata: abi::Bytes,
    seed: u64,
    sink: *const abi::Sink,
    err: *mut abi::Error,
) -> abi::Status {
    with::<P>(instance, err, |plugin, host| {
        // SAFETY: borrowed for the call, as the ABI says.
        let (text, metadata) = unsafe { (text(&text_bytes, "text")?, text(&metadata, "metadata")?) };
        let metadata = json(metadata, "metadata")?;
        let votes: Vec<abi::Vote> = plugin
            .label(
                host,
                &Document {
                    text,
                    metadata: &metadata,
                    seed,
                },
            )?
            .into_iter()
            .map(|v| {
                let span = v.span.unwrap_or(0..0);
                Ok(abi::Vote {
                    function: offset(v.function)?,
                    label: offset(v.label)?,
                    begin: offset(span.start)?,
                    end: offset(span.end)?,
                    confidence: v.confidence,
                })
            })
            .collect::<Result<_, Error>>()?;
        push(sink, &votes)
    })
}

unsafe extern "C" fn score<P: Evaluator>(
    instance: *mut abi::Instance,
    item: *const abi::Prediction,
    seed: u64,
    sink: *const abi::Sink,
    err: *mut abi::Error,
) -> abi::Status {
    with::<P>(instance, err, |plugin, host| {
        // SAFETY: borrowed for the call, as the ABI says.
        let item = unsafe {
            let item = item.as_ref().ok_or_else(|| Error::input("the item is null"))?;
            Prediction {
                input: text(&item.input, "input")?,
                expected: text(&item.expected, "expected")?,
                actual: text(&item.actual, "actual")?,
            }
        };
        let values = plugin.score(host, &item, seed)?;
        let scores: Vec<abi::Score> = (0u32..)
            .zip(values)
            .map(|(metric, value)| abi::Score {
                metric,
                reserved: 0,
                value,
            })
            .collect();
        push(sink, &scores)
    })
}

/// Runs a call on an instance; a panic drops the plugin and poisons the instance.
fn with<P: Plugin>(
    instance: *mut abi::Instance,
    err: *mut abi::Error,
    call: impl FnOnce(&mut P, &Host) -> Result<(), Error>,
) -> abi::Status {
    // SAFETY: made by `create`; the ABI promises that no other call uses it now.
    let Some(instance) = (unsafe { instance.cast::<Instance<P>>().as_mut() }) else {
        return finish(err, || Err(Error::input("the instance is null")));
    };
    // SAFETY: the host is valid until destroy() has returned.
    let host = unsafe { Host::from_raw(instance.host) };
    let status = finish(err, || match &mut instance.plugin {
        Some(plugin) => call(plugin, &host),
        None => Err(Error::new(
            Status::Poisoned,
            "the instance is poisoned by an earlier panic",
        )),
    });
    // `AssertUnwindSafe` in `finish` is sound because the state that a panic left half changed is dropped here.
    if status == Status::Poisoned as i32
        && let Err(payload) = catch_unwind(AssertUnwindSafe(|| instance.plugin = None))
    {
        std::mem::forget(payload);
    }
    status
}

/// Catches a panic, writes the message, returns the status.
fn finish(err: *mut abi::Error, call: impl FnOnce() -> Result<(), Error>) -> abi::Status {
    let outcome = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| Err(panicked(payload)));
    let Err(error) = outcome else { return 0 };
    write_error(err, &error.message);
    error.status as i32
}

fn panicked(payload: Box<dyn Any + Send>) -> Error {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    // A payload's own drop may panic, and nothing may leave this module.
    std::mem::forget(payload);
    Error::new(
        Status::Poisoned,
        format!("panicked: {}", text.as_deref().unwrap_or("without a message")),
    )
}

fn write_error(err: *mut abi::Error, message: &str) {
    let header = std::mem::offset_of!(abi::Error, message);
    if err.is_null() {
        return;
    }
    // SAFETY: the caller's memory, of `size` bytes; nothing beyond it is written.
    unsafe {
        let size = (&raw const (*err).size).read().min(size_of::<abi::Error>() as u64) as usize;
        if size <= header {
            return;
        }
        let mut len = message.len().min(size - header - 1);
        while !message.is_char_boundary(len) {
            len -= 1;
        }
        let to = (&raw mut (*err).message).cast::<u8>();
        std::ptr::copy_nonoverlapping(message.as_ptr(), to, len);
        to.add(len).write(0);
    }
}

/// # Safety
/// `bytes` is {null, 0} or points to `len` bytes that live as long as the borrow.
unsafe fn text<'a>(bytes: &'a abi::Bytes, what: &str) -> Result<&'a str, Error> {
    let len = usize::try_from(bytes.len).map_err(|_| Error::input(format!("{what} is too long")))?;
    let slice = match (bytes.ptr.is_null(), len) {
        (_, 0) => &[][..],
        (true, _) => return Err(Error::input(format!("{what} is null with a length of {len}"))),
        // SAFETY: by this function's contract.
        (false, _) => unsafe { std::slice::from_raw_parts(bytes.ptr, len) },
    };
    std::str::from_utf8(slice).map_err(|e| Error::input(format!("{what} is not UTF-8: {e}")))
}

fn json(text: &str, what: &str) -> Result<serde_json::Value, Error> {
    if text.is_empty() {
        return Ok(serde_json::Value::Object(serde_json::Map::new()));
    }
    serde_json::from_str(text).map_err(|e| Error::input(format!("{what} is not JSON: {e}")))
}

fn offset(value: usize) -> Result<u32, Error> {
    u32::try_from(value).map_err(|_| Error::new(Status::Internal, format!("{value} does not fit 32 bits")))
}

fn metric(metric: &crate::Metric) -> Result<abi::Metric, Error> {
    let mut raw = abi::Metric {
        name: [0; 56],
        higher_is_better: i32::from(metric.higher_is_better),
        reserved: 0,
    };
    let name = metric.name.as_bytes();
    if name.len() >= raw.name.len() || name.contains(&0) {
        return Err(Error::new(
            Status::Internal,
            format!("metric name {:?} does not fit 55 bytes", metric.name),
        ));
    }
    for (to, from) in raw.name.iter_mut().zip(name) {
        *to = *from as c_char;
    }
    Ok(raw)
}

fn push_names(sink: *const abi::Sink, names: &[String]) -> Result<(), Error> {
    let names: Vec<_> = names
        .iter()
        .map(|n| abi::Bytes {
            ptr: n.as_ptr(),
            len: n.len() as u64,
        })
        .collect();
    push(sink, &names)
}

fn push<T>(sink: *const abi::Sink, items: &[T]) -> Result<(), Error> {
    // SAFETY: the ABI says that the sink is valid for the call; the items live until put() has returned.
    let status = unsafe {
        let sink = sink.as_ref().ok_or_else(|| Error::input("the sink is null"))?;
        let put = sink.put.ok_or_else(|| Error::input("the sink has no put()"))?;
        if items.is_empty() {
            0
        } else {
            put(sink.ctx, items.as_ptr().cast(), items.len() as u64)
        }
    };
    Status::from_raw(status).map_or(Ok(()), |status| {
        Err(Error::new(status, "the receiver refused the items"))
    })
}
