//! The control API's part of forgetting. It is for administrators.

use super::server::{Answer, blocking};
use super::types::{ForgetPreview, ForgetRequest, ForgetView};
use crate::engine::Engine;
use crate::forget;
use crate::forget::receipt;
use crate::forget::record::ForgetRecord;
use anyhow::{Context, Result};
use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use std::sync::Arc;

pub(super) async fn ask(
    State(engine): State<Arc<Engine>>,
    Json(request): Json<ForgetRequest>,
) -> Answer<ForgetPreview> {
    blocking(move || forget::ask(&engine, &request)).await
}

pub(super) async fn list(State(engine): State<Arc<Engine>>) -> Answer<Vec<ForgetRecord>> {
    blocking(move || forget::list(&engine)).await
}

#[derive(Deserialize)]
pub(super) struct IdQuery {
    id: String,
}

pub(super) async fn show(State(engine): State<Arc<Engine>>, Query(query): Query<IdQuery>) -> Answer<ForgetView> {
    blocking(move || view(&engine, &query.id)).await
}

fn view(engine: &Engine, id: &str) -> Result<ForgetView> {
    let record = engine.store.get::<ForgetRecord>(id)?;
    let record =
        record.with_context(|| format!("nothing was forgotten as {id}; `wengu forget list` tells what was"))?;
    let folder = engine.forgetting.folder();
    Ok(ForgetView {
        receipt: receipt::load(folder, id)?,
        receipt_path: receipt::path_of(folder, id).display().to_string(),
        record,
    })
}

pub(super) async fn key(State(engine): State<Arc<Engine>>) -> Answer<String> {
    blocking(move || receipt::public_key(engine.forgetting.folder())).await
}
