//! RTF, by Microsoft's specification 1.9.1: text between control words, in the code page of the document or of the
//! font, or as numbers of Unicode with a substitute for old readers.

use super::code_page::{of_charset, of_code_page};
use crate::prose::Prose;
use crate::walk::Text;
use encoding_rs::Encoding;
use std::collections::HashMap;
use wengu_protocol::reader::{Refusal, Verdict};

/// Groups in groups.
const DEPTH_MAX: usize = 256;
/// Groups that are not the text.
const HIDDEN: [&str; 26] = [
    "colortbl",
    "stylesheet",
    "info",
    "pict",
    "object",
    "header",
    "headerl",
    "headerr",
    "headerf",
    "footer",
    "footerl",
    "footerr",
    "footerf",
    "fldinst",
    "xe",
    "tc",
    "themedata",
    "datastore",
    "listtable",
    "listoverridetable",
    "rsidtbl",
    "generator",
    "revtbl",
    "annotation",
    "filetbl",
    "xmlnstbl",
];

/// The text of a document.
pub fn read(bytes: &[u8]) -> Result<Text, Refusal> {
    if !bytes.trim_ascii_start().starts_with(b"{\\rtf") {
        return Err(Refusal::new(Verdict::Malformed, "it does not begin as RTF does"));
    }
    let mut reader = Reader::default();
    let mut at = 0;
    while at < bytes.len() {
        at += reader.step(&bytes[at..]).map_err(|mut refusal| {
            refusal.reason = format!("at byte {at}: {}", refusal.reason);
            refusal
        })?;
    }
    reader.flush();
    if !reader.outer.is_empty() {
        return Err(Refusal::new(Verdict::Malformed, "it ends inside a group"));
    }
    Ok(Text::prose(reader.prose.finish(), reader.code_page.name()))
}

#[derive(Debug, Clone, Copy, Default)]
struct Group {
    hidden: bool,
    in_font_table: bool,
    font: i32,
    /// Bytes that stand in for a character of Unicode.
    substitutes: Option<u32>,
}

struct Reader {
    group: Group,
    outer: Vec<Group>,
    /// Encoding by font, where the font names one.
    fonts: HashMap<i32, &'static Encoding>,
    code_page: &'static Encoding,
    /// In the encoding of the font in use, not decoded yet.
    pending: Vec<u8>,
    /// The first half of a character beyond the first 65,536.
    high: Option<u16>,
    /// Bytes to be passed over: they stand in for a character that was told.
    substitutes_left: u32,
    prose: Prose,
}

impl Default for Reader {
    fn default() -> Self {
        Reader {
            group: Group::default(),
            outer: Vec::new(),
            fonts: HashMap::new(),
            code_page: encoding_rs::WINDOWS_1252,
            pending: Vec::new(),
            high: None,
            substitutes_left: 0,
            prose: Prose::default(),
        }
    }
}

impl Reader {
    /// Takes what is next and returns its bytes.
    fn step(&mut self, rest: &[u8]) -> Result<usize, Refusal> {
        match rest[0] {
            b'{' => {
                self.flush();
                self.substitutes_left = 0;
                self.outer.push(self.group);
                if self.outer.len() > DEPTH_MAX {
                    let reason = format!("its groups lie more than {DEPTH_MAX} deep in each other");
                    return Err(Refusal::new(Verdict::TooDeep, reason));
                }
                Ok(1)
            }
            b'}' => {
                self.flush();
                self.substitutes_left = 0;
                self.group = self.outer.pop().unwrap_or_default();
                // What follows the last brace is no document any more.
                self.group.hidden |= self.outer.is_empty();
                Ok(1)
            }
            b'\\' => self.control(&rest[1..]).map(|bytes| 1 + bytes),
            b'\r' | b'\n' | 0 => Ok(1),
            byte => {
                self.byte(byte);
                Ok(1)
            }
        }
    }

    fn control(&mut self, rest: &[u8]) -> Result<usize, Refusal> {
        let Some(&first) = rest.first() else { return Ok(0) };
        if !first.is_ascii_alphabetic() {
            return Ok(self.symbol(first, rest));
        }
        let letters = rest
            .iter()
            .take(32)
            .take_while(|byte| byte.is_ascii_alphabetic())
            .count();
        let word = std::str::from_utf8(&rest[..letters]).unwrap_or_default();
        let minus = usize::from(rest.get(letters) == Some(&b'-'));
        let digits = rest[letters + minus..]
            .iter()
            .take(10)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let number = &rest[letters..letters + minus + digits];
        let number = if digits == 0 {
            None
        } else {
            std::str::from_utf8(number).ok().and_then(|n| n.parse::<i64>().ok())
        };
        let mut used = if digits == 0 { letters } else { letters + minus + digits };
        used += usize::from(rest.get(used) == Some(&b' '));
        if word == "bin" {
            return Ok(used
                + number
                    .and_then(|n| usize::try_from(n).ok())
                    .unwrap_or(0)
                    .min(rest.len() - used));
        }
        self.word(word, number);
        Ok(used)
    }

