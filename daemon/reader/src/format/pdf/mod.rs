//! PDF: the text layer, page by page. What a page shows is gathered in the order in which it is drawn; lines are told
//! by where it is drawn. Pages that are pictures are for a reader of pictures.

mod cmap;
mod font;
mod matrix;
mod page;

use crate::budget::Budget;
use crate::walk::Text;
use lopdf::{DecompressError, Document, Error, LoadOptions};
use wengu_protocol::reader::{PartKind, Refusal, Verdict};

const PAGES_MAX: usize = 20_000;
/// Of the characters, so many in a hundred may be such that the fonts do not say what they are.
const UNKNOWN_PERCENT_MAX: usize = 10;

/// The text of a document and where its pages begin.
pub fn read(bytes: &[u8], budget: &mut Budget) -> Result<Text, Refusal> {
    let document = load(bytes, budget)?;
    let mut text = String::new();
    let (mut pages, mut pictures, mut texts) = (Vec::new(), 0, 0);
    let mut fonts = page::Fonts::default();
    let mut chars = 0;
    for (index, id) in document.page_iter().enumerate() {
        if index >= PAGES_MAX {
            let reason = format!("it has more than {PAGES_MAX} pages; split it");
            return Err(Refusal::new(Verdict::TooMany, reason));
        }
        let shown = page::read(&document, id, &mut fonts, budget).map_err(|mut refusal| {
            refusal.reason = format!("page {}: {}", index + 1, refusal.reason);
            refusal
        })?;
        let shown_text = shown.text.trim();
        if shown_text.is_empty() {
            pictures += usize::from(shown.has_picture);
        } else {
            texts += 1;
            if !text.is_empty() {
                text.push('\n');
                chars += 1;
            }
        }
        pages.push(chars as u32);
        text.push_str(shown_text);
        chars += shown_text.chars().count();
    }
    if pages.is_empty() {
        return Err(Refusal::new(Verdict::Malformed, "no page is found in it"));
    }
    if pictures > texts {
        let reason = format!("{pictures} of its {} pages are pictures; {OCR_ADVICE}", pages.len());
        return Err(Refusal::new(Verdict::NeedsOcr, reason));
    }
    let unknown = text.matches(char::REPLACEMENT_CHARACTER).count();
    if unknown * 100 > chars * UNKNOWN_PERCENT_MAX {
        let reason = format!("its fonts do not say which characters they show; {OCR_ADVICE}");
        return Err(Refusal::new(Verdict::NeedsOcr, reason));
    }
    Ok(Text {
        kind: PartKind::Text,
        encoding: "UTF-8",
        is_malformed: false,
        pages,
        text,
    })
}

const OCR_ADVICE: &str = "drop its text as .txt, or name a program that reads pictures as ocr_command under [reader]";

fn load(bytes: &[u8], budget: &Budget) -> Result<Document, Refusal> {
    // A page's worth of bytes before the header is tolerated, as by other readers.
    if !bytes[..bytes.len().min(1024)]
        .windows(5)
        .any(|window| window == b"%PDF-")
    {
        return Err(Refusal::new(Verdict::Malformed, "it does not begin as PDF does"));
    }
    let options = LoadOptions {
        max_decompressed_size: Some(budget.unpacked_left()),
        ..LoadOptions::default()
    };
    let document = Document::load_mem_with_options(bytes, options).map_err(refusal)?;
    if document.is_encrypted() {
        return Err(locked());
    }
    Ok(document)
}

fn locked() -> Refusal {
    Refusal::new(Verdict::Encrypted, "it asks for a password; save it without one")
}

fn refusal(error: Error) -> Refusal {
    let verdict = match &error {
        Error::InvalidPassword | Error::Decryption(_) => return locked(),
        Error::UnsupportedSecurityHandler(_) => Verdict::Encrypted,
        Error::Decompress(DecompressError::MemoryLimitExceeded { .. }) => Verdict::TooBig,
        _ => Verdict::Malformed,
    };
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    let words: Vec<String> = causes.map(ToString::to_string).collect();
    Refusal::new(verdict, words.join(": "))
}
