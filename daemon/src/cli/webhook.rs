use super::args::{WebhookAction, WebhookArgs};
use super::{Exit, connect};
use anyhow::{Context, Result};
use std::path::Path;

pub async fn webhook(config: Option<&Path>, args: WebhookArgs, json: bool) -> Result<Exit> {
    match args.action {
        WebhookAction::Secret => println!("{}", wengu_alert::Secret::generate().to_text()),
        WebhookAction::Test => {
            let endpoints: u64 = connect(config)?.post("/v1/webhooks/test", &serde_json::json!({})).await?;
            if endpoints == 0 {
                println!("no [webhooks.*] is configured");
            } else {
                println!("{endpoints} test events are on their way; `wengu status` says whether they arrived");
            }
        }
        WebhookAction::Listen { port, secret_file, count } => {
            let secrets = wengu_alert::read_secret_file(&secret_file)?;
            let address = ("127.0.0.1", port);
            let listener = tokio::net::TcpListener::bind(address)
                .await
                .with_context(|| format!("port {port} on 127.0.0.1; choose another with --port"))?;
            eprintln!("listening on http://{}", listener.local_addr()?);
            wengu_alert::listen::serve(listener, secrets, count, json).await?;
        }
    }
    Ok(Exit::Success)
}
