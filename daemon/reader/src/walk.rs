//! From the file to its documents, however deep they lie.

use crate::budget::Budget;
use crate::format;
use crate::panics::guarded;
use std::io;
use wengu_intake::{Format, decode, is_dataset_description, is_sidecar, trim};
use wengu_protocol::reader::{Part, PartKind, Refusal, Reply, Request, TEXT_BYTES_AT_ONCE, Verdict};

/// A document inside the file, or the file itself.
#[derive(Debug, Clone)]
pub struct Node {
    /// Path inside the file; None: it is the file.
    pub member: Option<String>,
    /// The document that is a case of its own; None: the file is.
    pub case: Option<String>,
    /// How many archives and mails it lies in.
    pub depth: u32,
}

/// Why a walk ends before its end.
pub enum Stop {
    /// The file as a whole is refused.
    Refused(Refusal),
    /// Nobody listens any more.
    Channel(io::Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Refused(refusal)
    }
}

/// Goes through a file.
pub struct Walk<'a> {
    request: &'a Request,
    /// What it may still cost.
    pub budget: Budget,
    send: &'a mut dyn FnMut(&Reply) -> io::Result<()>,
    ordinal: u32,
    /// Neither a part nor a refusal was told.
    is_silent: bool,
}

/// Text with what is known of it.
pub struct Text {
    /// How its records are written.
    pub kind: PartKind,
    /// WHATWG name.
    pub encoding: &'static str,
    /// See [`Part::is_malformed`].
    pub is_malformed: bool,
    /// See [`Part::pages`].
    pub pages: Vec<u32>,
    /// The text.
    pub text: String,
}

impl Text {
    /// Of a document that is one record.
    pub fn prose(text: String, encoding: &'static str) -> Text {
        Text {
            kind: PartKind::Text,
            encoding,
            is_malformed: false,
            pages: Vec::new(),
            text,
        }
    }
}