    fn symbol(&mut self, symbol: u8, rest: &[u8]) -> usize {
        match symbol {
            b'\'' => {
                let digits = rest.get(1..3).and_then(|digits| std::str::from_utf8(digits).ok());
                if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                    self.byte(byte);
                }
                return rest.len().min(3);
            }
            b'*' => self.group.hidden = true,
            b'\\' | b'{' | b'}' => self.byte(symbol),
            b'~' => self.say("\u{a0}"),
            b'_' => self.say("-"),
            b'\r' | b'\n' => self.line(),
            _ => {}
        }
        1
    }

    fn word(&mut self, word: &str, number: Option<i64>) {
        let parameter = number.and_then(|n| i32::try_from(n).ok());
        match word {
            "ansicpg" => self.code_page = parameter.and_then(of_code_page).unwrap_or(self.code_page),
            "mac" => self.code_page = encoding_rs::MACINTOSH,
            "fonttbl" => (self.group.in_font_table, self.group.hidden) = (true, true),
            "f" => {
                self.flush();
                self.group.font = parameter.unwrap_or(0);
            }
            "fcharset" if self.group.in_font_table => {
                if let Some(encoding) = parameter.and_then(of_charset) {
                    self.fonts.insert(self.group.font, encoding);
                }
            }
            "plain" => {
                self.flush();
                self.group.font = 0;
            }
            "uc" => self.group.substitutes = parameter.and_then(|n| u32::try_from(n).ok()),
            "u" => self.unicode(parameter.unwrap_or(0)),
            "par" | "line" | "sect" | "page" | "row" => self.line(),
            "tab" | "cell" => self.tab(),
            "emdash" => self.say("\u{2014}"),
            "endash" => self.say("\u{2013}"),
            "bullet" => self.say("\u{2022}"),
            "lquote" => self.say("\u{2018}"),
            "rquote" => self.say("\u{2019}"),
            "ldblquote" => self.say("\u{201c}"),
            "rdblquote" => self.say("\u{201d}"),
            word if HIDDEN.contains(&word) => self.group.hidden = true,
            _ => {}
        }
    }

    fn byte(&mut self, byte: u8) {
        if self.substitutes_left > 0 {
            self.substitutes_left -= 1;
        } else if !self.group.hidden {
            self.pending.push(byte);
        }
    }

    fn unicode(&mut self, number: i32) {
        self.flush();
        self.substitutes_left = self.group.substitutes.unwrap_or(1);
        // Written as a signed number of 16 bits.
        let unit = number as u16;
        let units = match self.high.take() {
            Some(high) => vec![high, unit],
            None if (0xd800..0xdc00).contains(&unit) => {
                self.high = Some(unit);
                return;
            }
            None => vec![unit],
        };
        self.say(&String::from_utf16_lossy(&units));
    }

    fn say(&mut self, text: &str) {
        self.flush();
        if !self.group.hidden {
            self.prose.verbatim(text);
        }
    }

    fn line(&mut self) {
        self.flush();
        if !self.group.hidden {
            self.prose.line();
        }
    }

    fn tab(&mut self) {
        self.flush();
        if !self.group.hidden {
            self.prose.tab();
        }
    }

    fn flush(&mut self) {
        if !self.pending.is_empty() {
            let encoding = self.fonts.get(&self.group.font).copied().unwrap_or(self.code_page);
            let (text, _) = encoding.decode_without_bom_handling(&self.pending);
            self.prose.verbatim(&text);
            self.pending.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(rtf: &str) -> String {
        read(rtf.as_bytes()).unwrap().text
    }

    #[test]
    fn fonts_and_code_pages_say_what_bytes_mean() {
        let rtf = r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset134 SimSun;}}\f0 caf\'e9 \f1 \'ba\'cf\'cd\'ac{\f0 \'e9}\'ba\par x}";
        assert_eq!(text(rtf), "café 合同é\u{fffd}\nx");
    }

    #[test]
    fn unicode_hides_its_substitutes() {
        assert_eq!(
            text(r"{\rtf1\uc1\u21512?\u21516 ?\uc2\u26465\'cc\'f5x\uc0\u-10187\u-9216 y}"),
            "合同条x𝐀y"
        );
    }

    #[test]
    fn what_is_not_the_text_is_passed_over() {
        let rtf = r"{\rtf1{\*\generator x;}{\info{\title t}}{\header h\par}a{\pict\bin3 }}}}b\{c\}{\field{\*\fldinst HYPERLINK x}{\fldrslt d}}}trailing";
        assert_eq!(text(rtf), "ab{c}d");
        assert_eq!(read(b"{\\rtf1 {a").err().unwrap().verdict, Verdict::Malformed);
        assert_eq!(
            read(&[b"{\\rtf1 ", "{".repeat(400).as_bytes()].concat())
                .err()
                .unwrap()
                .verdict,
            Verdict::TooDeep
        );
    }
}
