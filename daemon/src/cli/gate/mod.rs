//! `wengu gate`: why the gate decided as it did, and how it would decide.

mod explain;
mod simulate;

use super::args::{AnchorArgs, GateAction, GateArgs, ReplayArgs};
use super::{At, Exit};
use crate::api::client::Client;
use crate::api::types::{AnchorRequest, AnchorView, Replayed};
use crate::clock::human;
use anyhow::Result;

pub async fn gate(at: At<'_>, args: GateArgs, json: bool) -> Result<Exit> {
    match args.action {
        GateAction::Simulate(args) => simulate::simulate(&args, json),
        GateAction::Explain(args) => explain::explain(&at.connect()?, &args, json).await,
        GateAction::Replay(args) => replay(&at.connect()?, &args, json).await,
        GateAction::Anchor(args) => anchor(&at.connect()?, args, json).await,
    }
}

async fn replay(client: &Client, args: &ReplayArgs, json: bool) -> Result<Exit> {
    let run = args.run.to_string();
    let query = [("domain", args.domain.as_str()), ("run", run.as_str())];
    let replayed: Replayed = client.get("/v1/gate/replay", &query).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&replayed)?);
    } else if replayed.same {
        println!(
            "run {}: {}, the same verdict byte for byte (BLAKE3 {})",
            replayed.run, replayed.decision, replayed.recorded_blake3
        );
    } else {
        println!(
            "run {}: judged again it is {}, and not the verdict that was recorded: BLAKE3 {} was recorded, {} comes out now. \
             Another version of wengu judges otherwise, or the record was changed.",
            replayed.run, replayed.decision, replayed.recorded_blake3, replayed.replayed_blake3
        );
    }
    Ok(if replayed.same { Exit::Success } else { Exit::Failure })
}

async fn anchor(client: &Client, args: AnchorArgs, json: bool) -> Result<Exit> {
    let request = AnchorRequest {
        domain: args.domain,
        to: args.to,
        reason: args.reason,
    };
    let moved: Option<AnchorView> = client.post("/v1/gate/anchor", &request).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&moved)?);
    } else if let Some(anchor) = moved {
        println!(
            "Versions of {} are held against {} from {} on.",
            request.domain,
            anchor.version,
            human(anchor.since_ms)
        );
    }
    Ok(Exit::Success)
}
