//! The space that is kept free, so that the index (which cannot survive a full disk) never meets one.

use crate::StoreError;
use nix::sys::statfs::{self, statfs};
use nix::sys::statvfs::statvfs;
use std::path::Path;

/// Fails when fewer than `reserve_bytes` would be left after writing `len` more bytes under `path`.
pub(crate) fn check(path: &Path, len: u64, reserve_bytes: u64) -> Result<(), StoreError> {
    if reserve_bytes == 0 {
        return Ok(());
    }
    let stat = statvfs(path).map_err(|e| StoreError::io("measure the space under", path, e.into()))?;
    let free = stat.blocks_available() * stat.fragment_size();
    if free < reserve_bytes.saturating_add(len) {
        let detail = format!("{free} bytes are free, {len} are needed and {reserve_bytes} are kept in reserve");
        return Err(StoreError::DiskFull {
            path: path.to_path_buf(),
            detail,
        });
    }
    Ok(())
}

/// The name of the network file system that `path` is on, if it is on one.
pub(crate) fn network_filesystem(path: &Path) -> Option<&'static str> {
    // CIFS and SMB2 are not among libc's constants.
    const CIFS: u32 = 0xff53_4d42;
    const SMB2: u32 = 0xfe53_4d42;
    let kind = statfs(path).ok()?.filesystem_type();
    match kind {
        statfs::NFS_SUPER_MAGIC => Some("nfs"),
        statfs::SMB_SUPER_MAGIC => Some("smb"),
        other if other.0 as u32 == CIFS => Some("cifs"),
        other if other.0 as u32 == SMB2 => Some("smb2"),
        _ => None,
    }
}
