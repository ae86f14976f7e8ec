//! Cron expressions with five fields, in local time.

use super::field::{DAY_OF_MONTH, DAY_OF_WEEK, Field, FieldError, HOUR, MINUTE, MONTH};
use super::local;
use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use cron::Schedule;
use std::fmt;
use std::str::FromStr;

/// A five-field cron expression: minute, hour, day of month, month, day of week.
///
/// As in crontab(5): names (`MON`, `JAN`), ranges, lists, steps; 0 and 7 are Sunday; if neither day field begins with
/// `*`, a day that matches either of them matches. `@hourly`, `@daily` (`@midnight`), `@weekly`, `@monthly` and
/// `@yearly` (`@annually`) are known.
///
/// # Summer time
/// An hour field that begins with `*` means "every so many hours": such an expression follows the clock on the wall,
/// skips the hour that does not exist and runs through the repeated hour twice. Any other hour field names hours of
/// the day: a time inside the gap comes once, at the first instant after it, and a repeated time comes the first time
/// only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronExpr {
    text: String,
    /// One, or two where either day field may match. They see local times written as UTC, which has no gaps.
    schedules: Vec<Schedule>,
    names_hours: bool,
}

const LAST_YEAR: i32 = 2100;

/// Why an expression was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error("{0} fields instead of five (minute, hour, day of month, month, day of week)")]
    FieldCount(usize),
    /// An unknown `@` word.
    #[error("`{0}` is not one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually")]
    UnknownAlias(String),
    /// A field that cannot be read.
    #[error("{field} `{text}`: {source}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// The field's text.
        text: String,
        /// What is wrong with it.
        source: FieldError,
    },
    /// A date that does not exist, as in `0 0 30 2 *`.
    #[error("it never fires: no such date exists")]
    NeverFires,
}

impl CronExpr {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<CronExpr, CronError> {
        let text = text.trim();
        let spelled_out = match text.strip_prefix('@') {
            Some(alias) => match alias.to_ascii_lowercase().as_str() {
                "hourly" => "0 * * * *",
                "daily" | "midnight" => "0 0 * * *",
                "weekly" => "0 0 * * 0",
                "monthly" => "0 0 1 * *",
                "yearly" | "annually" => "0 0 1 1 *",
                _ => return Err(CronError::UnknownAlias(text.to_string())),
            },
            None => text,
        };
        let fields: Vec<&str> = spelled_out.split_whitespace().collect();
        let &[minute, hour, day_of_month, month, day_of_week] = fields.as_slice() else {
            return Err(CronError::FieldCount(fields.len()));
        };
        let read = |text: &str, kind| {
            Field::parse(text, kind).map_err(|source| CronError::Field {
                field: kind.name,
                text: text.to_string(),
                source,
            })
        };
        let minute = read(minute, MINUTE)?;
        let hour = read(hour, HOUR)?;
        let day_of_month = read(day_of_month, DAY_OF_MONTH)?;
        let month = read(month, MONTH)?;
        let day_of_week = read(day_of_week, DAY_OF_WEEK)?;

        let either_day = !day_of_month.star && !day_of_week.star;
        let days = (day_of_month.list(0), day_of_week.list(1));
        let day_fields = if either_day {
            vec![(days.0.as_str(), "*"), ("*", days.1.as_str())]
        } else {
            vec![(&*days.0, &*days.1)]
        };
        let schedules = day_fields
            .into_iter()
            .map(|(of_month, of_week)| {
                let six = format!(
                    "0 {} {} {of_month} {} {of_week}",
                    minute.list(0),
                    hour.list(0),
                    month.list(0)
                );
                Schedule::from_str(&six).expect("lists of numbers in range")
            })
            .collect();
        let expr = CronExpr {
            text: text.to_string(),
            schedules,
            names_hours: !hour.star,
        };
        if expr.walls(DateTime::UNIX_EPOCH.naive_utc()).next().is_none() {
            return Err(CronError::NeverFires);
        }
        Ok(expr)
    }

    /// The text that it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first occurrence strictly later than `after`. None when the calendar of the
    /// `cron` crate ends, with the year 2100.
    pub fn next_after(&self, after: DateTime<Utc>, tz: Tz) -> Option<DateTime<Utc>> {
        if after.year() > LAST_YEAR {
            return None;
        }
        let here = local::wall(after.max(DateTime::UNIX_EPOCH), tz);
        if self.names_hours {
            // `first_instant` never falls as local time rises, so the first that is later is the next one.
            return self
                .walls(here)
                .filter_map(|wall| local::first_instant(wall, tz))
                .find(|&at| at > after);
        }
        // Every local time has a first and a last instant, nearly always the same one. Each of the two rises with
        // local time, so the next occurrence is the sooner of the next by either. Last instants that are still to come
        // begin further back by the length of the repeated span that `after` lies in.
        let repeated = match (local::earliest(here, tz), local::latest(here, tz)) {
            (Some(first), Some(last)) => last - first,
            _ => TimeDelta::zero(),
        };
        let first = self
            .walls(here)
            .filter_map(|wall| local::earliest(wall, tz))
            .find(|&at| at > after);
        let last = self
            .walls(here - repeated)
            .filter_map(|wall| local::latest(wall, tz))
            .find(|&at| at > after);
        first.into_iter().chain(last).min()
    }

    /// Matching local times strictly later than `after`, in order. Both schedules may name the same time.
    fn walls(&self, after: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> {
        let mut sources: Vec<_> = self
            .schedules
            .iter()
            .map(|schedule| schedule.after(&after.and_utc()).peekable())
            .collect();
        std::iter::from_fn(move || {
            let next = sources.iter_mut().filter_map(|source| source.peek().copied()).min()?;
            for source in &mut sources {
                source.next_if_eq(&next);
            }
            Some(next.naive_utc())
        })
    }
}

impl fmt::Display for CronExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
