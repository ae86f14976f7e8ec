//! `wengu incidents`: what is wrong for longer than a run, and who is told of it.

use super::Exit;
use super::args::{IncidentsAction, IncidentsArgs};
use super::render::{points, table};
use crate::api::client::Client;
use crate::api::types::{IncidentsView, SilenceRequest};
use crate::clock::{human, now_ms};
use anyhow::Result;

pub async fn incidents(client: &Client, args: IncidentsArgs, json: bool) -> Result<Exit> {
    let found: IncidentsView = match args.action {
        None => {
            let query: Vec<(&str, &str)> = args.domain.iter().map(|domain| ("domain", domain.as_str())).collect();
            client.get("/v1/incidents", &query).await?
        }
        Some(IncidentsAction::Silence(silence)) => {
            let from_ms = silence.from.map_or_else(now_ms, |from| from.timestamp_millis());
            let request = SilenceRequest {
                domain: silence.domain,
                slice: silence.slice,
                metric: silence.metric,
                from_ms,
                until_ms: from_ms + (silence.hours * 3_600_000.0) as i64,
                reason: silence.reason,
            };
            client.post("/v1/incidents/silence", &request).await?
        }
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&found)?);
    } else {
        print(&found);
    }
    Ok(Exit::Success)
}

fn print(found: &IncidentsView) {
    if found.open.is_empty() {
        println!("no incidents");
    } else {
        let mut list = table(["domain", "slice", "metric", "state", "since", "difference", "run"]);
        for i in &found.open {
            let difference = i.numbers.get("difference_points");
            list.add_row([
                i.domain.clone(),
                i.slice.clone(),
                i.metric.clone(),
                if i.firing { "firing" } else { "suspected" }.into(),
                human(i.since_ms),
                difference.map_or("-".into(), |d| points(d / 100.0)),
                i.run.to_string(),
            ]);
        }
        println!("{list}");
    }
    for silence in &found.silences {
        let m = &silence.matcher;
        let of = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name} {value}"));
        let what: Vec<String> = [of("domain", &m.domain), of("slice", &m.slice), of("metric", &m.metric)]
            .into_iter()
            .flatten()
            .collect();
        let what = if what.is_empty() {
            "everything".to_owned()
        } else {
            what.join(", ")
        };
        println!(
            "silent: {what}, {} to {}: {}",
            human(silence.from_ms),
            human(silence.until_ms),
            silence.reason
        );
    }
}
