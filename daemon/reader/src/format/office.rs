//! Office documents: archives with the text in a file of XML. Of Word documents the body, its notes and no more; of
//! OpenDocument the body. What was deleted under change tracking, and what people remarked, is not the text.

use super::xml::{Piece, walk};
use super::zip::{Archive, open, refusal, unpack};
use crate::budget::Budget;
use crate::prose::Prose;
use crate::walk::Text;
use quick_xml::events::BytesStart;
use wengu_protocol::reader::{Refusal, Verdict};
use zip::result::ZipError;

/// What office programs of another time begin with; the new ones write it around an encrypted document.
const OLD_OFFICE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
/// The most spaces that one element stands for.
const SPACES_MAX: usize = 1000;

/// The text of a Word document.
pub fn docx(bytes: &[u8], budget: &mut Budget) -> Result<Text, Refusal> {
    if bytes.starts_with(OLD_OFFICE) {
        return Err(old_office(bytes));
    }
    let mut archive = open(bytes)?;
    let mut prose = Prose::default();
    let body = xml_of(&mut archive, "word/document.xml", budget)?;
    let body = body.ok_or_else(|| Refusal::new(Verdict::Malformed, "it holds no word/document.xml"))?;
    word(&body, &mut prose)?;
    for name in ["word/footnotes.xml", "word/endnotes.xml"] {
        if let Some(notes) = xml_of(&mut archive, name, budget)? {
            word(&notes, &mut prose)?;
        }
    }
    Ok(Text::prose(prose.finish(), "UTF-8"))
}

fn old_office(bytes: &[u8]) -> Refusal {
    // Names in that format are UTF-16.
    let name: Vec<u8> = "EncryptedPackage".bytes().flat_map(|byte| [byte, 0]).collect();
    if bytes.windows(name.len()).any(|window| window == name) {
        return Refusal::new(Verdict::Encrypted, "it asks for a password; save it without one");
    }
    Refusal::new(
        Verdict::Unsupported,
        "it is a document of an old office program; save it as .docx",
    )
}

fn xml_of(archive: &mut Archive<'_>, name: &str, budget: &mut Budget) -> Result<Option<String>, Refusal> {
    let mut entry = match archive.by_name(name) {
        Ok(entry) => entry,
        Err(ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(refusal(error)),
    };
    let bytes = unpack(&mut entry, budget)?;
    let decoded = wengu_intake::decode(&bytes, None);
    let decoded = decoded.map_err(|e| Refusal::new(Verdict::Malformed, format!("{name}: {e}")))?;
    Ok(Some(decoded.text))
}

/// Elements are known by the prefix `w` that all writers use; the names are those of ECMA-376.
fn word(xml: &str, prose: &mut Prose) -> Result<(), Refusal> {
    let mut in_text = false;
    // Elements that are passed over, and how deep we are in one.
    let mut hidden = Hidden::new(&["w:del", "w:moveFrom", "mc:Fallback", "w:pPr", "w:sectPr"]);
    // A paragraph in a cell ends no line: the row does.
    let mut cells = 0_u32;
    walk(xml, |piece| {
        if hidden.passes_over(&piece) {
            return Ok(());
        }
        match piece {
            Piece::Begin(tag) => match tag.name().as_ref() {
                "w:t" => in_text = true,
                "w:tab" => prose.tab(),
                "w:br" | "w:cr" => prose.line(),
                "w:noBreakHyphen" => prose.verbatim("-"),
                "w:tc" => cells += 1,
                _ => {}
            },
            Piece::End(name) => match name {
                "w:t" => in_text = false,
                "w:p" if cells == 0 => prose.line(),
                "w:p" => prose.words(" "),
                "w:tc" => {
                    cells = cells.saturating_sub(1);
                    prose.tab();
                }
                "w:tr" if cells == 0 => prose.line(),
                _ => {}
            },
            Piece::Text(text) if in_text => prose.verbatim(text),
            Piece::Text(_) => {}
        }
        Ok(())
    })
}

/// The text of an OpenDocument text.
pub fn odt(bytes: &[u8], budget: &mut Budget) -> Result<Text, Refusal> {
    let mut archive = open(bytes)?;
    if let Some(manifest) = xml_of(&mut archive, "META-INF/manifest.xml", budget)?
        && manifest.contains("encryption-data")
    {
        return Err(Refusal::new(
            Verdict::Encrypted,
            "it asks for a password; save it without one",
        ));
    }
    let content = xml_of(&mut archive, "content.xml", budget)?;
    let content = content.ok_or_else(|| Refusal::new(Verdict::Malformed, "it holds no content.xml"))?;
    let mut prose = Prose::default();
    open_document(&content, &mut prose)?;
    Ok(Text::prose(prose.finish(), "UTF-8"))
}

/// The names are those of OpenDocument 1.3.
fn open_document(xml: &str, prose: &mut Prose) -> Result<(), Refusal> {
    let mut hidden = Hidden::new(&[
        "text:tracked-changes",
        "office:annotation",
        "office:scripts",
        "office:automatic-styles",
    ]);
    let (mut paragraphs, mut cells) = (0_u32, 0_u32);
    walk(xml, |piece| {
        if hidden.passes_over(&piece) {
            return Ok(());
        }
        match piece {
            Piece::Begin(tag) => match tag.name().as_ref() {
                "text:p" | "text:h" => paragraphs += 1,
                "text:tab" => prose.tab(),
                "text:line-break" => prose.line(),
                "text:s" => prose.verbatim(&" ".repeat(spaces(&tag))),
                "table:table-cell" => cells += 1,
                _ => {}
            },
            Piece::End(name) => match name {
                "text:p" | "text:h" => {
                    paragraphs = paragraphs.saturating_sub(1);
                    if cells == 0 {
                        prose.line();
                    } else {
                        prose.words(" ");
                    }
                }
                "table:table-cell" => {
                    cells = cells.saturating_sub(1);
                    prose.tab();
                }
                "table:table-row" if cells == 0 => prose.line(),
                _ => {}
            },
            Piece::Text(text) if paragraphs > 0 => prose.words(text),
            Piece::Text(_) => {}
        }
        Ok(())
    })
}

fn spaces(tag: &BytesStart<'_>) -> usize {
    let count = tag.try_get_attribute("text:c").ok().flatten();
    let count = count.and_then(|count| count.value.parse().ok());
    count.unwrap_or(1).min(SPACES_MAX)
}

/// Passes over elements with all that is in them.
struct Hidden {
    names: &'static [&'static str],
    open: u32,
}

impl Hidden {
    fn new(names: &'static [&'static str]) -> Hidden {
        Hidden { names, open: 0 }
    }

    fn passes_over(&mut self, piece: &Piece<'_>) -> bool {
        match piece {
            Piece::Begin(tag) => {
                let is_one = self.names.contains(&tag.name().as_ref());
                self.open += u32::from(is_one);
                is_one || self.open > 0
            }
            Piece::End(name) => {
                let was_open = self.open > 0;
                self.open = self.open.saturating_sub(u32::from(self.names.contains(name)));
                was_open
            }
            Piece::Text(_) => self.open > 0,
        }
    }
}
