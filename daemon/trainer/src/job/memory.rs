//! The memory that a job may have. Beyond it an allocation is refused, which has a name, before the machine has none left for others.

use crate::error::TrainerError;
use std::io;
use wengu_protocol::job::{JobEnd, MEMORY_LIMIT_ENV};

/// Room that a thread's stack reserves and hardly uses.
const STACK_BYTES: u64 = 8 << 20;
/// Threads beside the job's own: libtorch's and the program's.
const MORE_THREADS: u64 = 8;

/// What the job may have; none: there is no limit.
fn limit_bytes() -> Result<Option<u64>, TrainerError> {
    let Some(text) = std::env::var_os(MEMORY_LIMIT_ENV) else {
        return Ok(None);
    };
    let bytes = text.to_str().and_then(|text| text.parse().ok());
    let wrong = || TrainerError::new(JobEnd::BadJob, format!("{MEMORY_LIMIT_ENV} is no number of bytes"));
    bytes.ok_or_else(wrong).map(Some)
}

/// How much the job may have, for a message that says it was not enough.
pub fn told() -> String {
    limit_bytes().ok().flatten().map_or_else(String::new, |bytes| {
        format!(
            " than {} MiB (`memory_mib` of [trainer], or what was free when it began)",
            bytes >> 20
        )
    })
}

/// Bounds the private writable memory of this process (`RLIMIT_DATA`) by [`MEMORY_LIMIT_ENV`], stacks of `threads` threads aside; no
/// bound where that is not set. A model that is read by way of a mapping does not count. Not for jobs on a CUDA device, whose
/// driver reserves more room than it uses.
///
/// # Errors
/// No number, or the system does not take it.
pub fn limit(device: tch::Device, threads: u32) -> Result<(), TrainerError> {
    if device != tch::Device::Cpu {
        return Ok(());
    }
    let Some(bytes) = limit_bytes()? else {
        return Ok(());
    };
    let bytes = bytes.saturating_add(STACK_BYTES * (u64::from(threads) + MORE_THREADS));
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: the structure outlives the call, which reads it.
    if unsafe { libc::setrlimit(libc::RLIMIT_DATA, &limit) } != 0 {
        return Err(TrainerError::from(io::Error::last_os_error()).context("limiting the memory"));
    }
    Ok(())
}
