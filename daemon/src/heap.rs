//! What the C library's allocator is told, so that a daemon that once had much to do is small again.

/// All threads share one heap. By default each of up to eight heaps a core keeps what its busiest moment took. To be called before
/// any other thread runs.
pub fn keep_one() {
    #[cfg(target_env = "gnu")]
    // SAFETY: a setting of the allocator, a number.
    unsafe {
        nix::libc::mallopt(nix::libc::M_ARENA_MAX, 1);
    }
}

/// Gives the system back what is free. Takes milliseconds: for when much work has ended.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it touches nothing but free memory, under the allocator's own lock.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
