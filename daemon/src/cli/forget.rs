//! `wengu forget`.

use super::args::{ForgetAction, ForgetArgs};
use super::render::{count, say, table};
use super::{At, Exit};
use crate::api::client::Client;
use crate::api::types::{ForgetPreview, ForgetRequest, ForgetView};
use crate::clock::human;
use crate::forget::receipt;
use crate::forget::record::{ForgetRecord, Step};
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

/// Between looks whether it is done.
const LOOK: Duration = Duration::from_millis(500);

/// `wengu forget`.
pub async fn forget(at: At<'_>, args: ForgetArgs, json: bool) -> Result<Exit> {
    let client = || at.connect();
    match &args.action {
        Some(ForgetAction::List) => list(&client()?, json).await,
        Some(ForgetAction::Show { id }) => show(&client()?, id, json).await,
        Some(ForgetAction::PublicKey) => {
            let key: String = client()?.get("/v1/forget/key", &[]).await?;
            say(json, &key, || key.clone())
        }
        Some(ForgetAction::Verify { receipt: path, key }) => {
            let key = match key {
                Some(key) => key.clone(),
                None => client()?.get("/v1/forget/key", &[]).await?,
            };
            let found = match receipt::verify(path, &key) {
                Ok(found) => found,
                Err(error) => {
                    eprintln!("error: {error:#}");
                    return Ok(Exit::Damaged);
                }
            };
            say(json, &found, || {
                format!(
                    "{}: forgotten as {} on {}, signed by {key}",
                    path.display(),
                    found.id,
                    human(found.done_ms)
                )
            })
        }
        None => order(&client()?, &args, json).await,
    }
}

async fn order(client: &Client, args: &ForgetArgs, json: bool) -> Result<Exit> {
    let what = args
        .what
        .clone()
        .context("name a file or a case; `wengu forget --help` tells more")?;
    let path = std::path::absolute(&what).with_context(|| what.clone())?;
    let mut request = ForgetRequest {
        path: wengu_intake::shown(&path),
        what,
        reason: args.reason.clone(),
        dry_run: true,
        now: args.now,
        whole_files: args.whole_files,
        delete_source: args.delete_source,
    };
    if args.dry_run || !args.yes {
        let preview: ForgetPreview = client.post_patiently("/v1/forget", &request).await?;
        if args.dry_run {
            return say(json, &preview, || shown(&preview));
        }
        ensure!(
            args.reason.is_some(),
            "--reason is needed: it goes into the audit log and the receipt"
        );
        eprintln!("{}", shown(&preview));
        if !confirmed()? {
            eprintln!("Nothing was done.");
            return Ok(Exit::Failure);
        }
    }
    request.dry_run = false;
    let taken: ForgetPreview = client.post_patiently("/v1/forget", &request).await?;
    let id = taken.id.clone().context("the daemon gave no id")?;
    if args.no_wait {
        return say(json, &taken, || {
            format!("being forgotten as {id}; `wengu forget show {id}` tells how far it is")
        });
    }
    loop {
        let view: ForgetView = client.get("/v1/forget/show", &[("id", &id)]).await?;
        if view.record.step == Step::Done && view.receipt.is_some() {
            return say(json, &view, || {
                format!("forgotten as {id}; the receipt is {}", view.receipt_path)
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Asks on the terminal.
fn confirmed() -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody can be asked here: look at it with --dry-run, then give --yes");
    }
    eprint!("This cannot be undone. Type `forget` to go on: ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim() == "forget")
}

fn shown(preview: &ForgetPreview) -> String {
    let mut text = String::from("To be forgotten:");
    for file in &preview.files {
        text += &format!("\n  {} ({})", file.path, count(file.examples, "text"));
        if file.other_cases > 0 {
            text += &format!(", which holds {} besides", count(file.other_cases, "case"));
        }
    }
    for case in &preview.cases {
        text += &format!("\n  {case}, refused from now on");
    }
    text += &format!(
        "\nwith {} of the store, and {} of the journal say less",
        count(preview.objects, "object"),
        count(preview.commits, "commit")
    );
    let mut list = |what: &str, names: &[String]| {
        if !names.is_empty() {
            text += &format!("\n{what}: {}", names.join(", "));
        }
    };
    list("runs that had it", &preview.runs);
    list("versions that are deleted", &preview.versions);
    list("runs that are made again without it", &preview.again);
    list("serves meanwhile with --now", &preview.serving);
    list(
        "lies in a watched folder, and is left there without --delete-source",
        &preview.source,
    );
    text
}

async fn list(client: &Client, json: bool) -> Result<Exit> {
    let all: Vec<ForgetRecord> = client.get("/v1/forget", &[]).await?;
    say(json, &all, || {
        if all.is_empty() {
            return "nothing was forgotten".into();
        }
        let mut list = table(["id", "asked", "state", "files", "reason"]);
        for one in &all {
            list.add_row([
                one.id.clone(),
                human(one.asked_ms),
                one.step.name().into(),
                one.files.to_string(),
                one.reason.clone(),
            ]);
        }
        list.to_string()
    })
}

async fn show(client: &Client, id: &str, json: bool) -> Result<Exit> {
    let view: ForgetView = client.get("/v1/forget/show", &[("id", id)]).await?;
    say(json, &view, || {
        let record = &view.record;
        let mut text = format!(
            "{}: {}, asked for on {}",
            record.id,
            record.step.name(),
            human(record.asked_ms)
        );
        text += &format!("\n  reason   {}", record.reason);
        for domain in &record.domains {
            let (made, failed) = (domain.made.len() as u64, domain.failed);
            text += &format!("\n  {}  {} made again", domain.domain, count(made, "run"));
            if let Some(run) = failed {
                text += &format!("; run {run} failed, and what is left is learned by the next updates");
            }
        }
        if view.receipt.is_some() {
            text += &format!("\n  receipt  {}", view.receipt_path);
        }
        text
    })
}