impl<'a> Walk<'a> {
    /// For a file of so many bytes.
    pub fn new(request: &'a Request, file_bytes: u64, send: &'a mut dyn FnMut(&Reply) -> io::Result<()>) -> Walk<'a> {
        Walk {
            request,
            budget: Budget::new(&request.limits, file_bytes),
            send,
            ordinal: 0,
            is_silent: true,
        }
    }

    /// Reads the file and says that all is told.
    pub fn file(mut self, bytes: &[u8]) -> io::Result<()> {
        let root = Node {
            member: None,
            case: None,
            depth: 0,
        };
        let name = &self.request.file_name;
        match self.document(&root, name, bytes) {
            Ok(()) if self.is_silent && self.request.skip.is_empty() => {
                let refusal = Refusal::new(Verdict::Empty, "there is no document in it");
                self.tell(Reply::Refused { member: None, refusal })?;
            }
            Ok(()) => {}
            Err(Stop::Refused(refusal)) => self.tell(Reply::Refused { member: None, refusal })?,
            Err(Stop::Channel(error)) => return Err(error),
        }
        self.tell(Reply::Done)
    }

    /// Reads one document. What is wrong with it is told and ends nothing but it; that the file is too large ends all.
    pub fn document(&mut self, node: &Node, name: &str, bytes: &[u8]) -> Result<(), Stop> {
        self.ordinal += 1;
        if self.request.skip.contains(&self.ordinal) {
            return Ok(());
        }
        self.send(Reply::Begin {
            ordinal: self.ordinal,
            member: node.member.clone(),
        })?;
        let refusal = match self.kind_of(node, name, bytes) {
            Ok(Kind::Nothing) => return Ok(()),
            Ok(Kind::Container(format)) => return format::container(self, node, format, bytes),
            Ok(Kind::Text(parse)) => match guarded(|| parse(bytes, self)) {
                Ok(text) => return self.part(node, text),
                Err(refusal) => refusal,
            },
            Err(refusal) => refusal,
        };
        self.refuse(node, refusal)
    }

    /// Tells that a document is not read; where the file as a whole is too large, that ends all.
    pub fn refuse(&mut self, node: &Node, refusal: Refusal) -> Result<(), Stop> {
        if matches!(refusal.verdict, Verdict::TooBig | Verdict::TooMany) {
            return Err(Stop::Refused(refusal));
        }
        self.send(Reply::Refused {
            member: node.member.clone(),
            refusal,
        })
    }

    fn kind_of(&self, node: &Node, name: &str, bytes: &[u8]) -> Result<Kind, Refusal> {
        if node.depth > 0 && is_dataset_description(name, || bytes[..bytes.len().min(64 << 10)].to_vec()) {
            return Ok(Kind::Nothing);
        }
        if bytes.is_empty() {
            return Err(Refusal::new(Verdict::Empty, "it has no bytes"));
        }
        if node.depth > 0 && is_sidecar(name) {
            return Ok(Kind::Text(Box::new(|bytes, walk| {
                plain(PartKind::Sidecar, bytes, walk)
            })));
        }
        let format = wengu_intake::format_of(name).map_err(|e| Refusal::new(Verdict::Unsupported, e.to_string()))?;
        if matches!(format, Format::Zip | Format::Tar | Format::TarGzip | Format::Mail) {
            if node.depth >= self.request.limits.depth {
                let reason = format!("it lies in {} others; unpack it and drop what it holds", node.depth);
                return Err(Refusal::new(Verdict::TooDeep, reason));
            }
            return Ok(Kind::Container(format));
        }
        if let Some(kind) = plain_kind(format) {
            return Ok(Kind::Text(Box::new(move |bytes, walk| plain(kind, bytes, walk))));
        }
        Ok(Kind::Text(Box::new(move |bytes, walk| {
            format::text(format, bytes, walk)
        })))
    }

    /// Sends a part.
    pub fn part(&mut self, node: &Node, text: Text) -> Result<(), Stop> {
        if let Err(refusal) = self.budget.text(text.text.len()) {
            return self.refuse(node, refusal);
        }
        if trim(&text.text).is_empty() {
            return self.refuse(node, Refusal::new(Verdict::Empty, "there is no text in it"));
        }
        self.send(Reply::Part(Part {
            member: node.member.clone(),
            case: node.case.clone(),
            kind: text.kind,
            encoding: text.encoding.to_owned(),
            is_malformed: text.is_malformed,
            pages: text.pages,
        }))?;
        let mut rest = text.text.as_str();
        while !rest.is_empty() {
            let at = (0..=rest.len().min(TEXT_BYTES_AT_ONCE))
                .rev()
                .find(|&at| rest.is_char_boundary(at));
            let (piece, after) = rest.split_at(at.unwrap_or(rest.len()));
            self.send(Reply::Text(piece.to_owned()))?;
            rest = after;
        }
        Ok(())
    }

    /// The encoding that the operator names, for text that says none.
    pub fn encoding(&self) -> Option<&str> {
        self.request.encoding.as_deref()
    }

    fn send(&mut self, reply: Reply) -> Result<(), Stop> {
        self.tell(reply).map_err(Stop::Channel)
    }

    fn tell(&mut self, reply: Reply) -> io::Result<()> {
        self.is_silent &= !matches!(reply, Reply::Part(_) | Reply::Refused { .. });
        (self.send)(&reply)
    }
}

type Parse = Box<dyn FnOnce(&[u8], &mut Walk<'_>) -> Result<Text, Refusal>>;

enum Kind {
    /// About other documents, and none itself.
    Nothing,
    Container(Format),
    Text(Parse),
}

fn plain_kind(format: Format) -> Option<PartKind> {
    Some(match format {
        Format::Text => PartKind::Text,
        Format::Markdown => PartKind::Markdown,
        Format::Json => PartKind::Json,
        Format::JsonLines => PartKind::JsonLines,
        Format::Csv => PartKind::Csv,
        Format::Tsv => PartKind::Tsv,
        _ => return None,
    })
}

fn plain(kind: PartKind, bytes: &[u8], walk: &Walk<'_>) -> Result<Text, Refusal> {
    let decoded = decode(bytes, walk.encoding()).map_err(|e| Refusal::new(Verdict::Malformed, e.to_string()))?;
    Ok(Text {
        kind,
        encoding: decoded.encoding,
        is_malformed: decoded.is_malformed,
        pages: Vec::new(),
        text: decoded.text,
    })
}
