//! `wengu audit`: the journal as proof of what was done. It is read from the disk, whether or not the daemon runs.

use super::Exit;
use super::args::{AuditAction, AuditArgs};
use crate::clock::human;
use crate::layout::Layout;
use anyhow::{Result, ensure};
use serde_json::json;
use std::io::{BufWriter, Write};
use wengu_config::Config;
use wengu_store::{Change, audit};

/// `wengu audit`.
pub fn audit(config: &Config, args: &AuditArgs, json: bool) -> Result<Exit> {
    let store = Layout::new(&config.state_dir).store();
    ensure!(
        store.join("journal").is_dir(),
        "there is no store in {}",
        store.display()
    );
    match &args.action {
        AuditAction::Verify { noted } => {
            let found = audit::verify(&store, *noted)?;
            if json {
                let torn_bytes = found.torn_tail.as_ref().map(|torn| torn.bytes);
                let found = json!({
                    "commits": found.commits, "head": found.head, "chained_from": found.chained_from,
                    "redacted": found.redacted, "torn_bytes": torn_bytes, "noted": noted.map(|(seq, hash)| format!("{seq}:{hash}")),
                });
                println!("{}", serde_json::to_string_pretty(&found)?);
                return Ok(Exit::Success);
            }
            println!("the log is whole: {} commits", found.commits);
            if let Some(first) = found.chained_from.filter(|first| *first > 1) {
                println!("commits before {first} had checksums only when they were written");
            }
            if found.redacted > 0 {
                println!(
                    "{} commits say less than they did, each as a later commit declares: something was forgotten",
                    found.redacted
                );
            }
            if let Some(torn) = found.torn_tail {
                println!(
                    "{} bytes behind it are a write that was interrupted or is under way",
                    torn.bytes
                );
            }
            println!(
                "note this elsewhere, to check against it later:\n  wengu audit verify --noted {}:{}",
                found.commits, found.head
            );
        }
        AuditAction::Export { since } => {
            let since_ms = since.map_or(i64::MIN, |since| since.timestamp_millis());
            let mut out = BufWriter::new(std::io::stdout().lock());
            audit::export(&store, since_ms, |entry| {
                if json {
                    serde_json::to_writer(&mut out, &entry)?;
                    writeln!(out)?;
                    return anyhow::Ok(());
                }
                let event = &entry.event;
                write!(out, "{} {} {}", event.seq, human(event.at_ms), event.event)?;
                for change in &event.changes {
                    match change {
                        Change::Put { table, key, .. } => write!(out, " +{table}/{key}")?,
                        Change::Delete { table, key } => write!(out, " -{table}/{key}")?,
                    }
                }
                if let Some(note) = event.note.as_ref().filter(|_| event.event.starts_with("api.")) {
                    write!(out, " {note}")?;
                }
                writeln!(out)?;
                Ok(())
            })?;
            out.flush()?;
        }
    }
    Ok(Exit::Success)
}
