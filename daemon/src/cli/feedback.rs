//! `wengu feedback`: what the right answer would have been.

use super::Exit;
use super::args::FeedbackArgs;
use super::render::say;
use crate::api::client::Client;
use crate::feedback::{FeedbackRequest, FeedbackTaken};
use anyhow::{Context, Result};
use std::io::Read;

/// `wengu feedback`.
pub async fn feedback(client: &Client, args: FeedbackArgs, json: bool) -> Result<Exit> {
    let text = match args.text {
        Some(text) if text != "-" => text,
        _ => {
            let mut text = String::new();
            let read = std::io::stdin().lock().read_to_string(&mut text);
            read.context("the text on standard input cannot be read")?;
            text
        }
    };
    let request = FeedbackRequest {
        domain: args.domain,
        text: text.into(),
        label: args.label,
        case: args.case,
    };
    let taken: FeedbackTaken = client.post("/v1/feedback", &request).await?;
    say(json, &taken, || {
        format!("kept as {}; it goes the way of all case files", taken.path.display())
    })
}
