//! A webhook's receiver: takes everything, and remembers it.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Ids and events in the order of their arrival, repeats included.
pub type Arrivals = Arc<Mutex<Vec<(String, Value)>>>;

/// Listens on a port of its own for as long as the process lives.
pub fn listen() -> (u16, Arrivals) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let arrivals = Arrivals::default();
    let log = arrivals.clone();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let log = log.clone();
            // A sender that is killed in the middle has told nothing.
            thread::spawn(move || connection.ok().and_then(|connection| take(&connection, &log)));
        }
    });
    (port, arrivals)
}

fn take(mut connection: &TcpStream, log: &Arrivals) -> Option<()> {
    let mut reader = BufReader::new(connection);
    let (mut id, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else {
            match line.trim() {
                "" => break,
                _ => continue,
            }
        };
        match name.to_ascii_lowercase().as_str() {
            "webhook-id" => id = Some(value.trim().to_string()),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let event = serde_json::from_slice(&body).ok()?;
    log.lock().unwrap().push((id?, event));
    connection
        .write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        .ok()
}
