//! What the codes of a font are in Unicode, and how wide they are.

use super::cmap::{CMap, number};
use crate::budget::Budget;
use encoding_rs::Encoding;
use lopdf::{Dictionary, Document, Object};
use std::collections::HashMap;

/// Bytes of the largest table that a font may bring.
const TABLE_BYTES_MAX: usize = 8 << 20;
/// Widths that a font may list.
const WIDTHS_MAX: usize = 70_000;
/// Width where the font says none, in thousandths of its size: about that of a letter.
const LETTER_WIDTH: f32 = 500.0;

/// A font of a page.
pub struct Font {
    codes: Codes,
    unicode: Option<CMap>,
    widths: HashMap<u32, f32>,
    other_width: f32,
}

/// How bytes make codes, and what these are where no table says.
enum Codes {
    /// One byte each.
    Single(Box<[String; 256]>),
    /// Two bytes each, of an order of the font's own.
    Pair,
    /// UTF-16.
    Utf16,
    /// Those of an encoding of before Unicode.
    Legacy(&'static Encoding),
    /// By the font's own table.
    Own(CMap),
}

/// A character that is shown.
pub struct Shown {
    /// In Unicode; U+FFFD where the font does not say.
    pub text: String,
    /// In sizes of the font.
    pub width: f32,
    /// It is the one byte 32, which the spacing of words widens.
    pub is_space: bool,
}

impl Font {
    /// From a font's dictionary.
    pub fn read(document: &Document, dict: &Dictionary, budget: &mut Budget) -> Font {
        let unicode = table(document, dict, b"ToUnicode", budget);
        let is_composite = dict
            .get(b"Subtype")
            .and_then(Object::as_name)
            .is_ok_and(|name| name == b"Type0");
        if is_composite {
            return Font::composite(document, dict, unicode, budget);
        }
        let mut widths = HashMap::new();
        let first = dict
            .get_deref(b"FirstChar", document)
            .and_then(Object::as_i64)
            .unwrap_or(0);
        if let Ok(listed) = dict.get_deref(b"Widths", document).and_then(Object::as_array) {
            for (index, width) in listed.iter().take(256).enumerate() {
                if let (Ok(width), Ok(code)) = (float(document, width), u32::try_from(first + index as i64)) {
                    widths.insert(code, width);
                }
            }
        }
        Font {
            codes: Codes::Single(Box::new(single(document, dict))),
            unicode,
            widths,
            other_width: LETTER_WIDTH,
        }
    }

    fn composite(document: &Document, dict: &Dictionary, unicode: Option<CMap>, budget: &mut Budget) -> Font {
        let descendant = dict
            .get_deref(b"DescendantFonts", document)
            .and_then(Object::as_array)
            .ok()
            .and_then(|fonts| document.dereference(fonts.first()?).ok()?.1.as_dict().ok());
        let other_width = descendant
            .and_then(|d| float(document, d.get(b"DW").ok()?).ok())
            .unwrap_or(1000.0);
        let codes = match dict.get_deref(b"Encoding", document) {
            Ok(Object::Name(name)) => named(name),
            Ok(Object::Stream(_)) => table(document, dict, b"Encoding", budget).map_or(Codes::Pair, Codes::Own),
            _ => Codes::Pair,
        };
        // Widths are by glyph, which is the code only in a font of its own order.
        let widths = match (&codes, descendant) {
            (Codes::Pair, Some(descendant)) => glyph_widths(document, descendant),
            _ => HashMap::new(),
        };
        Font {
            codes,
            unicode,
            widths,
            other_width,
        }
    }

    /// The characters of a string.
    pub fn show(&self, bytes: &[u8]) -> Vec<Shown> {
        let mut shown = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = self.code_bytes(rest).min(rest.len());
            let (code, after) = rest.split_at(length);
            rest = after;
            let value = number(code);
            let known = self.unicode.as_ref().and_then(|table| table.get(value));
            let text = known.unwrap_or_else(|| self.without_table(code));
            let width = self.widths.get(&value).copied().unwrap_or(match self.codes {
                // Half of the codes of old encodings are half as wide.
                Codes::Legacy(_) if length == 1 => LETTER_WIDTH,
                _ => self.other_width,
            });
            shown.push(Shown {
                text,
                width: width / 1000.0,
                is_space: code == b" ",
            });
        }
        shown
    }

