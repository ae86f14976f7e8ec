//! `wengu token`: who may use the API over TCP.

use super::Exit;
use super::args::{TokenAction, TokenArgs};
use super::render::table;
use crate::api::client::Client;
use crate::api::types::{TokenMade, TokenName, TokenRequest, TokenView};
use crate::clock::human;
use anyhow::Result;

pub async fn token(client: &Client, args: TokenArgs, json: bool) -> Result<Exit> {
    match args.action {
        TokenAction::Create {
            name,
            role,
            domains,
            expires,
        } => {
            let request = TokenRequest {
                name,
                role,
                domains,
                expires_s: expires,
            };
            let made: TokenMade = client.post("/v1/tokens", &request).await?;
            if json {
                println!("{}", serde_json::to_string_pretty(&made)?);
            } else {
                // Alone on standard output, so that it can go into a file.
                println!("{}", made.token);
                eprintln!(
                    "This is shown once. {} may be used as {} {} until {}; `wengu token revoke {}` ends it.",
                    made.name,
                    made.role.name(),
                    scope(&made.domains),
                    human(made.expires_ms),
                    made.name
                );
            }
        }
        TokenAction::List => {
            let tokens: Vec<TokenView> = client.get("/v1/tokens", &[]).await?;
            if json {
                println!("{}", serde_json::to_string_pretty(&tokens)?);
            } else if tokens.is_empty() {
                println!("no tokens");
            } else {
                let mut list = table(["token", "role", "domains", "state", "made", "until"]);
                for token in tokens {
                    let ended = token.revoked_ms.unwrap_or(token.expires_ms);
                    list.add_row([
                        token.name,
                        token.role.name().into(),
                        scope(&token.domains),
                        token.state,
                        human(token.created_ms),
                        human(ended),
                    ]);
                }
                println!("{list}");
            }
        }
        TokenAction::Revoke { name } => {
            let revoked: TokenView = client.post("/v1/tokens/revoke", &TokenName { name }).await?;
            if json {
                println!("{}", serde_json::to_string_pretty(&revoked)?);
            } else {
                println!("Revoked: {} is refused from now on.", revoked.name);
            }
        }
    }
    Ok(Exit::Success)
}

fn scope(domains: &[String]) -> String {
    match domains.is_empty() {
        true => "in all domains".into(),
        false => format!("in {}", domains.join(", ")),
    }
}
