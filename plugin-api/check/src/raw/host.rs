use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use wengu_plugin::abi;

/// What host an instance is made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKind {
    /// As this version's hosts are.
    Plain,
    /// As a later minor version's: more fields after those of today.
    Larger,
}

/// Fields that a later version may have.
const LATER_FIELDS: usize = 8;

/// The host's side of an instance.
#[repr(C)]
pub struct HostSide {
    table: abi::Host,
    later: [usize; LATER_FIELDS],
    stop: AtomicBool,
    beats: AtomicU64,
}

impl HostSide {
    /// Boxed, since the plugin keeps its address.
    pub fn new(kind: HostKind) -> Box<HostSide> {
        let size = match kind {
            HostKind::Plain => size_of::<abi::Host>(),
            HostKind::Larger => size_of::<abi::Host>() + size_of::<[usize; LATER_FIELDS]>(),
        };
        let table = abi::Host {
            size: size as u64,
            ctx: std::ptr::null_mut(),
            log: Some(log),
            keep_going: Some(keep_going),
        };
        // Where a later version has functions, this one has addresses that cannot be called.
        let later = [usize::MAX; LATER_FIELDS];
        let (stop, beats) = (AtomicBool::new(false), AtomicU64::new(0));
        let mut side = Box::new(HostSide {
            table,
            later,
            stop,
            beats,
        });
        side.table.ctx = (&raw const *side).cast_mut().cast();
        side
    }

    /// What the plugin is given.
    pub fn table(&self) -> *const abi::Host {
        &raw const self.table
    }

    /// Makes `keep_going()` say no, or yes again.
    pub fn stop(&self, stop: bool) {
        self.stop.store(stop, Ordering::Relaxed);
    }

    /// How often `keep_going()` was called.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }
}

unsafe extern "C" fn log(ctx: *mut c_void, level: i32, text: abi::Bytes) {
    if ctx.is_null() || text.ptr.is_null() {
        return;
    }
    // SAFETY: by the ABI the text is valid for the call.
    let line = unsafe { std::slice::from_raw_parts(text.ptr, text.len.min(1024) as usize) };
    eprintln!("plugin log {level}: {}", String::from_utf8_lossy(line));
}

unsafe extern "C" fn keep_going(ctx: *mut c_void, _done: u64, _total: u64) -> i32 {
    // SAFETY: `ctx` is the box of `HostSide::new`, which outlives the instance.
    let Some(side) = (unsafe { ctx.cast::<HostSide>().as_ref() }) else {
        return 0;
    };
    side.beats.fetch_add(1, Ordering::Relaxed);
    i32::from(!side.stop.load(Ordering::Relaxed))
}
