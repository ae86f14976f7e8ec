use crate::{Error, Status, abi};
use std::marker::PhantomData;

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Level {
    /// Something failed.
    Error = 0,
    /// Something is odd.
    Warn = 1,
    /// Something happened.
    Info = 2,
    /// For the plugin's author.
    Debug = 3,
    /// For the plugin's author, in bulk.
    Trace = 4,
}

/// The host, for the duration of a call. Neither `Send` nor `Sync`: the heartbeat belongs to the calling thread.
pub struct Host<'call> {
    raw: *const abi::Host,
    call: PhantomData<&'call abi::Host>,
}

impl Host<'static> {
    /// A host that hears nothing and never stops a call: for a plugin's own tests.
    pub fn silent() -> Self {
        Host {
            raw: std::ptr::null(),
            call: PhantomData,
        }
    }
}

impl Host<'_> {
    /// # Safety
    /// `raw` is null or points to a host that stays valid for the lifetime.
    pub(crate) unsafe fn from_raw(raw: *const abi::Host) -> Self {
        Host { raw, call: PhantomData }
    }

    /// The host's struct, if it is one and of at least the size of version 1.0.
    fn table(&self) -> Option<&abi::Host> {
        // SAFETY: by the contract of `from_raw`; only `size` is read until it is known to cover the rest.
        unsafe {
            let size = self.raw.as_ref().map(|_| (&raw const (*self.raw).size).read())?;
            (size >= size_of::<abi::Host>() as u64).then(|| &*self.raw)
        }
    }

    /// Writes a line to the daemon's log, under the plugin's name.
    pub fn log(&self, level: Level, text: &str) {
        if let Some(table) = self.table()
            && let Some(log) = table.log
        {
            let text = abi::Bytes {
                ptr: text.as_ptr(),
                len: text.len() as u64,
            };
            // SAFETY: the host gave the function and its context; the text is borrowed for the call.
            unsafe { log(table.ctx, level as i32, text) }
        }
    }

    /// Says that the call is alive. Call it at least once a second in long work and pass the error on.
    ///
    /// # Errors
    /// [`Status::Cancelled`] when the host wants the call to end.
    pub fn keep_going(&self, done: u64, total: u64) -> Result<(), Error> {
        let Some(table) = self.table() else { return Ok(()) };
        let Some(keep_going) = table.keep_going else {
            return Ok(());
        };
        // SAFETY: the host gave the function and its context, and this is the thread of the call (`!Send`).
        match unsafe { keep_going(table.ctx, done, total) } {
            0 => Err(Error::new(Status::Cancelled, "stopped by the host")),
            _ => Ok(()),
        }
    }
}
