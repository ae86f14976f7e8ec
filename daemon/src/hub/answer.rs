//! What a hub answers, read without a connection.

use super::is_hex;
use anyhow::{Result, bail, ensure};
use serde::Deserialize;

/// Bytes of the answer that lists a model's files; those of the largest models have some hundred kilobytes. A mirror that
/// never ends must not fill the memory.
pub const LIST_BYTES_MAX: usize = 16 << 20;

#[derive(Deserialize)]
struct RepoInfo {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// The commit of a revision, and the names of all its files.
///
/// # Errors
/// It is no such answer, or names no commit.
pub fn commit_and_names(body: &[u8]) -> Result<(String, Vec<String>)> {
    let info: RepoInfo = match serde_json::from_slice(body) {
        Ok(info) => info,
        Err(error) => bail!("not a hub's answer: {error}"),
    };
    ensure!(is_hex(&info.sha, 40), "\"{}\" is no commit", info.sha);
    Ok((info.sha, info.siblings.into_iter().map(|s| s.rfilename).collect()))
}

/// N of `bytes N-M/TOTAL`.
pub fn range_start(content_range: &str) -> Option<u64> {
    content_range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// TOTAL of `bytes */TOTAL`.
pub fn range_total(content_range: &str) -> Option<u64> {
    content_range.rsplit('/').next()?.parse().ok()
}

/// The SHA-256 that an ETag is, if it is one: that of a large file.
pub fn digest(etag: &str) -> Option<String> {
    let digest = etag.trim_start_matches("W/").trim_matches('"').to_lowercase();
    is_hex(&digest, 64).then_some(digest)
}
