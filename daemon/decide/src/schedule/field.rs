//! The five fields of a cron expression, as numbers.
//!
//! Read here and handed to the `cron` crate as plain lists of numbers, because that crate counts Sunday as 1, wants
//! seconds, and takes forms (`5/15`) that other crons refuse or understand differently.

use std::collections::BTreeSet;

/// One of the five fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FieldKind {
    pub name: &'static str,
    min: u32,
    max: u32,
    /// Names of the values from `min` (months) or 0 (days of the week) on.
    names: &'static [&'static str],
}

pub(super) const MINUTE: FieldKind = FieldKind {
    name: "minute",
    min: 0,
    max: 59,
    names: &[],
};
pub(super) const HOUR: FieldKind = FieldKind {
    name: "hour",
    min: 0,
    max: 23,
    names: &[],
};
pub(super) const DAY_OF_MONTH: FieldKind = FieldKind {
    name: "day of month",
    min: 1,
    max: 31,
    names: &[],
};
pub(super) const MONTH: FieldKind = FieldKind {
    name: "month",
    min: 1,
    max: 12,
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
};
/// 0 and 7 are both Sunday while a field is read; afterwards only 0 is.
pub(super) const DAY_OF_WEEK: FieldKind = FieldKind {
    name: "day of week",
    min: 0,
    max: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// An empty element of a list, as in `1,,2`.
    #[error("an element of the list is empty")]
    Empty,
    /// Neither a number nor a name of this field.
    #[error("`{0}` is neither a number nor a name of this field")]
    NotAValue(String),
    /// A number that the field does not have.
    #[error("{value} is outside {min}-{max}")]
    OutOfRange {
        /// The number.
        value: u32,
        /// Smallest value of the field.
        min: u32,
        /// Largest value of the field.
        max: u32,
    },
    /// A range that ends before it begins.
    #[error("the range `{0}` ends before it begins; write it as two, as in `22-23,0-5`")]
    Backwards(String),
    /// `/0`, or a step that is no number.
    #[error("the step `{0}` is not a number from 1 on")]
    BadStep(String),
    /// `5/15`: some crons read 5, some 5-59/15.
    #[error("a step needs a range before it, as in `*/15` or `5-59/15`, not `{0}`")]
    StepWithoutRange(String),
    /// Quartz's additions.
    #[error("`{0}` belongs to other kinds of cron; only numbers, names, `*`, `-`, `,` and `/` are known here")]
    Foreign(char),
}

/// A field that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub values: BTreeSet<u32>,
    /// The text begins with `*`: what crontab(5) calls unrestricted, with or without a step.
    pub star: bool,
}

impl Field {
    pub fn parse(text: &str, kind: FieldKind) -> Result<Field, FieldError> {
        if let Some(foreign) = text.chars().find(|c| matches!(c, '?' | '#' | '+')) {
            return Err(FieldError::Foreign(foreign));
        }
        let mut values = BTreeSet::new();
        for element in text.split(',') {
            kind.element(element, &mut values)?;
        }
        if kind == DAY_OF_WEEK && values.remove(&7) {
            values.insert(0);
        }
        Ok(Field {
            values,
            star: text.starts_with('*'),
        })
    }

    /// The values as a list for the `cron` crate; `shift` is added to each.
    pub fn list(&self, shift: u32) -> String {
        let numbers: Vec<String> = self.values.iter().map(|value| (value + shift).to_string()).collect();
        numbers.join(",")
    }
}

impl FieldKind {
    fn element(self, element: &str, values: &mut BTreeSet<u32>) -> Result<(), FieldError> {
        let (range, step) = match element.split_once('/') {
            Some((range, step)) => match step.parse::<u32>() {
                Ok(number) if number > 0 && is_number(step) => (range, Some(number)),
                _ => return Err(FieldError::BadStep(step.to_string())),
            },
            None => (element, None),
        };
        let (first, last) = if range == "*" {
            // A step counts from Sunday as 0, and Sunday is not counted twice.
            (self.min, if self == DAY_OF_WEEK { 6 } else { self.max })
        } else if let Some((first, last)) = range.split_once('-') {
            let (first, last) = (self.value(first, false)?, self.value(last, true)?);
            if first > last {
                return Err(FieldError::Backwards(range.to_string()));
            }
            (first, last)
        } else if step.is_some() {
            return Err(FieldError::StepWithoutRange(element.to_string()));
        } else {
            let value = self.value(range, false)?;
            (value, value)
        };
        values.extend((first..=last).step_by(step.unwrap_or(1) as usize));
        Ok(())
    }

    /// `SUN` is 0 where a range begins and 7 where it ends, so that `SAT-SUN` is a range.
    fn value(self, text: &str, ends_range: bool) -> Result<u32, FieldError> {
        if text.is_empty() {
            return Err(FieldError::Empty);
        }
        if let Some(index) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            let value = index as u32 + self.min;
            return Ok(if self == DAY_OF_WEEK && ends_range && value == 0 {
                7
            } else {
                value
            });
        }
        let not_a_value = || FieldError::NotAValue(text.to_string());
        if !is_number(text) {
            return Err(not_a_value());
        }
        let value: u32 = text.parse().map_err(|_| not_a_value())?;
        if !(self.min..=self.max).contains(&value) {
            return Err(FieldError::OutOfRange {
                value,
                min: self.min,
                max: self.max,
            });
        }
        Ok(value)
    }
}

/// Digits only: `u32::from_str` also takes `+5`.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
