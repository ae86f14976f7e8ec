//! What a page shows: the operators of its content that move and show text (ISO 32000-1, 9.4), forms included.

use super::font::{Font, Shown};
use super::matrix::Matrix;
use crate::budget::Budget;
use lopdf::content::{Content, Operation};
use lopdf::{Dictionary, Document, Object, ObjectId, Stream};
use std::collections::HashMap;
use std::rc::Rc;
use wengu_protocol::reader::{Refusal, Verdict};

/// Forms in forms.
const FORMS_DEEP_MAX: u32 = 12;
/// A gap wider than this, in sizes of the font, is a space.
const SPACE_WIDTH: f32 = 0.22;
/// A step across the line of more than this, in sizes of the font, is another line; raised marks stay on theirs.
const LINE_STEP: f32 = 0.45;

/// Fonts that were read already, by the place of their dictionary in memory, which stands still while a document is read.
#[derive(Default)]
pub struct Fonts(HashMap<*const Dictionary, Rc<Font>>);

/// What a page shows.
#[derive(Default)]
pub struct ShownPage {
    /// Its text.
    pub text: String,
    /// It shows a picture.
    pub has_picture: bool,
}

/// Reads a page.
pub fn read(document: &Document, id: ObjectId, fonts: &mut Fonts, budget: &mut Budget) -> Result<ShownPage, Refusal> {
    let content = content_of(document, id, budget)?;
    let (own, inherited) = document.get_page_resources(id).unwrap_or((None, Vec::new()));
    let inherited = inherited.into_iter().filter_map(|id| document.get_dictionary(id).ok());
    let resources: Vec<&Dictionary> = own.into_iter().chain(inherited).collect();
    let mut reader = Reader {
        document,
        fonts,
        budget,
        page: ShownPage::default(),
        pen: None,
    };
    reader.content(&content, &resources, Matrix::ONE, 0)?;
    Ok(reader.page)
}

/// The streams of a page's content, one after the other. The library's own way would take one that cannot be unpacked as
/// it is, which shows nothing, and the page would be lost without a word.
fn content_of(document: &Document, id: ObjectId, budget: &Budget) -> Result<Vec<u8>, Refusal> {
    let mut content = Vec::new();
    for stream in document.get_page_contents(id) {
        let Ok(stream) = document.get_object(stream).and_then(Object::as_stream) else {
            continue;
        };
        let left = budget.unpacked_left().saturating_sub(content.len());
        content.extend(stream.get_plain_content_with_limit(left).map_err(super::refusal)?);
        content.push(b'\n');
    }
    Ok(content)
}

/// Where the last character ended: the place, the direction of its line, and its size.
struct Pen {
    at: (f32, f32),
    along: (f32, f32),
    size: f32,
}

struct Reader<'r, 'd> {
    document: &'d Document,
    fonts: &'r mut Fonts,
    budget: &'r mut Budget,
    page: ShownPage,
    pen: Option<Pen>,
}

#[derive(Clone)]
struct State {
    /// From the space of the content to that of the page.
    to_page: Matrix,
    font: Option<Rc<Font>>,
    size: f32,
    leading: f32,
    char_spacing: f32,
    word_spacing: f32,
    stretch: f32,
    rise: f32,
}

