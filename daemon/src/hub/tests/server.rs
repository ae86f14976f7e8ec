//! A server that answers as a test says, cuts included.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What was asked: path, and headers by lowercase name.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

impl Asked {
    pub fn range(&self) -> Option<usize> {
        self.headers
            .get("range")?
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    }
}

/// Status line and headers of an answer, the length that it claims, and what it sends.
pub struct Reply {
    pub head: String,
    pub claims: usize,
    pub sends: Vec<u8>,
}

impl Reply {
    pub fn new(head: &str, body: &[u8]) -> Reply {
        Reply {
            head: head.into(),
            claims: body.len(),
            sends: body.to_vec(),
        }
    }

    /// The rest of a file, as the request asks for it.
    pub fn file(asked: &Asked, headers: &str, body: &[u8]) -> Reply {
        match asked.range() {
            Some(from) if from >= body.len() => Reply::new(
                &format!(
                    "416 Range Not Satisfiable\r\ncontent-range: bytes */{}\r\n{headers}",
                    body.len()
                ),
                b"",
            ),
            Some(from) => {
                let range = format!("content-range: bytes {from}-{}/{}", body.len() - 1, body.len());
                Reply::new(&format!("206 Partial Content\r\n{range}\r\n{headers}"), &body[from..])
            }
            None => Reply::new(&format!("200 OK\r\n{headers}"), body),
        }
    }
}

pub type Log = Arc<Mutex<Vec<Asked>>>;

/// A server on a port of its own; returns its address and what was asked of it.
pub fn serve(answer: impl Fn(&Asked, usize) -> Reply + Send + 'static) -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let log = Log::default();
    let seen = log.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let asked = read(&mut stream);
            let times = {
                let mut seen = seen.lock().unwrap();
                seen.push(asked.clone());
                seen.iter().filter(|earlier| earlier.path == asked.path).count()
            };
            let reply = answer(&asked, times);
            let head = format!(
                "HTTP/1.1 {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                reply.head, reply.claims
            );
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(&reply.sends));
        }
    });
    (address, log)
}

fn read(stream: &mut TcpStream) -> Asked {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers = lines.take_while(|line| !line.is_empty()).map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_lowercase(), value.to_owned())
    });
    let headers = headers.collect();
    Asked { path, headers }
}
