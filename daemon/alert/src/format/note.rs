//! What a chat message says, before it is dressed for one chat or another.

use crate::event::{CloudEvent, Severity, Status};
use crate::text::{Language, counted, several};
use std::cmp::Reverse;

/// A heading and lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub title: String,
    pub lines: Vec<String>,
    pub tone: Tone,
}

/// What colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Bad,
    Warning,
    Good,
    Neutral,
}

impl Note {
    /// Tells `events`, as many of them as `fits` takes; a single one is cut short if it must.
    pub fn fitted(
        events: &[CloudEvent],
        language: Language,
        prefix: Option<&str>,
        fits: impl Fn(&Note) -> bool,
    ) -> Note {
        if let [event] = events {
            return one(event, language, prefix).cut(fits);
        }
        let mut ranked: Vec<&CloudEvent> = events.iter().collect();
        ranked.sort_by_key(|event| Reverse((severity(event), event.time.clone())));
        let mut shown = ranked.len();
        loop {
            let note = digest(&ranked, shown, language, prefix);
            if shown == 0 || fits(&note) {
                return note.cut(fits);
            }
            shown = (shown * 7 / 8).min(shown - 1);
        }
    }

    /// Takes characters from the end of the longest line until it fits.
    fn cut(mut self, fits: impl Fn(&Note) -> bool) -> Note {
        while !fits(&self) {
            let Some(longest) = self.lines.iter_mut().max_by_key(|line| line.chars().count()) else {
                break;
            };
            let keep = longest.chars().count() * 7 / 8;
            if keep == 0 {
                break;
            }
            *longest = longest.chars().take(keep).chain(['…']).collect();
        }
        self
    }
}

fn one(event: &CloudEvent, language: Language, prefix: Option<&str>) -> Note {
    Note {
        title: heading(&event.title(language), prefix),
        lines: vec![
            event.sentence(language),
            format!("{} · {} · {}", event.host(), event.time, event.id),
        ],
        tone: tone(event),
    }
}

fn digest(ranked: &[&CloudEvent], shown: usize, language: Language, prefix: Option<&str>) -> Note {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for event in ranked {
        let title = event.title(language);
        match kinds.iter_mut().find(|(known, _)| *known == title) {
            Some((_, n)) => *n += 1,
            None => kinds.push((title, 1)),
        }
    }
    let mut lines = vec![counted(language, &kinds, ranked.len() - shown)];
    let told = ranked[..shown].iter();
    lines.extend(told.map(|event| format!("{} {} ({})", event.time, event.sentence(language), event.id)));
    Note {
        title: heading(&several(language, ranked.len()), prefix),
        lines,
        tone: ranked.first().map_or(Tone::Neutral, |event| tone(event)),
    }
}

/// The keyword that some bots ask of every message comes first.
fn heading(title: &str, prefix: Option<&str>) -> String {
    match prefix {
        Some(prefix) => format!("{prefix} wengu: {title}"),
        None => format!("wengu: {title}"),
    }
}

fn severity(event: &CloudEvent) -> Severity {
    event.event().map_or(Severity::Warning, |event| event.severity())
}

fn tone(event: &CloudEvent) -> Tone {
    match (event.event().map(|event| event.status()), severity(event)) {
        (Some(Status::Resolved), _) => Tone::Good,
        (_, Severity::Critical | Severity::Error) => Tone::Bad,
        (_, Severity::Warning) => Tone::Warning,
        (_, Severity::Info) => Tone::Neutral,
    }
}
