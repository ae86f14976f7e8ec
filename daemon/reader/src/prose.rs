//! Text as it is gathered from a document: words, lines, and cells of tables.

/// Text of a document, line by line. White space of the source is one space; lines end where the document says.
#[derive(Debug, Default)]
pub struct Prose {
    text: String,
    /// White space was seen since the last word.
    space: bool,
}

impl Prose {
    /// Adds words; runs of white space become one space.
    pub fn words(&mut self, text: &str) {
        for c in text.chars() {
            if matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}') {
                self.space = true;
            } else {
                self.letter(c);
            }
        }
    }

    /// Adds text whose white space counts.
    pub fn verbatim(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '\n' => self.line(),
                '\r' => {}
                ' ' | '\t' => self.blank(c),
                c => self.letter(c),
            }
        }
    }

    fn letter(&mut self, c: char) {
        if self.space && !self.text.is_empty() && !self.text.ends_with(['\n', '\t']) {
            self.text.push(' ');
        }
        self.space = false;
        self.text.push(c);
    }

    fn blank(&mut self, c: char) {
        self.space = false;
        self.text.push(c);
    }

    /// Ends the line, if one was begun.
    pub fn line(&mut self) {
        self.space = false;
        while self.text.ends_with([' ', '\t']) {
            self.text.pop();
        }
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// A tab, as between the cells of a row.
    pub fn tab(&mut self) {
        self.blank('\t');
    }

    /// The text, without white space at its ends.
    pub fn finish(mut self) -> String {
        self.line();
        self.text.trim().to_owned()
    }
}
