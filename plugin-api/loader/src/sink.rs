use std::ffi::c_void;
use wengu_plugin::{Error, Status, abi};

/// Most items that one call may push.
const ITEMS_MAX: usize = 4 << 20;
/// Longest name or term, in bytes.
const NAME_BYTES_MAX: usize = 1024;

/// The receiving side of an `abi::Sink`: copies items, checked, into a vector.
pub(crate) struct Collected<T> {
    pub items: Vec<T>,
    refused: Option<Error>,
}

/// How an item of the ABI becomes the receiver's own.
pub(crate) trait Receive: Sized {
    type Raw: Copy;
    /// # Safety
    /// What `raw` points to is valid for the call.
    unsafe fn receive(raw: Self::Raw) -> Result<Self, Error>;
}

impl Receive for abi::Segment {
    type Raw = Self;
    unsafe fn receive(raw: Self) -> Result<Self, Error> {
        Ok(raw)
    }
}
impl Receive for abi::Vote {
    type Raw = Self;
    unsafe fn receive(raw: Self) -> Result<Self, Error> {
        Ok(raw)
    }
}
impl Receive for abi::Score {
    type Raw = Self;
    unsafe fn receive(raw: Self) -> Result<Self, Error> {
        Ok(raw)
    }
}

impl Receive for String {
    type Raw = abi::Bytes;
    unsafe fn receive(raw: abi::Bytes) -> Result<Self, Error> {
        if raw.ptr.is_null() || raw.len == 0 || raw.len > NAME_BYTES_MAX as u64 {
            let found = if raw.ptr.is_null() {
                "null".into()
            } else {
                format!("{} bytes", raw.len)
            };
            return Err(internal(format!(
                "a name must have 1 to {NAME_BYTES_MAX} bytes, this one is {found}"
            )));
        }
        // SAFETY: not null, of a plausible length, and valid for the call by this function's contract.
        let bytes = unsafe { std::slice::from_raw_parts(raw.ptr, raw.len as usize) };
        utf8(bytes)
    }
}

impl Receive for wengu_plugin::Metric {
    type Raw = abi::Metric;
    unsafe fn receive(raw: abi::Metric) -> Result<Self, Error> {
        let name: Vec<u8> = raw.name.iter().map(|c| *c as u8).take_while(|b| *b != 0).collect();
        if name.is_empty() || name.len() == raw.name.len() {
            return Err(internal(
                "a metric's name must have 1 to 55 bytes and end in NUL".into(),
            ));
        }
        Ok(Self {
            name: utf8(&name)?,
            higher_is_better: raw.higher_is_better != 0,
        })
    }
}

impl<T: Receive> Collected<T> {
    /// Runs `call` with a sink; returns what was pushed, or why not.
    pub fn from_call(call: impl FnOnce(*const abi::Sink, *mut abi::Error) -> abi::Status) -> Result<Vec<T>, Error> {
        let mut collected = Collected::<T> {
            items: Vec::new(),
            refused: None,
        };
        let sink = abi::Sink {
            ctx: (&raw mut collected).cast(),
            put: Some(put::<T>),
        };
        let mut error = empty_error();
        let status = call(&raw const sink, &raw mut error);
        match (collected.refused, Status::from_raw(status)) {
            (Some(refused), _) => Err(refused),
            (None, Some(status)) => Err(Error::new(status, message(&error))),
            (None, None) => Ok(collected.items),
        }
    }
}

pub(crate) fn empty_error() -> abi::Error {
    abi::Error {
        size: size_of::<abi::Error>() as u64,
        message: [0; 1016],
    }
}

pub(crate) fn message(error: &abi::Error) -> String {
    let bytes: Vec<u8> = error.message.iter().map(|c| *c as u8).take_while(|b| *b != 0).collect();
    match bytes.len() {
        0 => "the plugin gave no message".into(),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

unsafe extern "C" fn put<T: Receive>(ctx: *mut c_void, items: *const c_void, count: u64) -> abi::Status {
    // SAFETY: `ctx` is the collector of `from_call`, which is on the stack for as long as the sink is valid.
    let Some(collected) = (unsafe { ctx.cast::<Collected<T>>().as_mut() }) else {
        return Status::Internal as i32;
    };
    let raw = items.cast::<T::Raw>();
    let taken = match count {
        0 => Ok(()),
        _ if raw.is_null() || !raw.is_aligned() => Err(internal(format!("put() got {count} items at {raw:p}"))),
        _ if count > (ITEMS_MAX - collected.items.len()) as u64 => Err(Error::new(
            Status::Resource,
            format!("the call pushed more than {ITEMS_MAX} items"),
        )),
        // SAFETY: not null, aligned, and by the ABI `count` items that are valid until put() has returned.
        _ => unsafe { std::slice::from_raw_parts(raw, count as usize) }
            .iter()
            .try_for_each(|raw| {
                // SAFETY: as above.
                collected.items.push(unsafe { T::receive(*raw)? });
                Ok(())
            }),
    };
    match taken {
        Ok(()) => 0,
        Err(error) => {
            let status = error.status as i32;
            collected.refused.get_or_insert(error);
            status
        }
    }
}

fn internal(message: String) -> Error {
    Error::new(Status::Internal, message)
}

fn utf8(bytes: &[u8]) -> Result<String, Error> {
    let lossy = || String::from_utf8_lossy(bytes).into_owned();
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|e| internal(format!("{:?} is not UTF-8: {e}", lossy())))
}
