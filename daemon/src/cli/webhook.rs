use super::args::{WebhookAction, WebhookArgs};
use super::{Exit, connect};
use anyhow::{Context, Result};
use std::ops::ControlFlow;
use std::path::Path;
use wengu_alert::listen::Arrival;
use wengu_alert::secret::read_secret_file;
use wengu_config::{Config, Problem};

pub async fn webhook(config: Option<&Path>, args: WebhookArgs, json: bool) -> Result<Exit> {
    match args.action {
        WebhookAction::Secret => println!("{}", wengu_alert::secret::Secret::generate()?.reveal()),
        WebhookAction::Test => {
            let endpoints: u64 = connect(config)?
                .post("/v1/webhooks/test", &serde_json::json!({}))
                .await?;
            if endpoints == 0 {
                println!("no [webhooks.*] is configured");
            } else {
                println!("{endpoints} test events are on their way; `wengu status` says whether they arrived");
            }
        }
        WebhookAction::Listen {
            port,
            secret_file,
            count,
        } => {
            let secrets = read_secret_file(&secret_file)?;
            let address = ("127.0.0.1", port);
            let listener = tokio::net::TcpListener::bind(address)
                .await
                .with_context(|| format!("port {port} on 127.0.0.1; choose another with --port"))?;
            eprintln!("listening on http://{}", listener.local_addr()?);
            let mut left = count;
            let on_arrival = move |arrival: Arrival| {
                print(&arrival, json);
                if let (Arrival::Event(_), Some(left)) = (&arrival, left.as_mut()) {
                    *left = left.saturating_sub(1);
                }
                if left == Some(0) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            wengu_alert::listen::serve(listener, secrets, chrono::Utc::now, on_arrival).await?;
        }
    }
    Ok(Exit::Success)
}

/// Secrets that cannot sign.
pub fn check(config: &Config) -> Vec<Problem> {
    let unusable = config
        .webhooks
        .values()
        .filter(|w| w.secret_file.exists())
        .filter_map(|webhook| {
            let error = read_secret_file(&webhook.secret_file).err()?;
            let key = format!("webhooks.{}.secret_file", webhook.name);
            Some(Problem::error(
                &key,
                &error.to_string(),
                "make one with `(umask 077; wengu webhook secret > FILE)`",
            ))
        });
    unusable.collect()
}

fn print(arrival: &Arrival, json: bool) {
    match arrival {
        Arrival::Event(received) if json => println!("{}", received.event.body()),
        Arrival::Event(received) => println!("signature good: {}", received.describe()),
        Arrival::Rejected(why) => eprintln!("refused: {why}"),
    }
}
