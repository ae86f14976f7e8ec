//! Mails: who wrote to whom about what, the text, and what is attached, each a document of its own.

use super::html;
use super::zip::name_of;
use crate::panics::guarded;
use crate::prose::Prose;
use crate::walk::{Node, Stop, Text, Walk};
use mail_parser::{Address, Message, MessageParser, MessagePart, MimeHeaders, PartType};
use wengu_protocol::reader::{Refusal, Verdict};

/// Goes through a mail.
pub fn walk(walk: &mut Walk<'_>, node: &Node, bytes: &[u8]) -> Result<(), Stop> {
    let parsed = guarded(|| {
        let mail = MessageParser::default().parse(bytes);
        let mail = mail.ok_or_else(|| Refusal::new(Verdict::Malformed, "it has no header of a mail"))?;
        let known = mail.from().is_some() || mail.to().is_some() || mail.subject().is_some() || mail.date().is_some();
        known.then_some(mail).ok_or_else(|| {
            Refusal::new(
                Verdict::Malformed,
                "it begins with none of the lines From, To, Subject and Date",
            )
        })
    });
    match parsed {
        Ok(mail) => message(walk, node, &mail),
        Err(refusal) => walk.refuse(node, refusal),
    }
}

fn message(walk: &mut Walk<'_>, node: &Node, mail: &Message<'_>) -> Result<(), Stop> {
    // Counted before anything is done with them.
    for _ in &mail.parts {
        walk.budget.member()?;
    }
    match guarded(|| Ok(letter(mail))) {
        Ok(text) => walk.part(node, Text::prose(text, "UTF-8"))?,
        Err(refusal) => walk.refuse(node, refusal)?,
    }
    for (index, attachment) in mail.attachments().enumerate() {
        let (name, content) = match guarded(|| Ok(named(attachment, index))) {
            Ok(attachment) => attachment,
            Err(refusal) => {
                walk.refuse(node, refusal)?;
                continue;
            }
        };
        let inner = Node {
            member: Some(node.path(&name)),
            case: node.case.clone(),
            depth: node.depth + 1,
        };
        walk.document(&inner, &name, &content)?;
    }
    Ok(())
}

/// The lines that a reader of the mail sees, and its text: the plain one where there are two.
fn letter(mail: &Message<'_>) -> String {
    let mut text = String::new();
    let lines = [
        ("From", mail.from().map(addresses)),
        ("To", mail.to().map(addresses)),
        ("Cc", mail.cc().map(addresses)),
        ("Date", mail.date().map(|date| date.to_rfc3339())),
        ("Subject", mail.subject().map(str::to_owned)),
    ];
    for (name, value) in lines {
        let value = value.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "));
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            text.push_str(&format!("{name}: {value}\n"));
        }
    }
    let mut body = Prose::default();
    for part in mail.text_bodies() {
        match &part.body {
            PartType::Html(page) => body.verbatim(&html::text_of(page)),
            PartType::Text(words) => body.verbatim(words),
            _ => {}
        }
        body.line();
    }
    format!("{text}\n{}", body.finish())
}

fn addresses(address: &Address<'_>) -> String {
    let one = |person: &mail_parser::Addr<'_>| match (person.name(), person.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => name.or(address).unwrap_or_default().to_owned(),
    };
    address.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The name of an attachment, which says how it is read, and its bytes.
fn named(part: &MessagePart<'_>, index: usize) -> (String, Vec<u8>) {
    let own = part.attachment_name().map(|name| name_of(name.as_bytes()));
    // A name is no path here.
    let own = own.map(|name| name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned());
    let numbered = |extension: &str| format!("attachment-{}{extension}", index + 1);
    if let PartType::Message(mail) = &part.body {
        let name = own
            .filter(|name| name.ends_with(".eml"))
            .unwrap_or_else(|| numbered(".eml"));
        return (name, mail.raw_message().to_vec());
    }
    let subtype = part
        .content_type()
        .and_then(|kind| kind.subtype())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let extension = match (&part.body, subtype.as_str()) {
        (PartType::Html(_), _) => ".html",
        (PartType::Text(_), "csv") => ".csv",
        (PartType::Text(_), "xml") | (_, "xml") => ".xml",
        (PartType::Text(_), "rtf") | (_, "rtf") => ".rtf",
        (PartType::Text(_), _) => ".txt",
        (_, "pdf") => ".pdf",
        (_, "zip" | "x-zip-compressed") => ".zip",
        (_, "vnd.openxmlformats-officedocument.wordprocessingml.document") => ".docx",
        (_, "vnd.oasis.opendocument.text") => ".odt",
        _ => "",
    };
    (own.unwrap_or_else(|| numbered(extension)), part.contents().to_vec())
}