    fn code_bytes(&self, bytes: &[u8]) -> usize {
        match &self.codes {
            Codes::Single(_) => 1,
            Codes::Pair | Codes::Utf16 => 2,
            Codes::Own(table) => table.code_bytes(bytes).unwrap_or(2),
            Codes::Legacy(_) => match bytes {
                // Four bytes of GB 18030.
                [0x81..=0xfe, b'0'..=b'9', ..] => 4,
                [0x81..=0xfe, ..] => 2,
                _ => 1,
            },
        }
    }

    fn without_table(&self, code: &[u8]) -> String {
        match &self.codes {
            Codes::Single(table) => table[usize::from(code[0])].clone(),
            Codes::Utf16 => encoding_rs::UTF_16BE.decode_without_bom_handling(code).0.into_owned(),
            Codes::Legacy(encoding) => encoding.decode_without_bom_handling(code).0.into_owned(),
            Codes::Pair | Codes::Own(_) => char::REPLACEMENT_CHARACTER.to_string(),
        }
    }
}

/// The tables that ISO 32000-1, 9.7.5.2 names; their codes are those of well-known encodings.
fn named(name: &[u8]) -> Codes {
    let name = String::from_utf8_lossy(name);
    if name.contains("UCS2") || name.contains("UTF16") {
        return Codes::Utf16;
    }
    let legacy = [
        ("GB", encoding_rs::GB18030),
        ("B5", encoding_rs::BIG5),
        ("ETen", encoding_rs::BIG5),
        ("HKscs", encoding_rs::BIG5),
        ("RKSJ", encoding_rs::SHIFT_JIS),
        ("KSC", encoding_rs::EUC_KR),
    ];
    let found = legacy.into_iter().find(|(part, _)| name.contains(part));
    found.map_or(Codes::Pair, |(_, encoding)| Codes::Legacy(encoding))
}

fn single(document: &Document, dict: &Dictionary) -> [String; 256] {
    // The library's own reading of a font's table to Unicode is looked past: it comes after the encoding here.
    let mut plain = dict.clone();
    plain.remove(b"ToUnicode");
    let encoding = plain.get_font_encoding_with_limit(document, TABLE_BYTES_MAX).ok();
    std::array::from_fn(|code| {
        let text = encoding.as_ref().and_then(|e| e.bytes_to_string(&[code as u8]).ok());
        text.filter(|text| !text.is_empty() || code < 32)
            .unwrap_or_else(|| char::REPLACEMENT_CHARACTER.to_string())
    })
}

fn table(document: &Document, dict: &Dictionary, key: &[u8], budget: &mut Budget) -> Option<CMap> {
    let stream = dict.get_deref(key, document).and_then(Object::as_stream).ok()?;
    let limit = TABLE_BYTES_MAX.min(budget.unpacked_left());
    let bytes = stream.get_plain_content_with_limit(limit).ok()?;
    budget.unpacked(bytes.len() as u64).ok()?;
    Some(CMap::parse(&bytes))
}

/// `first [w w w]` and `first last w`, by glyph.
fn glyph_widths(document: &Document, descendant: &Dictionary) -> HashMap<u32, f32> {
    let mut widths = HashMap::new();
    let Ok(listed) = descendant.get_deref(b"W", document).and_then(Object::as_array) else {
        return widths;
    };
    let mut rest = listed
        .iter()
        .map(|object| document.dereference(object).map_or(object, |(_, found)| found));
    while let (Some(first), Some(second)) = (rest.next(), rest.next()) {
        let Some(first) = first.as_i64().ok().and_then(|first| u32::try_from(first).ok()) else {
            break;
        };
        match second {
            Object::Array(each) => {
                for (index, width) in each.iter().take(WIDTHS_MAX).enumerate() {
                    if let Ok(width) = float(document, width) {
                        widths.insert(first.saturating_add(index as u32), width);
                    }
                }
            }
            last => {
                let last = last.as_i64().ok().and_then(|last| u32::try_from(last).ok());
                let width = rest.next().and_then(|width| width.as_float().ok());
                let (Some(last), Some(width)) = (last, width) else {
                    break;
                };
                widths.extend((first..=last).take(WIDTHS_MAX).map(|glyph| (glyph, width)));
            }
        }
        if widths.len() > WIDTHS_MAX {
            break;
        }
    }
    widths
}

fn float(document: &Document, object: &Object) -> lopdf::Result<f32> {
    document.dereference(object)?.1.as_float()
}
