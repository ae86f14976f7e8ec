use crate::LoadError;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::time::Duration;
use wengu_plugin::abi;
use wengu_plugin_package::Installed;

/// Above the descriptors of ordinary work, so that the number stays this library's own.
const FIRST_LIBRARY_FD: RawFd = 200;

/// How often sealing is tried, and the pause between.
const SEAL_TRIES: u32 = 20;
const SEAL_PAUSE: Duration = Duration::from_millis(10);

/// Loads the very bytes that were hashed and returns the library's entry function.
///
/// The bytes go into a sealed memfd, so nothing can change between the hash and the load, nor later under the mapping.
/// glibc tells libraries apart by name, and the name is `/proc/self/fd/N`: N is never closed, or the next library at N
/// would be taken for this one. The library is never unloaded: its threads and thread-local destructors may outlive
/// any moment that would seem right.
///
/// # Errors
/// [`LoadError::Digest`], [`LoadError::Open`] or [`LoadError::Symbol`].
pub fn open(installed: &Installed) -> Result<abi::EntryFn, LoadError> {
    let bytes = installed.verified_library()?;
    let fd = sealed(&installed.manifest.file, &bytes).map_err(|e| LoadError::Open(format!("memfd: {e}")))?;
    let path = format!("/proc/self/fd/{fd}");
    // SAFETY: runs the library's initialisers. The bytes are those that the operator installed, and this process exists
    // to be brought down by them if they are bad.
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
    let library = ManuallyDrop::new(library.map_err(|e| LoadError::Open(text(&e)))?);
    // SAFETY: the symbol's name carries the ABI's major version, which fixes the function's type.
    let entry = unsafe { library.get::<abi::EntryFn>(abi::ENTRY_SYMBOL) };
    Ok(*entry.map_err(|e| LoadError::Symbol { linker: text(&e) })?)
}

fn sealed(name: &str, bytes: &[u8]) -> std::io::Result<RawFd> {
    let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    // The kernel refuses while it holds a page itself for a moment, as when it moves pages about.
    let mut tries = 0;
    while let Err(e) = fcntl(&file, FcntlArg::F_ADD_SEALS(seals)) {
        tries += 1;
        if e != nix::Error::EBUSY || tries == SEAL_TRIES {
            return Err(e.into());
        }
        std::thread::sleep(SEAL_PAUSE);
    }
    let high = fcntl(&file, FcntlArg::F_DUPFD_CLOEXEC(FIRST_LIBRARY_FD))?;
    debug_assert_ne!(high, file.into_raw_fd().as_raw_fd());
    Ok(high)
}

fn text(error: &libloading::Error) -> String {
    // Its Display says only that it failed; the linker's own words are in the source.
    let source = std::error::Error::source(error).map(|s| s.to_string());
    source.unwrap_or_else(|| error.to_string())
}
