//! XML of any kind: the text between its tags. Entities that a document declares itself are not resolved, and nothing
//! that it points to is looked at.

use super::markup::{decoded, value_after};
use crate::prose::Prose;
use crate::walk::Text;
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, Event};
use wengu_protocol::reader::{Refusal, Verdict};

/// Elements in elements.
pub const DEPTH_MAX: u32 = 256;

/// The text of a document. Where tag follows tag with nothing between them but white space, a line ends.
pub fn read(bytes: &[u8], fallback: Option<&str>) -> Result<Text, Refusal> {
    let declared = |beginning: &str| {
        let declaration = beginning
            .trim_start_matches("\u{ef}\u{bb}\u{bf}")
            .strip_prefix("<?xml")?;
        value_after(declaration.split("?>").next()?, "encoding")
    };
    let (text, encoding) = decoded(bytes, declared, fallback)?;
    let mut prose = Prose::default();
    let mut after_tag = true;
    walk(&text, |event| {
        match event {
            Piece::Begin(_) | Piece::End(_) => {
                if after_tag {
                    prose.line();
                }
                after_tag = true;
            }
            Piece::Text(text) => {
                after_tag &= text.trim().is_empty();
                prose.words(text);
            }
        }
        Ok(())
    })?;
    Ok(Text::prose(prose.finish(), encoding))
}

/// What a document is made of.
pub enum Piece<'a> {
    /// The beginning of an element.
    Begin(quick_xml::events::BytesStart<'a>),
    /// The end of an element.
    End(&'a str),
    /// Text, references resolved.
    Text(&'a str),
}

/// Goes through the markup of a document.
pub fn walk(text: &str, mut each: impl FnMut(Piece<'_>) -> Result<(), Refusal>) -> Result<(), Refusal> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = Reader::from_str(text);
    let mut depth = 0;
    loop {
        let at = reader.buffer_position();
        let malformed = |what: String| Refusal::new(Verdict::Malformed, format!("at byte {at}: {what}"));
        match reader.read_event().map_err(|e| malformed(e.to_string()))? {
            Event::Start(tag) => {
                depth += 1;
                if depth > DEPTH_MAX {
                    let reason = format!("at byte {at} its elements lie more than {DEPTH_MAX} deep in each other");
                    return Err(Refusal::new(Verdict::TooDeep, reason));
                }
                each(Piece::Begin(tag))?;
            }
            Event::Empty(tag) => {
                let name = tag.name().as_ref().to_owned();
                each(Piece::Begin(tag))?;
                each(Piece::End(&name))?;
            }
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                each(Piece::End(tag.name().as_ref()))?;
            }
            Event::Text(text) => {
                each(Piece::Text(&text))?;
            }
            Event::CData(text) => {
                each(Piece::Text(&text))?;
            }
            Event::GeneralRef(reference) => {
                let text = resolved(&reference)
                    .ok_or_else(|| malformed("it refers to an entity that XML does not know".into()))?;
                each(Piece::Text(&text))?;
            }
            Event::DocType(declarations) => {
                if declarations.contains("<!ENTITY") {
                    let reason = format!("at byte {at} it declares entities, which are not resolved; save it without");
                    return Err(Refusal::new(Verdict::Unsupported, reason));
                }
            }
            Event::Eof if depth == 0 => return Ok(()),
            Event::Eof => return Err(malformed("it ends inside an element".into())),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

fn resolved(reference: &BytesRef<'_>) -> Option<String> {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return Some(c.to_string());
    }
    resolve_xml_entity(reference).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(xml: &str) -> Result<String, Refusal> {
        read(xml.as_bytes(), None).map(|read| read.text)
    }

    #[test]
    fn text_keeps_together_and_elements_end_lines() {
        let xml = "<?xml version='1.0'?><!DOCTYPE a SYSTEM 'a.dtd'><a><b>one <i>two</i> &amp; &#x4e09;</b><b>four</b>\n<c/><![CDATA[<5>]]></a>";
        assert_eq!(text(xml).unwrap(), "one two & 三\nfour\n<5>");
    }

    #[test]
    fn what_is_refused_is_named_with_its_place() {
        let refused = |xml: &str| text(xml).unwrap_err();
        assert_eq!(refused("<a>&x;</a>").verdict, Verdict::Malformed);
        assert_eq!(
            refused("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>").verdict,
            Verdict::Unsupported
        );
        assert!(refused("<a><b></a>").reason.starts_with("at byte 6"));
        assert_eq!(refused("<a>").verdict, Verdict::Malformed);
        assert_eq!(refused(&"<a>".repeat(1000)).verdict, Verdict::TooDeep);
    }
}
