//! Reads one table at a time, notes what is wrong with each key, and goes on with the default.

use crate::problem::{Problem, Severity};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::{Bound, Range, RangeBounds, RangeInclusive};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const BEGIN_TABLE: &str = "begin a table with its name in brackets on a line of its own, and put its keys under it";

/// The document and what was found wrong with it so far.
pub(crate) struct Report<'t> {
    text: &'t str,
    pub problems: RefCell<Vec<Problem>>,
    pub positions: RefCell<BTreeMap<String, Position>>,
}

/// A place in the file, counted from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub line: u32,
    pub column: u32,
}

/// A key and where it or its value stands.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub key: String,
    pub position: Option<Position>,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    pub value: T,
    pub place: Place,
}

impl<'t> Report<'t> {
    pub fn new(text: &'t str) -> Report<'t> {
        Report {
            text,
            problems: RefCell::default(),
            positions: RefCell::default(),
        }
    }

    pub fn position(&self, offset: usize) -> Position {
        // A span may end behind the text or, in broken text, inside a character.
        let boundary = (0..=offset.min(self.text.len()))
            .rev()
            .find(|&at| self.text.is_char_boundary(at));
        let before = &self.text[..boundary.unwrap_or(0)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Position {
            line: 1 + before.bytes().filter(|&byte| byte == b'\n').count() as u32,
            column: 1 + before[line_start..].chars().count() as u32,
        }
    }

    pub fn error(&self, place: &Place, message: impl Into<String>, remedy: impl Into<String>) {
        self.note(Severity::Error, place, message.into(), remedy.into());
    }

    pub fn warning(&self, place: &Place, message: impl Into<String>, remedy: impl Into<String>) {
        self.note(Severity::Warning, place, message.into(), remedy.into());
    }

    fn note(&self, severity: Severity, place: &Place, message: String, remedy: String) {
        self.problems.borrow_mut().push(Problem {
            line: place.position.map(|position| position.line),
            column: place.position.map(|position| position.column),
            key: place.key.clone(),
            message,
            remedy,
            severity,
        });
    }
}

/// A table that is being read. Every getter makes its key known; [`Section::finish`] reports the others.
pub(crate) struct Section<'t> {
    pub report: &'t Report<'t>,
    pub place: Place,
    table: Option<&'t DeTable<'t>>,
    known: Vec<&'static str>,
}

impl<'t> Section<'t> {
    pub fn root(report: &'t Report<'t>, table: &'t DeTable<'t>) -> Section<'t> {
        let place = Place {
            key: String::new(),
            position: None,
        };
        Section {
            report,
            place,
            table: Some(table),
            known: Vec::new(),
        }
    }

