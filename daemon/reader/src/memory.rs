//! The system's allocator, but a refused allocation ends the process with a code that says so. Rust's own answer is an
//! abort, which could be any other.

use std::alloc::{GlobalAlloc, Layout, System};
use wengu_protocol::reader::exit;

/// See the module.
pub struct EndsWhenRefused;

// SAFETY: every call goes to the system's allocator unchanged; what it refuses is not returned from.
unsafe impl GlobalAlloc for EndsWhenRefused {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those of the system's allocator.
        granted(unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        granted(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as above.
        granted(unsafe { System.realloc(ptr, layout, new_size) })
    }
}

fn granted(ptr: *mut u8) -> *mut u8 {
    if ptr.is_null() {
        // SAFETY: ends the process at once; nothing runs after it.
        unsafe { nix::libc::_exit(exit::OUT_OF_MEMORY.into()) }
    }
    ptr
}