impl<'d> Reader<'_, 'd> {
    fn content(
        &mut self,
        bytes: &[u8],
        resources: &[&'d Dictionary],
        to_page: Matrix,
        deep: u32,
    ) -> Result<(), Refusal> {
        self.budget.unpacked(bytes.len() as u64)?;
        let content = Content::decode(bytes)
            .map_err(|e| Refusal::new(Verdict::Malformed, format!("the content of a page cannot be read: {e}")))?;
        let mut state = State {
            to_page,
            font: None,
            size: 1.0,
            leading: 0.0,
            char_spacing: 0.0,
            word_spacing: 0.0,
            stretch: 1.0,
            rise: 0.0,
        };
        let mut saved = Vec::new();
        let (mut line, mut text) = (Matrix::ONE, Matrix::ONE);
        for operation in &content.operations {
            let number = |index: usize| number(operation, index);
            match operation.operator.as_str() {
                "q" => saved.push(state.clone()),
                "Q" => state = saved.pop().unwrap_or(state),
                "cm" => state.to_page = Matrix::of(operation).then(&state.to_page),
                "BT" => (line, text) = (Matrix::ONE, Matrix::ONE),
                "Tf" => {
                    state.font = self.font(operation, resources);
                    state.size = number(1);
                }
                "TL" => state.leading = number(0),
                "Tc" => state.char_spacing = number(0),
                "Tw" => state.word_spacing = number(0),
                "Tz" => state.stretch = number(0) / 100.0,
                "Ts" => state.rise = number(0),
                "Td" | "TD" => {
                    if operation.operator == "TD" {
                        state.leading = -number(1);
                    }
                    line = Matrix::moved(number(0), number(1)).then(&line);
                    text = line;
                }
                "Tm" => {
                    line = Matrix::of(operation);
                    text = line;
                }
                "T*" | "'" | "\"" => {
                    line = Matrix::moved(0.0, -state.leading).then(&line);
                    text = line;
                    if operation.operator == "\"" {
                        (state.word_spacing, state.char_spacing) = (number(0), number(1));
                    }
                    if let Some(string) = operation.operands.last() {
                        self.show(string, &state, &mut text);
                    }
                }
                "Tj" => {
                    if let Some(string) = operation.operands.first() {
                        self.show(string, &state, &mut text);
                    }
                }
                "TJ" => {
                    for piece in operation
                        .operands
                        .first()
                        .and_then(|o| o.as_array().ok())
                        .into_iter()
                        .flatten()
                    {
                        match piece.as_float() {
                            Ok(back) => {
                                let step = -back / 1000.0 * state.size * state.stretch;
                                text = Matrix::moved(step, 0.0).then(&text);
                            }
                            Err(_) => self.show(piece, &state, &mut text),
                        }
                    }
                }
                "BI" | "EI" => self.page.has_picture = true,
                "Do" => self.draw(operation, resources, state.to_page, deep)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn draw(
        &mut self,
        operation: &Operation,
        resources: &[&'d Dictionary],
        to_page: Matrix,
        deep: u32,
    ) -> Result<(), Refusal> {
        let Some(stream) = self
            .object(operation, b"XObject", resources)
            .and_then(|object| object.as_stream().ok())
        else {
            return Ok(());
        };
        match stream.dict.get(b"Subtype").and_then(Object::as_name) {
            Ok(b"Image") => self.page.has_picture = true,
            Ok(b"Form") if deep < FORMS_DEEP_MAX => self.form(stream, resources, to_page, deep)?,
            _ => {}
        }
        Ok(())
    }

    fn form(&mut self, form: &'d Stream, outer: &[&'d Dictionary], to_page: Matrix, deep: u32) -> Result<(), Refusal> {
        let content = form
            .get_plain_content_with_limit(self.budget.unpacked_left())
            .map_err(super::refusal)?;
        let own = form
            .dict
            .get_deref(b"Resources", self.document)
            .and_then(Object::as_dict)
            .ok();
        let resources: Vec<&Dictionary> = own.into_iter().chain(outer.iter().copied()).collect();
        let matrix = form.dict.get_deref(b"Matrix", self.document).and_then(Object::as_array);
        let matrix = matrix.map_or(Matrix::ONE, |values| Matrix::from_values(values));
        self.content(&content, &resources, matrix.then(&to_page), deep + 1)
    }

    fn font(&mut self, operation: &Operation, resources: &[&'d Dictionary]) -> Option<Rc<Font>> {
        let dict = self.object(operation, b"Font", resources)?.as_dict().ok()?;
        if let Some(font) = self.fonts.0.get(&std::ptr::from_ref(dict)) {
            return Some(font.clone());
        }
        let font = Rc::new(Font::read(self.document, dict, self.budget));
        self.fonts.0.insert(dict, font.clone());
        Some(font)
    }

    /// What an operation names by its first operand.
    fn object(&self, operation: &Operation, kind: &[u8], resources: &[&'d Dictionary]) -> Option<&'d Object> {
        let name = operation.operands.first()?.as_name().ok()?;
        resources.iter().find_map(|resources| {
            let named = resources
                .get_deref(kind, self.document)
                .and_then(Object::as_dict)
                .ok()?;
            named.get_deref(name, self.document).ok()
        })
    }

    fn show(&mut self, string: &Object, state: &State, text: &mut Matrix) {
        let (Ok(bytes), Some(font)) = (string.as_str(), &state.font) else {
            return;
        };
        for Shown {
            text: shown,
            width,
            is_space,
        } in font.show(bytes)
        {
            let at = Matrix::moved(0.0, state.rise).then(text).then(&state.to_page);
            let spacing = state.char_spacing + if is_space { state.word_spacing } else { 0.0 };
            let step = (width * state.size + spacing) * state.stretch;
            self.put(&shown, &at, state.size, width * state.size * state.stretch);
            *text = Matrix::moved(step, 0.0).then(text);
        }
    }

    /// Adds a character that is drawn at the origin of `at`, `width` wide.
    fn put(&mut self, shown: &str, at: &Matrix, size: f32, width: f32) {
        let size = (size * (at.a * at.d - at.b * at.c).abs().sqrt()).abs();
        let length = at.a.hypot(at.b).max(f32::MIN_POSITIVE);
        let along = (at.a / length, at.b / length);
        if let Some(pen) = &self.pen {
            let (dx, dy) = (at.e - pen.at.0, at.f - pen.at.1);
            let forward = dx * pen.along.0 + dy * pen.along.1;
            let across = (dx * pen.along.1 - dy * pen.along.0).abs();
            let size = pen.size.max(size);
            let page = &mut self.page.text;
            if across > LINE_STEP * size || forward < -1.5 * size {
                while page.ends_with(' ') {
                    page.pop();
                }
                if !page.is_empty() && !page.ends_with('\n') {
                    page.push('\n');
                }
            } else if forward > SPACE_WIDTH * size && !page.ends_with([' ', '\n']) && !is_ideographic(page, shown) {
                page.push(' ');
            }
        }
        self.page
            .text
            .extend(shown.chars().map(|c| if c.is_control() { ' ' } else { c }));
        self.pen = Some(Pen {
            at: (at.e + at.a * width, at.f + at.b * width),
            along,
            size,
        });
    }
}

/// Between two characters of Chinese or Japanese there is no space, however far they are set apart, up to a whole one.
fn is_ideographic(before: &str, after: &str) -> bool {
    let is = |c: Option<char>| {
        c.is_some_and(|c| matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}'))
    };
    is(before.chars().next_back()) && is(after.chars().next())
}

fn number(operation: &Operation, index: usize) -> f32 {
    operation
        .operands
        .get(index)
        .and_then(|operand| operand.as_float().ok())
        .unwrap_or(0.0)
}
