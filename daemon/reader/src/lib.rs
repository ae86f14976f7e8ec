//! From one document of others to text: PDF, office documents, web pages, mails, archives of them, and tables.
//!
//! What is written here trusts no byte: sizes are counted as they are unpacked, not as a header says; nesting is
//! counted; loops are over what is there. The rest are parsers that others keep. All run in the process of the binary
//! beside this library, where what they do wrong costs one document.

mod budget;
mod format;
mod panics;
mod prose;
mod walk;

use std::io;
use wengu_protocol::reader::{Reply, Request};

/// Reads a file and sends what is in it: all of [`Reply`] but `Ready`.
///
/// # Errors
/// Those of `send`. What is wrong with the file is sent.
pub fn read(document: &[u8], request: &Request, send: &mut dyn FnMut(&Reply) -> io::Result<()>) -> io::Result<()> {
    walk::Walk::new(request, document.len() as u64, send).file(document)
}