    /// The place of a key of this table: its own where it is there, else the table's.
    pub fn at(&self, name: &str) -> Place {
        let position = self.entry(name).map(|(key, _)| self.report.position(key.span().start));
        Place {
            key: self.key(name),
            position: position.or(self.place.position),
        }
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    pub fn string(&mut self, name: &'static str) -> Option<Located<String>> {
        let (place, value) = self.get(name)?;
        let remedy = || format!("write a text in quotes, as in `{name} = \"…\"`");
        match value.as_str() {
            Some("") => self.report.error(&place, "is empty", remedy()),
            Some(text) if text.contains('\0') => self.report.error(&place, "holds a NUL character", remedy()),
            Some(text) => {
                return Some(Located {
                    value: text.to_string(),
                    place,
                });
            }
            None => self.wrong_type(&place, "a text", value, remedy()),
        }
        None
    }

    pub fn required_string(&mut self, name: &'static str, remedy: &str) -> Option<Located<String>> {
        if !self.is_set(name) {
            self.report.error(&self.at(name), "is missing", remedy);
        }
        self.string(name)
    }

    /// A text or a list of texts. None where the key is missing or no list of texts.
    pub fn strings(&mut self, name: &'static str) -> Option<Vec<Located<String>>> {
        let (place, value) = self.get(name)?;
        if value.as_str().is_some() {
            return self.string(name).map(|text| vec![text]);
        }
        let remedy = || format!("write texts in brackets, as in `{name} = [\"…\", \"…\"]`");
        let Some(elements) = value.as_array() else {
            self.wrong_type(&place, "a list of texts", value, remedy());
            return None;
        };
        let mut texts = Vec::new();
        for element in elements.iter() {
            let place = Place {
                position: Some(self.report.position(element.span().start)),
                ..place.clone()
            };
            match element.get_ref().as_str() {
                Some(text) if !text.is_empty() && !text.contains('\0') => texts.push(Located {
                    value: text.to_string(),
                    place,
                }),
                Some(_) => self.report.error(&place, "holds an empty text", remedy()),
                None => self.wrong_type(&place, "a text", element.get_ref(), remedy()),
            }
        }
        Some(texts)
    }

    pub fn integer(&mut self, name: &'static str, range: RangeInclusive<u64>, default: u64) -> u64 {
        self.optional_integer(name, range, default).unwrap_or(default)
    }

    /// `example` is shown where the value is wrong.
    pub fn optional_integer(&mut self, name: &'static str, range: RangeInclusive<u64>, example: u64) -> Option<u64> {
        let (place, value) = self.get(name)?;
        let (least, most) = (range.start(), range.end());
        let remedy = format!("write a whole number from {least} to {most}, as in `{name} = {example}`");
        let Some(integer) = value.as_integer() else {
            self.wrong_type(&place, "a whole number", value, remedy);
            return None;
        };
        match i128::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if (i128::from(*least)..=i128::from(*most)).contains(&number) => u64::try_from(number).ok(),
            _ => {
                self.out_of_range(&place, integer, remedy);
                None
            }
        }
    }

    pub fn number(&mut self, name: &'static str, range: impl RangeBounds<f64>, default: f64) -> f64 {
        let Some((place, value)) = self.get(name) else {
            return default;
        };
        let remedy = format!("write a number {}, as in `{name} = {default:?}`", in_words(&range));
        let text = match value {
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            DeValue::Float(float) => float.as_str(),
            _ => {
                self.wrong_type(&place, "a number", value, remedy);
                return default;
            }
        };
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() && range.contains(&number) => number,
            _ => {
                self.out_of_range(&place, text, remedy);
                default
            }
        }
    }

    pub fn boolean(&mut self, name: &'static str, default: bool) -> bool {
        let Some((place, value)) = self.get(name) else {
            return default;
        };
        value.as_bool().unwrap_or_else(|| {
            let remedy = format!("write `{name} = true` or `{name} = false`, without quotes");
            self.wrong_type(&place, "true or false", value, remedy);
            default
        })
    }

    /// One of a few words; the first is the default.
    pub fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> T {
        let default = choices[0].1;
        let Some(word) = self.string(name) else { return default };
        choose(self.report, &word, choices).unwrap_or(default)
    }

    /// A table inside this one; an empty one where it is missing.
    pub fn table(&mut self, name: &'static str) -> Section<'t> {
        let place = self.at(name);
        let table = self.get(name).and_then(|(place, value)| {
            let table = value.as_table();
            if table.is_none() {
                self.wrong_type(&place, "a table", value, BEGIN_TABLE.to_string());
            }
            table
        });
        Section {
            report: self.report,
            place,
            table,
            known: Vec::new(),
        }
    }

    /// A table whose keys are somebody else's to judge, as JSON; an empty one where it is missing.
    pub fn json_table(&mut self, name: &'static str) -> serde_json::Value {
        let table = self.table(name).table;
        let pairs = table.into_iter().flat_map(|table| table.iter());
        let pairs = pairs.map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref())));
        serde_json::Value::Object(pairs.collect())
    }

    /// The tables inside a table, each with its name: `[models.NAME]`.
    pub fn tables(&mut self, name: &'static str) -> Vec<(Located<String>, Section<'t>)> {
        let outer = self.table(name);
        let mut tables = Vec::new();
        for (key, value) in outer.table.into_iter().flat_map(|table| table.iter()) {
            let inner = key.get_ref();
            let place = Place {
                key: outer.key(inner),
                position: Some(self.report.position(key.span().start)),
            };
            self.report.remember(&place);
            let Some(table) = value.get_ref().as_table() else {
                self.wrong_type(&place, "a table", value.get_ref(), BEGIN_TABLE.to_string());
                continue;
            };
            let section = Section {
                report: self.report,
                place: place.clone(),
                table: Some(table),
                known: Vec::new(),
            };
            let name = Located {
                value: inner.to_string(),
                place,
            };
            tables.push((name, section));
        }
        tables
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self) {
        for (key, _) in self.table.into_iter().flat_map(|table| table.iter()) {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let remedy = match nearest(name, self.known.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("the keys known here are {}", self.known.join(", ")),
            };
            self.report.error(&self.at(name), "is not a known key", remedy);
        }
    }

    fn get(&mut self, name: &'static str) -> Option<(Place, &'t DeValue<'t>)> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        let (_, value) = self.entry(name)?;
        let place = self.at(name);
        self.report.remember(&place);
        Some((place, value.get_ref()))
    }

    fn entry(&self, name: &str) -> Option<(&'t Spanned<std::borrow::Cow<'t, str>>, &'t Spanned<DeValue<'t>>)> {
        self.table?.iter().find(|(key, _)| key.get_ref() == name)
    }

    fn key(&self, name: &str) -> String {
        match self.place.key.as_str() {
            "" => name.to_string(),
            outer => format!("{outer}.{name}"),
        }
    }

    fn wrong_type(&self, place: &Place, expected: &str, value: &DeValue<'_>, remedy: String) {
        let found = match value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.report
            .error(place, format!("should be {expected}, is {found}"), remedy);
    }

    fn out_of_range(&self, place: &Place, value: impl Display, remedy: String) {
        self.report.error(place, format!("{value} is out of range"), remedy);
    }
}

