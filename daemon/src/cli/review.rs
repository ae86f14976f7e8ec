//! `wengu files review`.

use super::Exit;
use super::render::table;
use crate::api::client::Client;
use crate::api::types::{ReviewRequest, Reviewed};
use crate::learn::review::ReviewList;
use crate::learn::sources::SourceState;
use anyhow::Result;

/// Tells a source from an example's id.
const SOURCE: &str = "source:";

pub async fn list(client: &Client, domain: String, json: bool) -> Result<Exit> {
    let list: ReviewList = client.get("/v1/files/review", &[("domain", &domain)]).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&list)?);
        return Ok(Exit::Success);
    }
    if list.sources.is_empty() && list.examples.is_empty() {
        println!("nothing waits for review");
        return Ok(Exit::Success);
    }
    let mut sources = table(["source", "agrees", "usual", "what that means"]);
    for source in &list.sources {
        let share = |of: wengu_decide::sources::Agreement| format!("{} of {}", of.agreed, of.asked);
        let meaning = match source.state {
            SourceState::Open => "too few of its examples were asked about".into(),
            SourceState::Suspicious { z } => {
                format!("{z:.1} standard deviations less than usual; nothing of it is learned")
            }
            SourceState::Rejected => "refused by a person".into(),
            SourceState::Agrees | SourceState::Released => "trusted".into(),
        };
        sources.add_row([
            source.source.clone(),
            share(source.agreement),
            share(source.usual),
            meaning,
        ]);
    }
    let mut examples = table(["id", "source", "label", "why", "text"]);
    for view in &list.examples {
        let record = &view.record;
        let id = record.text_id.chars().take(12).collect();
        examples.add_row([
            id,
            record.source.clone(),
            record.label.clone(),
            record.reason.clone(),
            view.text.replace('\n', " "),
        ]);
    }
    if !list.sources.is_empty() {
        println!("{sources}");
    }
    if !list.examples.is_empty() {
        println!("{examples}");
    }
    println!("`wengu files review {domain} --accept ID` or `--reject ID`; `{SOURCE}NAME` stands for all of a source");
    Ok(Exit::Success)
}

pub async fn decide(client: &Client, domain: String, id: String, accept: bool) -> Result<Exit> {
    let what = match id.strip_prefix(SOURCE) {
        Some(source) => Reviewed::Source(source.into()),
        None => Reviewed::Examples(id.clone()),
    };
    let request = ReviewRequest { domain, what, accept };
    let decided: u64 = client.post("/v1/files/review", &request).await?;
    let so = if accept {
        "learned by the next update"
    } else {
        "not learned"
    };
    match request.what {
        Reviewed::Source(source) => println!("what comes from {source} is {so}"),
        Reviewed::Examples(_) => println!("{decided} examples are {so}"),
    }
    Ok(Exit::Success)
}
