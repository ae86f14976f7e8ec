//! `wengu report`: one page about a domain's updates, which needs nothing but a browser.

mod chart;
mod curves;
mod page;
mod stability;

use super::Exit;
use super::args::ReportArgs;
use crate::api::client::Client;
use crate::api::types::LearningHistory;
use crate::clock::now_ms;
use anyhow::{Context, Result};
use std::path::PathBuf;
use wengu_store::durable;

pub async fn report(client: &Client, args: &ReportArgs, json: bool) -> Result<Exit> {
    let history: LearningHistory = client.get("/v1/learning", &[("domain", &args.domain)]).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&history)?);
        return Ok(Exit::Success);
    }
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| PathBuf::from(format!("{}-report.html", history.domain)));
    let page = page::page(&history, now_ms())?;
    durable::write_file(&out, page.as_bytes()).with_context(|| format!("{} cannot be written", out.display()))?;
    let updates = super::render::count(history.updates.len() as u64, "update");
    println!("{} tells of {updates} of {}", out.display(), history.domain);
    Ok(Exit::Success)
}
