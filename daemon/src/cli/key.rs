//! `wengu key`.

use super::Exit;
use super::args::{KeyAction, KeyArgs};
use anyhow::{Context, Result, bail};
use std::io::ErrorKind;
use std::path::Path;
use wengu_seal::{Key, KeyId, generate};
use wengu_store::durable;

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
    let made = durable::create_file(file, format!("{}\n", text.as_str()).as_bytes(), 0o600);
    if made
        .as_ref()
        .is_err_and(|error| error.kind() == ErrorKind::AlreadyExists)
    {
        bail!(
            "{} is there already; a key is never written over: name another file",
            file.display()
        );
    }
    made.with_context(|| file.display().to_string())?;
    Ok(Key::parse(&text)?.id())
}
