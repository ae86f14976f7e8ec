//! The record of what was asked. It goes into the journal before anything is done, and what came of it after: a request
//! whose doing was interrupted has the first and not the second.

use super::caller::Caller;
use super::routes::Route;
use crate::api::refusal::Why;
use crate::clock::now_ms;
use crate::engine::Engine;
use anyhow::Result;
use axum::response::Response;
use serde_json::{Value, json};
use wengu_store::Batch;

/// Bodies are a few names; what is longer is told by its length.
const BODY_BYTES_MAX: usize = 4096;

/// Somebody asks for a change. Returns the number of the commit, which the answer refers to.
pub fn asked(engine: &Engine, caller: &Caller, route: &Route, body: &[u8]) -> Result<u64> {
    Ok(engine
        .store
        .commit(Batch::new("api.asked").at(now_ms()).note(note(caller, route, body)))?)
}

/// What came of it.
pub fn answered(engine: &Engine, asked: u64, status: u16, error: Option<String>) -> Result<()> {
    let mut note = json!({"asked": asked, "status": status});
    if let Some(error) = error {
        note["error"] = error.into();
    }
    engine
        .store
        .commit(Batch::new("api.answered").at(now_ms()).note(note))?;
    Ok(())
}

/// Somebody who is known asked for a change that they may not make.
pub fn refused(engine: &Engine, caller: &Caller, route: &Route, body: &[u8], error: &str) -> Result<()> {
    let mut note = note(caller, route, body);
    if !route.is_private {
        note["error"] = error.into();
    }
    engine.store.commit(Batch::new("api.refused").at(now_ms()).note(note))?;
    Ok(())
}

/// Why a request was not done, where it was not.
pub fn error_of(response: &Response) -> Option<String> {
    response.extensions().get::<Why>().map(|why| why.0.clone())
}

fn note(caller: &Caller, route: &Route, body: &[u8]) -> Value {
    let request = match serde_json::from_slice::<Value>(body) {
        Ok(value) if route.is_private => json!({"domain": value["domain"].as_str(), "bytes": body.len()}),
        Ok(value) if body.len() <= BODY_BYTES_MAX => value,
        _ => json!({"bytes": body.len()}),
    };
    json!({
        "by": caller.who.json(),
        "role": caller.role.map(|role| role.name()),
        "what": route.to_string(),
        "request": request,
    })
}
