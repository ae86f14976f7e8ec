//! Names of diseases with their ICD-10 codes, and of drugs; found in a text, the longest first.

use crate::Language;
use aho_corasick::{AhoCorasick, MatchKind};
use std::ops::Range;
use wengu_plugin::{Error, Status};

const DISEASES: &str = include_str!("../data/diseases.tsv");
const DRUGS: &str = include_str!("../data/drugs.tsv");

/// A disease of the word list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disease {
    /// ICD-10 category, three or four characters.
    pub code: &'static str,
    /// Name and synonyms.
    pub english: Vec<&'static str>,
    /// Name and synonyms.
    pub chinese: Vec<&'static str>,
}

/// A drug of the word list: its generic name and others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drug {
    /// International name and synonyms.
    pub english: Vec<&'static str>,
    /// Name and synonyms.
    pub chinese: Vec<&'static str>,
}

/// The diseases of the word list, by code.
pub fn diseases() -> impl Iterator<Item = Disease> {
    rows(DISEASES).map(|row| Disease {
        code: row[0],
        english: names(row[1], row[2]),
        chinese: names(row[3], row[4]),
    })
}

/// The drugs of the word list, by English name.
pub fn drugs() -> impl Iterator<Item = Drug> {
    rows(DRUGS).map(|row| Drug {
        english: names(row[0], row[1]),
        chinese: names(row[2], row[3]),
    })
}

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = table.lines().filter(|l| !l.starts_with('#')).skip(1);
    lines.map(|line| line.split('\t').collect())
}

fn names(name: &'static str, synonyms: &'static str) -> Vec<&'static str> {
    let synonyms = synonyms.split('|').filter(|s| !s.is_empty());
    std::iter::once(name).chain(synonyms).collect()
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sense {
    /// A disease and its ICD-10 code.
    Disease(&'static str),
    /// A sign or symptom (chapter R of ICD-10) and its code.
    Sign(&'static str),
    /// A drug.
    Drug,
}

/// The names of one language, ready to be found.
pub struct Lexicon {
    names: Vec<(String, Sense)>,
    matcher: AhoCorasick,
    language: Language,
}

impl Lexicon {
    /// Builds the matcher.
    ///
    /// # Errors
    /// A word list that is too large: a bug.
    pub fn new(language: Language) -> Result<Lexicon, Error> {
        let mut names = Vec::new();
        for disease in diseases() {
            let sense = match disease.code.starts_with('R') {
                true => Sense::Sign(disease.code),
                false => Sense::Disease(disease.code),
            };
            for name in pick(language, disease.english, disease.chinese) {
                names.extend(spellings(name).into_iter().map(|n| (n, sense)));
            }
        }
        for drug in drugs() {
            for name in pick(language, drug.english, drug.chinese) {
                names.extend(spellings(name).into_iter().map(|n| (n, Sense::Drug)));
            }
        }
        let matcher = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(names.iter().map(|(name, _)| name));
        let matcher = matcher.map_err(|e| Error::new(Status::Internal, format!("word list: {e}")))?;
        Ok(Lexicon {
            names,
            matcher,
            language,
        })
    }

    /// The names in a text: those that begin first, of these the longest, none overlapping another. An English name stands
    /// between word borders (a plural s is part of it), one that is all capitals only as written.
    pub fn find(&self, text: &str) -> Vec<(Range<usize>, Sense)> {
        let mut found = Vec::new();
        for hit in self.matcher.find_overlapping_iter(text) {
            let (name, sense) = &self.names[hit.pattern().as_usize()];
            let (start, mut end) = (hit.start(), hit.end());
            if self.language == Language::En {
                let plural = text[end..].starts_with('s') && !name.ends_with('s');
                end += usize::from(plural && !word_follows(text, end + 1));
            }
            if is_acronym(name) && *name != text[start..hit.end()] {
                continue;
            }
            // In Chinese only ASCII borders matter: "COVID-19" stands beside characters.
            let ascii = |c: char| self.language == Language::En || c.is_ascii();
            let cut = |inside: Option<char>, outside: Option<char>| {
                matches!((inside, outside), (Some(i), Some(o))
                    if i.is_alphanumeric() && o.is_alphanumeric() && ascii(i) && ascii(o))
            };
            let name = &text[start..end];
            let cut_before = cut(name.chars().next(), text[..start].chars().next_back());
            let cut_after = cut(name.chars().next_back(), text[end..].chars().next());
            if !cut_before && !cut_after {
                found.push((start..end, *sense));
            }
        }
        found.sort_by_key(|(r, _)| (r.start, std::cmp::Reverse(r.end)));
        let mut last = 0;
        found.retain(|(range, _)| {
            let keep = range.start >= last;
            last = if keep { range.end } else { last };
            keep
        });
        found
    }

    /// What a name stands for, whatever its case.
    pub fn sense(&self, name: &str) -> Option<Sense> {
        match &self.find(name)[..] {
            [(range, sense)] if *range == (0..name.len()) => Some(*sense),
            _ => None,
        }
    }

    /// Every name, in lower case, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.names.iter().map(|(n, _)| n.to_lowercase()).collect();
        names.sort();
        names.dedup();
        names
    }
}

fn pick(language: Language, english: Vec<&'static str>, chinese: Vec<&'static str>) -> Vec<&'static str> {
    match language {
        Language::En => english,
        Language::Zh => chinese,
    }
}

fn word_follows(text: &str, at: usize) -> bool {
    text[at..].starts_with(char::is_alphanumeric)
}

fn is_acronym(name: &str) -> bool {
    name.len() <= 6 && name.chars().all(|c| c.is_ascii_uppercase())
}

/// British letters and the American ones.
const SPELLINGS: &[(&str, &str)] = &[
    ("aem", "em"),
    ("haem", "hem"),
    ("oed", "ed"),
    ("oes", "es"),
    ("oea", "ea"),
    ("noea", "nea"),
    ("coel", "cel"),
    ("gynae", "gyne"),
    ("tumour", "tumor"),
    ("goitre", "goiter"),
    ("praevia", "previa"),
    ("naev", "nev"),
    ("ischaem", "ischem"),
];

/// A name as written, and in American letters where they differ.
fn spellings(name: &str) -> Vec<String> {
    let american = SPELLINGS.iter().fold(name.to_owned(), |name, (british, american)| {
        let capital = |s: &str| s[..1].to_uppercase() + &s[1..];
        name.replace(british, american)
            .replace(&capital(british), &capital(american))
    });
    let mut all = vec![name.to_owned()];
    if american != name {
        all.push(american);
    }
    all
}

#[cfg(test)]
#[path = "lexicon_tests.rs"]
mod tests;
