//! What people read, in their language. Ids, names and numbers only: an event holds nothing else.

mod en;
mod zh;

use crate::event::{CloudEvent, Event};
use chrono::{DateTime, Utc};
pub use wengu_protocol::events::Language;

impl Event {
    /// What it is, in a few words.
    pub fn title(&self, language: Language) -> &'static str {
        match language {
            Language::English => en::title(self),
            Language::Chinese => zh::title(self),
        }
    }

    /// The event in plain sentences.
    pub fn sentence(&self, language: Language) -> String {
        match language {
            Language::English => en::sentence(self),
            Language::Chinese => zh::sentence(self),
        }
    }
}

impl CloudEvent {
    /// As [`Event::title`]; its type where that is not known here.
    pub(crate) fn title(&self, language: Language) -> String {
        match self.event() {
            Some(event) => event.title(language).into(),
            None => self.kind.clone(),
        }
    }

    /// As [`Event::sentence`]; what there is to say of an event whose type is not known here.
    pub(crate) fn sentence(&self, language: Language) -> String {
        match (self.event(), language) {
            (Some(event), _) => event.sentence(language),
            (None, Language::English) => format!("{} about {}, of a type not known here.", self.kind, self.subject),
            (None, Language::Chinese) => format!("{}：此处未知的事件类型 {}。", self.subject, self.kind),
        }
    }
}

/// Says what is in a digest: how many events of which kinds, and how many of them are not told one by one.
pub(crate) fn counted(language: Language, kinds: &[(String, usize)], untold: usize) -> String {
    let total: usize = kinds.iter().map(|(_, n)| n).sum();
    match language {
        Language::English => {
            let kinds: Vec<String> = kinds.iter().map(|(title, n)| format!("{n} × {title}")).collect();
            let rest = match untold {
                0 => String::new(),
                n => format!(" ({n} of them not shown)"),
            };
            format!("{total} events: {}{rest}", kinds.join(", "))
        }
        Language::Chinese => {
            let kinds: Vec<String> = kinds.iter().map(|(title, n)| format!("{title} {n} 条")).collect();
            let rest = match untold {
                0 => String::new(),
                n => format!("（其中 {n} 条未列出）"),
            };
            format!("共 {total} 个事件：{}{rest}", kinds.join("、"))
        }
    }
}

/// Of a digest: its title.
pub(crate) fn several(language: Language, events: usize) -> String {
    match language {
        Language::English => format!("{events} events"),
        Language::Chinese => format!("{events} 个事件"),
    }
}

/// To the minute: people compare it with their watch.
fn minute(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// Four digits: more would look like knowledge.
fn number(value: f64) -> String {
    let digits = 3 - (value.abs().max(1e-4).log10().floor() as i32).clamp(-4, 3);
    let text = format!("{value:.*}", digits.max(0) as usize);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_have_four_digits() {
        let texts = [0.83254, 12.0, 430.0, -6.0, 0.00031, 123456.7, 0.0, 0.5, 1e-9].map(number);
        assert_eq!(
            texts,
            ["0.8325", "12", "430", "-6", "0.00031", "123457", "0", "0.5", "0"]
        );
    }
}
