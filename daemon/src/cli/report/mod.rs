//! `wengu report`: one page about a domain's updates, which needs nothing but a browser.

mod curves;
mod page;

use super::Exit;
use super::args::ReportArgs;
use crate::api::client::Client;
use crate::api::types::LearningHistory;
use crate::clock::now_ms;
use anyhow::{Context, Result};
use std::path::PathBuf;

pub async fn report(client: &Client, args: &ReportArgs, json: bool) -> Result<Exit> {
    let history: LearningHistory = client.get("/v1/learning", &[("domain", &args.domain)]).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&history)?);
        return Ok(Exit::Success);
    }
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| PathBuf::from(format!("{}-report.html", history.domain)));
    let page = page::page(&history, now_ms())?;
    write(&out, page.as_bytes()).with_context(|| format!("{} cannot be written", out.display()))?;
    let updates = super::render::count(history.updates.len() as u64, "update");
    println!("{} tells of {updates} of {}", out.display(), history.domain);
    Ok(Exit::Success)
}

/// Beside its place, then renamed: a page is whole or not there.
fn write(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}
