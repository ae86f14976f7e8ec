//! Diseases, drugs, doses and codes of a text: by the word list, and by the way that names are built.

use crate::patterns::{CHINESE, ENGLISH, NOT_ENGLISH, NOT_FIRST};
use crate::{Language, Lexicon, Sense};
use regex::Regex;
use std::cmp::Reverse;
use std::ops::Range;
use wengu_plugin::{Error, Status};

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A disease; in English a sign or symptom too.
    Disease,
    /// A drug.
    Drug,
    /// An amount of a drug, or how often it is taken.
    Dose,
    /// An ICD-10 code.
    Icd10,
}

/// A term and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// In bytes.
    pub range: Range<usize>,
    /// What it is.
    pub kind: Kind,
    /// Its ICD-10 code, of a disease that the word list has.
    pub code: Option<&'static str>,
}

/// Finds terms of one language.
pub struct Terms {
    language: Language,
    lexicon: Lexicon,
    patterns: Vec<(Kind, Regex)>,
}

impl Terms {
    /// Compiles what is to be found.
    ///
    /// # Errors
    /// A pattern that does not compile: a bug.
    pub fn new(language: Language) -> Result<Terms, Error> {
        let patterns = match language {
            Language::En => ENGLISH,
            Language::Zh => CHINESE,
        };
        let compile = |(kind, pattern): &(Kind, &str)| match Regex::new(pattern) {
            Ok(regex) => Ok((*kind, regex)),
            Err(e) => Err(Error::new(Status::Internal, format!("{kind:?}: {e}"))),
        };
        Ok(Terms {
            language,
            lexicon: Lexicon::new(language)?,
            patterns: patterns.iter().map(compile).collect::<Result<_, _>>()?,
        })
    }

    /// The word list alone.
    pub fn lexicon(&self) -> &Lexicon {
        &self.lexicon
    }

    /// The terms of a text in order: those that begin first, of these the longest, none overlapping another.
    pub fn find(&self, text: &str) -> Vec<Found> {
        let mut all = self.listed(text);
        for (kind, pattern) in &self.patterns {
            for found in pattern.captures_iter(text) {
                let Some(span) = found.name("span").or_else(|| found.get(0)) else {
                    continue;
                };
                if let Some(range) = self.trim(text, span.range(), *kind) {
                    all.push(Found {
                        range,
                        kind: *kind,
                        code: None,
                    });
                }
            }
        }
        // Of two that are the same piece of text, the one with a code comes first and stays.
        all.sort_by_key(|f| (f.range.start, Reverse(f.range.end), f.code.is_none()));
        let mut end = 0;
        all.retain(|f| {
            let keep = f.range.start >= end;
            end = if keep { f.range.end } else { end };
            keep
        });
        all
    }

    /// The terms that the word list has. Signs and symptoms count as diseases in English alone.
    pub fn listed(&self, text: &str) -> Vec<Found> {
        let found = self.lexicon.find(text).into_iter();
        let found = found.filter_map(|(range, sense)| {
            let (kind, code) = match sense {
                Sense::Disease(code) => (Kind::Disease, Some(code)),
                Sense::Sign(_) if self.language == Language::Zh => return None,
                Sense::Sign(code) => (Kind::Disease, Some(code)),
                Sense::Drug => (Kind::Drug, None),
            };
            Some(Found { range, kind, code })
        });
        found.collect()
    }

    /// What is left of a match without the words before it that are not its own; none for a word that only looks like it.
    fn trim(&self, text: &str, mut range: Range<usize>, kind: Kind) -> Option<Range<usize>> {
        if self.language == Language::Zh || !matches!(kind, Kind::Disease | Kind::Drug) {
            return Some(range);
        }
        while let Some((first, _)) = text[range.clone()].split_once(' ') {
            if !NOT_FIRST.contains(&first.to_lowercase().as_str()) {
                break;
            }
            range.start += first.len() + 1;
        }
        let lower = text[range.clone()].to_lowercase();
        (!NOT_ENGLISH.contains(&lower.as_str())).then_some(range)
    }
}
