mod rotate;

use super::args::{WebhookAction, WebhookArgs};
use super::render::{count, table};
use super::{At, Exit};
use crate::api::client::Client;
use crate::api::types::{ReplayAnswer, ReplayRequest, TestRequest, WebhookView};
use crate::clock::{ago, now_ms};
use anyhow::{Context, Result};
use chrono::Utc;
use std::ops::ControlFlow;
use std::path::PathBuf;
use wengu_alert::listen::Arrival;
use wengu_alert::secret::{Secret, read_secret_file};
use wengu_config::{Config, Problem, Source};

pub async fn webhook(at: At<'_>, args: WebhookArgs, json: bool) -> Result<Exit> {
    match args.action {
        WebhookAction::Secret => println!("{}", Secret::generate()?.reveal()),
        WebhookAction::List => list(&at.connect()?, json).await?,
        WebhookAction::Test { endpoint } => test(&at.connect()?, endpoint, json).await?,
        WebhookAction::Replay { endpoint, since, event } => {
            let since_ms = since.map(|since| since.timestamp_millis());
            let request = ReplayRequest {
                endpoint,
                event,
                since_ms,
            };
            replay(&at.connect()?, &request, json).await?;
        }
        WebhookAction::RotateSecret {
            endpoint,
            overlap_hours,
        } => rotate::rotate(&at.load()?, &endpoint, overlap_hours, json)?,
        WebhookAction::Listen {
            port,
            secret_file,
            count,
        } => listen(port, secret_file, count, json).await?,
    }
    Ok(Exit::Success)
}

async fn list(client: &Client, json: bool) -> Result<()> {
    let webhooks: Vec<WebhookView> = client.get("/v1/webhooks", &[]).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&webhooks)?);
        return Ok(());
    }
    if webhooks.is_empty() {
        println!("no [webhooks.*] is configured");
        return Ok(());
    }
    let mut rows = table([
        "endpoint",
        "format",
        "address",
        "waiting",
        "given up",
        "delivered",
        "last outcome",
    ]);
    for webhook in webhooks {
        let format = match webhook.configured {
            true => webhook.format,
            false => "(not configured)".into(),
        };
        let since = |ms: Option<i64>| ms.map(|ms| format!("\nfor {}", ago(ms, now_ms()))).unwrap_or_default();
        rows.add_row([
            webhook.name,
            format,
            webhook.address,
            format!("{}{}", webhook.pending, since(webhook.oldest_pending_ms)),
            webhook.dead.to_string(),
            webhook.delivered.to_string(),
            webhook.last_outcome.unwrap_or("none yet".into()),
        ]);
    }
    println!("{rows}");
    Ok(())
}

async fn test(client: &Client, endpoint: Option<String>, json: bool) -> Result<()> {
    let endpoints: u64 = client.post("/v1/webhooks/test", &TestRequest { endpoint }).await?;
    if json {
        println!("{}", serde_json::json!({ "events": endpoints }));
    } else if endpoints == 0 {
        println!("no [webhooks.*] is configured");
    } else {
        let events = count(endpoints, "test event");
        println!("{events} on the way; `wengu webhook list` says what came of it");
    }
    Ok(())
}

async fn replay(client: &Client, request: &ReplayRequest, json: bool) -> Result<()> {
    let answer: ReplayAnswer = client.post("/v1/webhooks/replay", request).await?;
    if json {
        println!("{}", serde_json::to_string(&answer)?);
        return Ok(());
    }
    println!(
        "{} on the way again, with the ids that they had",
        count(answer.replayed, "event")
    );
    if answer.overtaken > 0 {
        let events = count(answer.overtaken, "event");
        println!("{events} of incidents stay as they are: the endpoint has had later news of them");
    }
    Ok(())
}

async fn listen(port: u16, secret_file: PathBuf, count: Option<u64>, json: bool) -> Result<()> {
    let secrets = read_secret_file(&secret_file, Utc::now())?;
    let address = ("127.0.0.1", port);
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("port {port} on 127.0.0.1; choose another with --port"))?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    let mut left = count;
    let on_arrival = move |arrival: Arrival| {
        print(&arrival, json);
        if let (Arrival::Event(_) | Arrival::Alerts(_), Some(left)) = (&arrival, left.as_mut()) {
            *left = left.saturating_sub(1);
        }
        if left == Some(0) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    wengu_alert::listen::serve(listener, secrets, Utc::now, on_arrival).await?;
    Ok(())
}

/// Endpoints that cannot be used: secrets that cannot sign, addresses that are refused.
pub fn check(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    for webhook in config.webhooks.values() {
        let sources = [Some(&webhook.url), webhook.secret.as_ref()];
        // A missing file has been told, and of systemd's credentials a person's shell knows nothing.
        let there = |source: &Source| match source {
            Source::Plain(_) => true,
            source => source.file().is_some_and(|file| file.exists()),
        };
        if !sources.into_iter().flatten().all(there) {
            continue;
        }
        if let Err(error) = crate::outbox::client(webhook, Utc::now()) {
            let key = format!("webhooks.{}", webhook.name);
            let remedy = "secrets are made with `(umask 077; wengu webhook secret > FILE)`";
            problems.push(Problem::error(&key, &format!("{error:#}"), remedy));
        }
    }
    problems
}

fn print(arrival: &Arrival, json: bool) {
    match arrival {
        Arrival::Event(received) if json => println!("{}", received.event.body()),
        Arrival::Event(received) => println!("signature good: {}", received.describe()),
        Arrival::Alerts(group) if json => println!("{}", group.body),
        Arrival::Alerts(group) => println!("token good: {}", group.describe()),
        Arrival::Rejected(why) => eprintln!("refused: {why}"),
    }
}
