//! The tables in which a PDF says what its codes are in Unicode (ISO 32000-1, 9.10.3), and which bytes make a code.

use std::collections::HashMap;

/// More entries than there are characters are no table.
const ENTRIES_MAX: usize = 200_000;

/// A table.
#[derive(Debug, Default)]
pub struct CMap {
    /// Length in bytes, lowest and highest code.
    spaces: Vec<(usize, u32, u32)>,
    singles: HashMap<u32, String>,
    /// Lowest and highest code, and what the lowest stands for.
    ranges: Vec<(u32, u32, String)>,
}

enum Token {
    Hex(Vec<u8>),
    Word(String),
    Open,
    Close,
}

impl CMap {
    /// Reads a table. What is not understood of it is left out.
    pub fn parse(bytes: &[u8]) -> CMap {
        let mut map = CMap::default();
        let mut operands: Vec<Token> = Vec::new();
        let mut entries = 0;
        let tokens = Tokens { rest: bytes };
        for token in tokens {
            match token {
                Token::Word(word) => {
                    match word.as_str() {
                        "endcodespacerange" => map.spaces(&operands),
                        "endbfchar" => map.singles(&operands),
                        "endbfrange" => map.ranges(&operands),
                        _ => {}
                    }
                    operands.clear();
                }
                operand => {
                    entries += 1;
                    if entries > 3 * ENTRIES_MAX {
                        break;
                    }
                    operands.push(operand);
                }
            }
        }
        map.ranges.sort_by_key(|range| range.0);
        map
    }

    /// What a code stands for.
    pub fn get(&self, code: u32) -> Option<String> {
        if let Some(text) = self.singles.get(&code) {
            return Some(text.clone());
        }
        let at = self.ranges.partition_point(|range| range.0 <= code).checked_sub(1)?;
        let (low, high, text) = &self.ranges[at];
        if code > *high {
            return None;
        }
        let mut chars: Vec<char> = text.chars().collect();
        let last = chars.pop()?;
        chars.push(char::from_u32(u32::from(last) + (code - low))?);
        Some(chars.into_iter().collect())
    }

    /// The bytes of the code at the beginning of `bytes`, by the table; none where it does not say.
    pub fn code_bytes(&self, bytes: &[u8]) -> Option<usize> {
        let fits = |&&(length, low, high): &&(usize, u32, u32)| {
            bytes
                .get(..length)
                .is_some_and(|code| (low..=high).contains(&number(code)))
        };
        self.spaces.iter().find(fits).map(|&(length, ..)| length)
    }

    fn spaces(&mut self, operands: &[Token]) {
        for pair in operands.chunks_exact(2) {
            if let [Token::Hex(low), Token::Hex(high)] = pair
                && (1..=4).contains(&low.len())
            {
                self.spaces.push((low.len(), number(low), number(high)));
            }
        }
    }

    fn singles(&mut self, operands: &[Token]) {
        for pair in operands.chunks_exact(2) {
            if let [Token::Hex(code), Token::Hex(text)] = pair {
                self.singles.insert(number(code), utf16(text));
            }
        }
    }

    fn ranges(&mut self, operands: &[Token]) {
        let mut rest = operands.iter();
        while let (Some(Token::Hex(low)), Some(Token::Hex(high))) = (rest.next(), rest.next()) {
            let (low, high) = (number(low), number(high));
            match rest.next() {
                Some(Token::Hex(text)) => self.ranges.push((low, high, utf16(text))),
                Some(Token::Open) => {
                    let mut code = low;
                    for token in rest.by_ref() {
                        let Token::Hex(text) = token else { break };
                        self.singles.insert(code, utf16(text));
                        code = code.saturating_add(1);
                    }
                }
                _ => return,
            }
        }
    }
}

/// The number that bytes are.
pub fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .take(4)
        .fold(0, |number, &byte| number << 8 | u32::from(byte))
}

fn utf16(bytes: &[u8]) -> String {
    match bytes {
        // Some writers leave out the leading zero.
        [byte] => char::from(*byte).to_string(),
        bytes => encoding_rs::UTF_16BE.decode_without_bom_handling(bytes).0.into_owned(),
    }
}

struct Tokens<'b> {
    rest: &'b [u8],
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            self.rest = self.rest.trim_ascii_start();
            let (&first, after) = self.rest.split_first()?;
            match first {
                b'%' => {
                    let end = self
                        .rest
                        .iter()
                        .position(|b| matches!(b, b'\n' | b'\r'))
                        .unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                }
                b'<' if after.first() != Some(&b'<') => {
                    let end = after.iter().position(|&b| b == b'>').unwrap_or(after.len());
                    let digits: Vec<u8> = after[..end]
                        .iter()
                        .filter_map(|&b| char::from(b).to_digit(16))
                        .map(|d| d as u8)
                        .collect();
                    self.rest = after.get(end + 1..).unwrap_or_default();
                    return Some(Token::Hex(
                        digits.chunks(2).map(|d| d[0] << 4 | d.get(1).unwrap_or(&0)).collect(),
                    ));
                }
                b'[' => {
                    self.rest = after;
                    return Some(Token::Open);
                }
                b']' => {
                    self.rest = after;
                    return Some(Token::Close);
                }
                _ => {
                    let is_end = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'<' | b'>' | b'[' | b']' | b'%');
                    let end = 1 + after.iter().position(is_end).unwrap_or(after.len());
                    let word = String::from_utf8_lossy(&self.rest[..end]).into_owned();
                    self.rest = &self.rest[end..];
                    return Some(Token::Word(word));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_characters() {
        let map = CMap::parse(
            b"/CIDInit begincmap % c\n1 begincodespacerange <00> <7f> <8140> <fefe> endcodespacerange\n\
              2 beginbfchar <0001> <5408540C> <02> <D840DC00> endbfchar\n\
              2 beginbfrange <10> <12> <0041> <20> <21> [<0061> <00620063>] endbfrange endcmap",
        );
        let get = |code| map.get(code).unwrap_or_default();
        assert_eq!(
            (get(1), get(2), get(0x12), get(0x13)),
            ("合同".into(), "𠀀".into(), "C".into(), String::new())
        );
        assert_eq!((get(0x20), get(0x21)), ("a".into(), "bc".into()));
        assert_eq!(map.code_bytes(b"\x41"), Some(1));
        assert_eq!(map.code_bytes(b"\xb0\xa1"), Some(2));
        assert_eq!(map.code_bytes(b"\xff\xff"), None);
    }

    #[test]
    fn nonsense_is_an_empty_table() {
        for bytes in [
            &b"<<>>[[<"[..],
            b"<",
            b"endbfchar endbfrange",
            b"<01> endbfrange",
            b"1 beginbfrange <01> [ endbfrange",
        ] {
            assert_eq!(CMap::parse(bytes).get(1), None);
        }
    }
}
