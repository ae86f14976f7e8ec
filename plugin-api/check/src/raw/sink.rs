use std::ffi::c_void;
use wengu_plugin::{Status, abi};

/// Most items of one call; more is no list but a runaway.
const ITEMS_MAX: usize = 4 << 20;
/// Longest name that is copied.
const NAME_BYTES_MAX: u64 = 1 << 20;

/// How the sink of a call behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkKind {
    /// Takes everything.
    Takes,
    /// Refuses at this put and at every later one, with `WENGU_E_RESOURCE`.
    RefusesAt(u64),
}

/// What came of one call into the plugin.
#[derive(Debug)]
pub struct Call<T> {
    /// What it returned.
    pub status: i32,
    /// What it wrote into the error, up to its NUL.
    pub message: Vec<u8>,
    /// Whether the message had a NUL.
    pub terminated: bool,
    /// What it pushed.
    pub items: Vec<T>,
    /// How often it called `put()`.
    pub puts: u64,
    /// The first push that cannot have been meant.
    pub fault: Option<String>,
}

impl<T> Call<T> {
    /// Whether it ended with `WENGU_OK` and pushed nothing impossible.
    pub fn is_ok(&self) -> bool {
        self.status == 0 && self.fault.is_none()
    }

    /// Whether the plugin answered, or refused the input in a way that leaves it usable.
    pub fn is_answer(&self) -> bool {
        self.fault.is_none() && matches!(self.status, 0..=4)
    }

    /// How it ended, for a message.
    pub fn told(&self) -> String {
        let status = match self.status {
            0 => "WENGU_OK".to_owned(),
            1 => "WENGU_E_INPUT".to_owned(),
            2 => "WENGU_E_UNSUPPORTED".to_owned(),
            3 => "WENGU_E_CANCELLED".to_owned(),
            4 => "WENGU_E_RESOURCE".to_owned(),
            5 => "WENGU_E_INTERNAL".to_owned(),
            6 => "WENGU_E_POISONED".to_owned(),
            other => format!("the unknown status {other}"),
        };
        match (&self.fault, self.message.is_empty()) {
            (Some(fault), _) => format!("{status}, but {fault}"),
            (None, true) => format!("{status}, without a message"),
            (None, false) => format!("{status}: {}", String::from_utf8_lossy(&self.message)),
        }
    }
}

/// An item of a sink, copied.
pub trait Item: Sized {
    type Raw: Copy;
    /// # Safety
    /// What `raw` points to is valid for the call.
    unsafe fn copy(raw: Self::Raw) -> Result<Self, String>;
}

/// A name as it was pushed: bytes that should be UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(pub Vec<u8>);

/// A segment as it was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub kind: u32,
    pub begin: u32,
    pub end: u32,
}

/// A vote as it was pushed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vote {
    pub function: u32,
    pub label: u32,
    pub begin: u32,
    pub end: u32,
    pub confidence: f64,
}

/// A score as it was pushed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    pub metric: u32,
    pub value: f64,
}

impl Item for Name {
    type Raw = abi::Bytes;
    unsafe fn copy(raw: abi::Bytes) -> Result<Self, String> {
        match raw.len {
            0 => Ok(Name(Vec::new())),
            len if raw.ptr.is_null() || len > NAME_BYTES_MAX => Err(format!("a name has {len} bytes at {:p}", raw.ptr)),
            // SAFETY: not null, of a plausible length, and valid for the call by this function's contract.
            len => Ok(Name(
                unsafe { std::slice::from_raw_parts(raw.ptr, len as usize) }.to_vec(),
            )),
        }
    }
}

impl Item for abi::Metric {
    type Raw = abi::Metric;
    unsafe fn copy(raw: abi::Metric) -> Result<Self, String> {
        Ok(raw)
    }
}

impl Item for Segment {
    type Raw = abi::Segment;
    unsafe fn copy(abi::Segment { kind, begin, end }: abi::Segment) -> Result<Self, String> {
        Ok(Segment { kind, begin, end })
    }
}

impl Item for Vote {
    type Raw = abi::Vote;
    unsafe fn copy(v: abi::Vote) -> Result<Self, String> {
        let abi::Vote {
            function,
            label,
            begin,
            end,
            confidence,
        } = v;
        Ok(Vote {
            function,
            label,
            begin,
            end,
            confidence,
        })
    }
}

impl Item for Score {
    type Raw = abi::Score;
    unsafe fn copy(raw: abi::Score) -> Result<Self, String> {
        Ok(Score {
            metric: raw.metric,
            value: raw.value,
        })
    }
}

struct Collector<T> {
    items: Vec<T>,
    puts: u64,
    fault: Option<String>,
    kind: SinkKind,
}

/// Calls with a sink and an error, and tells all that came of it.
pub fn collect<T: Item>(
    kind: SinkKind,
    call: impl FnOnce(*const abi::Sink, *mut abi::Error) -> abi::Status,
) -> Call<T> {
    let mut collector = Collector::<T> {
        items: Vec::new(),
        puts: 0,
        fault: None,
        kind,
    };
    let sink = abi::Sink {
        ctx: (&raw mut collector).cast(),
        put: Some(put::<T>),
    };
    let (status, message, terminated) = with_error(|error| call(&raw const sink, error));
    let Collector { items, puts, fault, .. } = collector;
    Call {
        status,
        message,
        terminated,
        items,
        puts,
        fault,
    }
}

/// Calls with an error; returns the status, the message and whether it ends in NUL.
pub fn with_error(call: impl FnOnce(*mut abi::Error) -> abi::Status) -> (i32, Vec<u8>, bool) {
    let mut error = abi::Error {
        size: size_of::<abi::Error>() as u64,
        message: [0; 1016],
    };
    let status = call(&raw mut error);
    let bytes = error.message.iter().map(|c| *c as u8);
    let message: Vec<u8> = bytes.take_while(|b| *b != 0).collect();
    let terminated = message.len() < error.message.len();
    (status, message, terminated)
}

unsafe extern "C" fn put<T: Item>(ctx: *mut c_void, items: *const c_void, count: u64) -> abi::Status {
    // SAFETY: `ctx` is the collector of `collect`, which is on the stack for as long as the sink is valid.
    let Some(collector) = (unsafe { ctx.cast::<Collector<T>>().as_mut() }) else {
        return Status::Internal as i32;
    };
    collector.puts += 1;
    if matches!(collector.kind, SinkKind::RefusesAt(n) if collector.puts >= n) {
        return Status::Resource as i32;
    }
    let raw = items.cast::<T::Raw>();
    let room = (ITEMS_MAX - collector.items.len()) as u64;
    let fault = match count {
        0 => None,
        _ if raw.is_null() || !raw.is_aligned() => Some(format!("put() was called with {count} items at {raw:p}")),
        _ if count > room => Some(format!("it pushed more than {ITEMS_MAX} items")),
        // SAFETY: not null, aligned, and by the ABI `count` items that are valid until put() has returned.
        _ => unsafe { std::slice::from_raw_parts(raw, count as usize) }
            .iter()
            .find_map(|raw| {
                // SAFETY: as above.
                unsafe { T::copy(*raw) }.map(|item| collector.items.push(item)).err()
            }),
    };
    match fault {
        None => 0,
        Some(fault) => {
            collector.fault.get_or_insert(fault);
            Status::Internal as i32
        }
    }
}