impl Report<'_> {
    fn remember(&self, place: &Place) {
        if let Some(position) = place.position {
            self.positions.borrow_mut().insert(place.key.clone(), position);
        }
    }
}

/// A value as JSON, which has no dates: these become text.
fn json(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Boolean(yes) => (*yes).into(),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(serde_json::Value::Null, Into::into)
        }
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .map_or(serde_json::Value::Null, Into::into),
        DeValue::Datetime(date) => date.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let pairs = table
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref())));
            serde_json::Value::Object(pairs.collect())
        }
    }
}

/// The choice that a word names.
pub(crate) fn choose<T: Copy>(report: &Report<'_>, word: &Located<String>, choices: &[(&str, T)]) -> Option<T> {
    let chosen = choices.iter().find(|(name, _)| *name == word.value);
    if chosen.is_none() {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let remedy = format!("choose among {}", names.join(", "));
        report.error(&word.place, format!("\"{}\" is not known", word.value), remedy);
    }
    chosen.map(|&(_, value)| value)
}

/// The candidate that a misspelt name was likely meant to be.
pub(crate) fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let distance = |candidate: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase());
    let (distance, candidate) = candidates.map(|candidate| (distance(candidate), candidate)).min()?;
    (distance <= 1 + candidate.chars().count() / 5).then_some(candidate)
}

fn in_words(range: &impl RangeBounds<f64>) -> String {
    let from = match range.start_bound() {
        Bound::Included(least) => format!("from {least}"),
        Bound::Excluded(least) => format!("above {least}"),
        Bound::Unbounded => String::new(),
    };
    match range.end_bound() {
        Bound::Included(most) if matches!(range.start_bound(), Bound::Included(_)) => format!("{from} to {most}"),
        Bound::Included(most) => format!("{from} and at most {most}"),
        Bound::Excluded(most) => format!("{from} and below {most}"),
        Bound::Unbounded => from,
    }
}

/// Bounds of a number that may not be the lower one itself.
pub(crate) fn above(range: Range<f64>) -> (Bound<f64>, Bound<f64>) {
    (Bound::Excluded(range.start), Bound::Included(range.end))
}
