//! A reader as the daemon starts it.

use std::process::{Child, Command, Stdio};
use wengu_protocol::plugin::read_frame;
use wengu_protocol::reader::{Limits, READER_COOKIE, READER_PROTOCOL, Reply, Request};

/// Starts a reader of a text, within `limits`, and waits for what it says first.
pub fn start(limits: Limits) -> (Child, Reply) {
    let request = Request {
        protocol: READER_PROTOCOL,
        file_name: "case.txt".into(),
        encoding: None,
        limits,
        skip: Vec::new(),
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_wengu-reader"))
        .arg(serde_json::to_string(&request).unwrap())
        .env(READER_COOKIE.0, READER_COOKIE.1)
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let first = read_frame(child.stdout.as_mut().unwrap()).unwrap();
    (child, first)
}
