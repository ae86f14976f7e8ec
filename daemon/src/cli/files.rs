use super::args::{FileListArgs, FilesAction, FilesArgs};
use super::render::{count, say, table};
use super::{Exit, review};
use crate::api::client::Client;
use crate::api::types::{FileExplanation, FileView, ReleaseRequest, RetryRequest, ReviewRequest, Reviewed};
use crate::clock::human;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

pub async fn files(client: &Client, args: FilesArgs, json: bool) -> Result<Exit> {
    let listed = match args.action {
        Some(FilesAction::Explain { path }) => return explain(client, &path, json).await,
        Some(FilesAction::Release { domain, run, source }) => {
            if let Some(source) = source {
                let what = Reviewed::Source(source.clone());
                let accept = true;
                let request = ReviewRequest { domain, what, accept };
                let _: u64 = client.post("/v1/files/review", &request).await?;
                println!("{source} is trusted; the next update takes what waits of it.");
            } else {
                let request = ReleaseRequest { domain, run };
                let released: u64 = client.post("/v1/files/release", &request).await?;
                println!("{released} files are in the pool again; the next update tries them.");
            }
            return Ok(Exit::Success);
        }
        Some(FilesAction::Retry { paths }) => return retry(client, args.list.domain, &paths, json).await,
        Some(FilesAction::Review { domain, accept, reject }) => {
            return match (accept, reject) {
                (Some(id), _) => review::decide(client, domain, id, true).await,
                (None, Some(id)) => review::decide(client, domain, id, false).await,
                (None, None) => review::list(client, domain, json).await,
            };
        }
        Some(FilesAction::Ls(list)) => FileListArgs {
            domain: list.domain.or(args.list.domain),
            state: list.state.or(args.list.state),
        },
        None => args.list,
    };
    let query: Vec<(&str, &str)> = [("domain", &listed.domain), ("state", &listed.state)]
        .into_iter()
        .filter_map(|(key, value)| value.as_deref().map(|v| (key, v)))
        .collect();
    let files: Vec<FileView> = client.get("/v1/files", &query).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&files)?);
    } else if files.is_empty() {
        println!("no files");
    } else {
        let mut list = table([
            "domain",
            "file",
            "state",
            "train/gate/reserve/audit/checklist",
            "what that means",
        ]);
        for f in &files {
            let counts = f.counts.map_or("-".into(), |c| {
                format!("{}/{}/{}/{}/{}", c.train, c.gate, c.reserve, c.audit, c.checklist)
            });
            let gone = if f.present { "" } else { " (no longer in its folder)" };
            list.add_row([
                f.domain.clone(),
                format!("{}{gone}", f.path),
                f.state.clone(),
                counts,
                f.explanation.clone(),
            ]);
        }
        println!("{list}");
    }
    Ok(Exit::Success)
}

/// A path as the daemon knows it.
fn absolute(path: &Path) -> Result<String> {
    let path = std::path::absolute(path).with_context(|| path.display().to_string())?;
    Ok(wengu_intake::shown(&path))
}

async fn retry(client: &Client, domain: Option<String>, paths: &[PathBuf], json: bool) -> Result<Exit> {
    let paths = paths.iter().map(|path| absolute(path)).collect::<Result<_>>()?;
    let request = RetryRequest { paths, domain };
    let retried: u64 = client.post("/v1/files/retry", &request).await?;
    say(json, &serde_json::json!({"retried": retried}), || {
        let files = count(retried, "file");
        format!("{files} to be read again now; `wengu files explain FILE` says what came of it.")
    })
}

async fn explain(client: &Client, path: &Path, json: bool) -> Result<Exit> {
    let found: FileExplanation = client.get("/v1/files/explain", &[("path", &absolute(path)?)]).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&found)?);
    } else {
        print(&found);
    }
    Ok(Exit::Success)
}

fn print(e: &FileExplanation) {
    println!("{} (domain {})", e.file.path, e.file.domain);
    println!("  state     {}: {}", e.file.state, e.file.explanation);
    println!(
        "  revision  {}{}",
        e.file.revision,
        if e.file.present {
            ""
        } else {
            ", no longer in its folder"
        }
    );
    println!("  case      {}", e.case_key);
    if let Some(content) = &e.content {
        println!("  content   {content}");
    }
    if !e.reading.is_empty() {
        println!("  read as   {}", e.reading.join(", "));
    }
    if !e.examples.is_empty() {
        let mut list = table(["line", "set", "label", "from", "text"]);
        for x in &e.examples {
            let note = x
                .dropped
                .as_ref()
                .map(|d| format!("\nleft out: {d}"))
                .unwrap_or_default();
            let place = x.place.as_ref().map(|p| format!("\nin {p}")).unwrap_or_default();
            let spans: Vec<String> = x
                .spans
                .iter()
                .map(|s| format!("{} ({})", s.text.as_str(), s.label))
                .collect();
            let seen = match spans.is_empty() {
                true => String::new(),
                false => format!("\nseen: {}", spans.join(", ")),
            };
            list.add_row([
                x.line.to_string(),
                x.side.clone(),
                x.label.clone().unwrap_or_else(|| "-".into()),
                x.source.clone(),
                format!("{}{place}{seen}{note}", x.text.replace('\n', " ")),
            ]);
        }
        println!("{list}");
    }
    for (line, reason) in &e.rejected {
        println!("  line {line} was left out: {reason}");
    }
    for (at, event) in &e.history {
        println!("  {}  {event}", human(*at));
    }
}
