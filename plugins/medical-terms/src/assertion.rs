//! Whether a sentence affirms, denies or doubts a term, in the manner of NegEx (Chapman and others, 2001) and ConText:
//! trigger phrases before or after the term, phrases that only look like triggers, words that end a trigger's reach, and a
//! window beyond which it reaches nothing.

mod en;
mod zh;

use crate::Language;
use aho_corasick::{AhoCorasick, Input, MatchKind};
use std::collections::BTreeMap;
use std::ops::Range;
use wengu_plugin::{Error, Status};

/// How a term stands in its sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assertion {
    /// Nothing denies or doubts it.
    Affirmed,
    /// Denied.
    Negated,
    /// Possible, suspected, not excluded.
    Uncertain,
}

/// What a phrase does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Denies what follows.
    DeniesNext,
    /// Denies what precedes.
    DeniesLast,
    /// Doubts what follows.
    DoubtsNext,
    /// Doubts what precedes.
    DoubtsLast,
    /// Contains a trigger and is none.
    Pseudo,
    /// Nothing reaches beyond it.
    End,
}

impl Role {
    fn says(self) -> Assertion {
        match self {
            Role::DeniesNext | Role::DeniesLast => Assertion::Negated,
            _ => Assertion::Uncertain,
        }
    }
}

/// The triggers of one language, compiled.
pub struct Sentences {
    language: Language,
    /// Of each phrase; one may deny or doubt on both its sides.
    roles: Vec<Vec<Role>>,
    matcher: AhoCorasick,
}

/// A text whose triggers are known.
pub struct Reading<'a> {
    text: &'a str,
    language: Language,
    triggers: Vec<(Range<usize>, Role)>,
}

impl Sentences {
    /// Compiles the triggers.
    ///
    /// # Errors
    /// A list that is too large: a bug.
    pub fn new(language: Language) -> Result<Sentences, Error> {
        let table = match language {
            Language::En => en::TRIGGERS,
            Language::Zh => zh::TRIGGERS,
        };
        let mut by_phrase = BTreeMap::<&str, Vec<Role>>::new();
        for (role, phrases) in table {
            for phrase in *phrases {
                by_phrase.entry(phrase).or_default().push(*role);
            }
        }
        // A reader that comes from a term before it must meet what is said of that term first.
        by_phrase
            .values_mut()
            .for_each(|roles| roles.sort_by_key(|role| matches!(role, Role::DeniesNext | Role::DoubtsNext)));
        let (phrases, roles): (Vec<&str>, Vec<Vec<Role>>) = by_phrase.into_iter().unzip();
        let matcher = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .build(phrases);
        let matcher = matcher.map_err(|e| Error::new(Status::Internal, format!("triggers: {e}")))?;
        Ok(Sentences {
            language,
            roles,
            matcher,
        })
    }

    /// Finds the triggers of a text, once for all its terms.
    pub fn read<'a>(&self, text: &'a str) -> Reading<'a> {
        let mut triggers = Vec::new();
        let mut at = 0;
        while let Some(hit) = self.matcher.find(Input::new(text).span(at..text.len())) {
            let roles = &self.roles[hit.pattern().as_usize()];
            if self.language == Language::Zh || stands_alone(text, hit.range()) {
                at = hit.end();
                triggers.extend(roles.iter().map(|role| (hit.range(), *role)));
            } else {
                at = hit.start() + text[hit.start()..].chars().next().map_or(1, char::len_utf8);
            }
        }
        Reading {
            text,
            language: self.language,
            triggers,
        }
    }
}

/// Whether an English trigger is not part of a word; a full stop ends a sentence only before white space.
fn stands_alone(text: &str, range: Range<usize>) -> bool {
    let (before, after) = (
        text[..range.start].chars().next_back(),
        text[range.end..].chars().next(),
    );
    match &text[range] {
        "." | "?" | "!" | ":" => after.is_none_or(char::is_whitespace),
        "\n" => after.is_none_or(|c| !c.is_lowercase()),
        ";" => true,
        _ => {
            let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '-');
            !word(before) && !word(after)
        }
    }
}

impl Reading<'_> {
    /// How the term at this range stands. Triggers inside the term do not count: a name may hold one.
    pub fn assertion(&self, term: &Range<usize>) -> Assertion {
        let first_after = self.triggers.partition_point(|(t, _)| t.start < term.end);
        let last_before = self.triggers.partition_point(|(t, _)| t.end <= term.start);
        let mut after = None;
        for (range, role) in &self.triggers[first_after..] {
            let gap = self.gap(term.end..range.start);
            if *role == Role::End || gap > self.window(false) {
                break;
            }
            if matches!(role, Role::DeniesLast | Role::DoubtsLast) {
                after = Some(role.says());
                break;
            }
            // A trigger that begins a new statement ends the reach of what comes later.
            if matches!(role, Role::DeniesNext | Role::DoubtsNext) {
                break;
            }
        }
        let mut before = None;
        for (range, role) in self.triggers[..last_before].iter().rev() {
            let gap = self.gap(range.end..term.start);
            if *role == Role::End || gap > self.window(true) {
                break;
            }
            if matches!(role, Role::DeniesNext | Role::DoubtsNext) {
                before = Some((role.says(), gap));
                break;
            }
        }
        let asked = self.text[term.end..].starts_with(['?', '？']);
        match (after, before) {
            (Some(Assertion::Negated), _) => Assertion::Negated,
            (_, Some((says, 0))) => says,
            (Some(says), _) | (None, Some((says, _))) => says,
            (None, None) if asked => Assertion::Uncertain,
            (None, None) => Assertion::Affirmed,
        }
    }

    /// Words, in Chinese characters, between a trigger and a term.
    fn gap(&self, range: Range<usize>) -> usize {
        let between = &self.text[range];
        match self.language {
            Language::En => between
                .split_whitespace()
                .filter(|w| w.contains(char::is_alphanumeric))
                .count(),
            Language::Zh => between.chars().filter(|c| c.is_alphanumeric()).count(),
        }
    }

    fn window(&self, before: bool) -> usize {
        match (self.language, before) {
            (Language::En, true) => en::WINDOW,
            (Language::En, false) => en::WINDOW_AFTER,
            (Language::Zh, true) => zh::WINDOW,
            (Language::Zh, false) => zh::WINDOW_AFTER,
        }
    }
}

#[cfg(test)]
mod tests;
