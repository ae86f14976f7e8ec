//! `wengu key`.

use super::Exit;
use super::args::{KeyAction, KeyArgs};
use anyhow::{Context, Result};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use wengu_seal::{Key, KeyId, generate};

pub fn key(args: &KeyArgs, json: bool) -> Result<Exit> {
    let KeyAction::New { file } = &args.action;
    let id = new(file)?;
    match json {
        true => println!("{}", serde_json::json!({"key": id.to_string(), "file": file})),
        false => println!(
            "{}: the key {id}. Keep a copy where no backup of the state is.",
            file.display()
        ),
    }
    Ok(Exit::Success)
}

/// Makes a key in a file of its own that only its user may read.
pub fn new(file: &Path) -> Result<KeyId> {
    let text = generate()?;
    let named = || file.display().to_string();
    let options = File::options().write(true).create_new(true).mode(0o600).clone();
    let mut open = options.open(file).with_context(named)?;
    open.write_all(text.as_bytes()).with_context(named)?;
    open.write_all(b"\n").with_context(named)?;
    open.sync_all().with_context(named)?;
    Ok(Key::parse(&text)?.id())
}
