//! Cron expressions against two other readings of them: a minute-by-minute oracle, and the `croner` crate.
//!
//! Where `CronExpr` and croner 4 differ on purpose:
//! - `*/2` in a day field is unrestricted, as in crontab(5); croner restricts all but a plain `*`.
//! - An hour field without `*` names hours of the day, whatever the minutes are (`*/15 2 * * *`, `0 2,14 * * *`): in
//!   the gap it comes once, after it, and in the repeated hour once. croner does so for a single hour and minute only.
//! - `L`, `W`, `#`, `?`, a sixth field and empty list elements are refused.

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};
use proptest::prelude::*;
use std::collections::BTreeSet;
use wengu_decide::schedule::CronExpr;

const ZONES: [Tz; 5] = [
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::Australia__Lord_Howe,
    Tz::Asia__Shanghai,
];

/// A field as written, and what it means, known from how it was made.
#[derive(Debug, Clone)]
struct Made {
    text: String,
    values: BTreeSet<u32>,
}

impl Made {
    fn star(&self) -> bool {
        self.text.starts_with('*')
    }
}

fn element(min: u32, max: u32) -> impl Strategy<Value = Made> {
    let number = (min..=max).prop_map(|n| Made {
        text: n.to_string(),
        values: [n].into(),
    });
    let range = (min..=max, min..=max, 1..=max).prop_map(|(a, b, step)| {
        let (first, last) = (a.min(b), a.max(b));
        let text = if step == 1 {
            format!("{first}-{last}")
        } else {
            format!("{first}-{last}/{step}")
        };
        Made {
            text,
            values: (first..=last).step_by(step as usize).collect(),
        }
    });
    prop_oneof![3 => number, 1 => range]
}

fn field(min: u32, max: u32, stars: u32) -> impl Strategy<Value = Made> {
    let star = Just(Made {
        text: "*".into(),
        values: (min..=max).collect(),
    });
    let stepped = (2..=max).prop_map(move |step| Made {
        text: format!("*/{step}"),
        values: (min..=max).step_by(step as usize).collect(),
    });
    let list = proptest::collection::vec(element(min, max), 1..4).prop_map(|elements| Made {
        text: elements.iter().map(|e| e.text.as_str()).collect::<Vec<_>>().join(","),
        values: elements.into_iter().flat_map(|e| e.values).collect(),
    });
    prop_oneof![stars => star, 1 => stepped, 3 => list]
}

#[derive(Debug, Clone)]
struct Expression {
    minute: Made,
    hour: Made,
    day: Made,
    month: Made,
    weekday: Made,
}

impl Expression {
    fn text(&self) -> String {
        [&self.minute, &self.hour, &self.day, &self.month, &self.weekday]
            .map(|made| made.text.as_str())
            .join(" ")
    }

    fn matches(&self, wall: NaiveDateTime) -> bool {
        let day = self.day.values.contains(&wall.day());
        let weekday = self.weekday.values.contains(&wall.weekday().num_days_from_sunday());
        let on_day = if self.day.star() || self.weekday.star() {
            day && weekday
        } else {
            day || weekday
        };
        self.minute.values.contains(&wall.minute())
            && self.hour.values.contains(&wall.hour())
            && self.month.values.contains(&wall.month())
            && on_day
    }

    /// Whether an occurrence falls on `at`, told from the clock on the wall a minute before and at that instant.
    fn occurs(&self, at: DateTime<Utc>, tz: Tz) -> bool {
        let wall = wall(at, tz);
        if self.hour.star() {
            return self.matches(wall);
        }
        let is_first = tz
            .from_local_datetime(&wall)
            .earliest()
            .is_some_and(|first| first == at);
        let skipped = wall - self::wall(at - TimeDelta::minutes(1), tz) - TimeDelta::minutes(1);
        let in_gap = (1..=skipped.num_minutes()).any(|back| self.matches(wall - TimeDelta::minutes(back)));
        in_gap || (is_first && self.matches(wall))
    }
}

fn expression() -> impl Strategy<Value = Expression> {
    (
        field(0, 59, 1),
        field(0, 23, 2),
        field(1, 31, 6),
        field(1, 12, 8),
        field(0, 6, 6),
    )
        .prop_map(|(minute, hour, day, month, weekday)| Expression {
            minute,
            hour,
            day,
            month,
            weekday,
        })
}

fn wall(at: DateTime<Utc>, tz: Tz) -> NaiveDateTime {
    at.with_timezone(&tz).naive_local()
}

fn zone() -> impl Strategy<Value = Tz> {
    proptest::sample::select(&ZONES[..])
}

/// Minutes from 2020 to 2040, half of them within three hours of a change of the zone's clock.
fn zone_and_minute() -> impl Strategy<Value = (Tz, DateTime<Utc>)> {
    let from = Utc.with_ymd_and_hms(2020, 1, 1, 0, 0, 0).unwrap();
    let anywhere =
        (zone(), 0..20 * 365 * 1440_i64).prop_map(move |(tz, minute)| (tz, from + TimeDelta::minutes(minute)));
    let near = (zone(), 0..40_usize, -180..180_i64).prop_map(move |(tz, change, minute)| {
        let changes = changes(tz, from);
        let at = changes.get(change % changes.len().max(1)).copied().unwrap_or(from);
        (tz, at + TimeDelta::minutes(minute))
    });
    prop_oneof![anywhere, near]
}

/// The instants of the twenty years after `from` at which the offset changes, all on half hours.
fn changes(tz: Tz, from: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let offset = |at: DateTime<Utc>| wall(at, tz) - at.naive_utc();
    let differ = |at: DateTime<Utc>, span| offset(at) != offset(at + span);
    let days = (0..20 * 365).map(|day| from + TimeDelta::days(day));
    days.filter(|&day| differ(day, TimeDelta::days(1)))
        .flat_map(|day| (0..48).map(move |half| day + TimeDelta::minutes(30 * half)))
        .filter(|&half| differ(half, TimeDelta::minutes(30)))
        .map(|half| half + TimeDelta::minutes(30))
        .collect()
}

/// Whether the offset is the same from a day before `first` to a day after `last`.
fn calm(tz: Tz, first: DateTime<Utc>, last: DateTime<Utc>) -> bool {
    let offset = |at: DateTime<Utc>| wall(at, tz) - at.naive_utc();
    (-1..=(last - first).num_days() + 2).all(|day| offset(first + TimeDelta::days(day)) == offset(first))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn agrees_with_counting_minutes(made in expression(), (tz, after) in zone_and_minute(), seconds in 0..60_i64) {
        let Ok(expr) = CronExpr::parse(&made.text()) else { return Ok(()) };
        let end = after + TimeDelta::days(3);
        let counted = (1..=3 * 1440).map(|minute| after + TimeDelta::minutes(minute)).find(|&at| made.occurs(at, tz));
        let next = expr.next_after(after, tz);
        prop_assert!(next.is_none_or(|at| at > after));
        prop_assert_eq!(next.filter(|&at| at <= end), counted, "{} in {} after {}", made.text(), tz, after);
        // Within the minute before the next occurrence nothing changes.
        if counted.is_some_and(|at| at > after + TimeDelta::seconds(seconds)) {
            prop_assert_eq!(expr.next_after(after + TimeDelta::seconds(seconds), tz), counted);
        }
    }

    #[test]
    fn agrees_with_croner(made in expression(), (tz, after) in zone_and_minute()) {
        let other = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let theirs = other.parse(&made.text()).expect("croner reads what this test makes");
        // The first deliberate difference.
        let plain = |made: &Made| made.text == "*";
        prop_assume!(!(made.day.star() || made.weekday.star()) || plain(&made.day) || plain(&made.weekday));
        let Ok(ours) = CronExpr::parse(&made.text()) else {
            // A date that no year has: they look for it until the year 5000, in vain.
            prop_assert!(theirs.find_next_occurrence(&after.with_timezone(&tz), false).is_err());
            return Ok(());
        };
        let ours = ours.next_after(after, tz).unwrap();
        let theirs_next = theirs.find_next_occurrence(&after.with_timezone(&tz), false).unwrap().to_utc();
        // The second one.
        let single = |made: &Made| !made.text.contains(['*', ',', '-']);
        let same_class = made.hour.star() || (single(&made.hour) && single(&made.minute));
        if same_class || calm(tz, after, ours.max(theirs_next)) {
            prop_assert_eq!(ours, theirs_next, "{} in {} after {}", made.text(), tz, after);
        }
    }

    #[test]
    fn parsing_never_panics(text in "[-*/,0-9A-Za-z@?#L ]{0,40}|\\PC{0,40}") {
        if let Ok(expr) = CronExpr::parse(&text) {
            prop_assert_eq!(CronExpr::parse(expr.text()).unwrap(), expr);
        }
    }
}

fn next(text: &str, tz: Tz, after: &str) -> String {
    let after: DateTime<Utc> = DateTime::parse_from_rfc3339(after).unwrap().to_utc();
    let at = CronExpr::parse(text).unwrap().next_after(after, tz).unwrap();
    at.with_timezone(&tz).to_rfc3339()
}

#[test]
fn days_and_names() {
    let tz = Tz::Asia__Shanghai;
    // 2026-11-23 is a Monday.
    assert_eq!(
        next("0 2 * * 1-5", tz, "2026-11-27T02:00:00+08:00"),
        "2026-11-30T02:00:00+08:00"
    );
    assert_eq!(
        next("0 2 * * MON-FRI", tz, "2026-11-27T02:00:00+08:00"),
        "2026-11-30T02:00:00+08:00"
    );
    assert_eq!(
        next("0 2 * * 0", tz, "2026-11-23T00:00:00+08:00"),
        "2026-11-29T02:00:00+08:00"
    );
    assert_eq!(
        next("0 2 * * 7", tz, "2026-11-23T00:00:00+08:00"),
        "2026-11-29T02:00:00+08:00"
    );
    assert_eq!(
        next("0 2 * * sat-sun", tz, "2026-11-28T02:00:00+08:00"),
        "2026-11-29T02:00:00+08:00"
    );
    assert_eq!(
        next("0 2 * dec *", tz, "2026-11-23T00:00:00+08:00"),
        "2026-12-01T02:00:00+08:00"
    );
    assert_eq!(
        next("@weekly", tz, "2026-11-23T00:00:00+08:00"),
        "2026-11-29T00:00:00+08:00"
    );
    // Either day field: the 13th or a Friday.
    assert_eq!(
        next("0 0 13 * 5", tz, "2026-11-23T00:00:00+08:00"),
        "2026-11-27T00:00:00+08:00"
    );
    assert_eq!(
        next("0 0 13 * 5", tz, "2026-12-11T00:00:00+08:00"),
        "2026-12-13T00:00:00+08:00"
    );
    assert_eq!(
        next("0 0 29 2 *", tz, "2026-11-23T00:00:00+08:00"),
        "2028-02-29T00:00:00+08:00"
    );
}

#[test]
fn the_hour_that_does_not_exist() {
    let tz = Tz::America__New_York;
    assert_eq!(
        next("30 2 * * *", tz, "2027-03-13T02:30:00-05:00"),
        "2027-03-14T03:00:00-04:00"
    );
    assert_eq!(
        next("30 2 * * *", tz, "2027-03-14T03:00:00-04:00"),
        "2027-03-15T02:30:00-04:00"
    );
    // Two times of the gap and the first one after it are one occurrence.
    assert_eq!(
        next("15,45 2 * * *", tz, "2027-03-14T03:00:00-04:00"),
        "2027-03-15T02:15:00-04:00"
    );
    assert_eq!(
        next("0 2,3 * * *", tz, "2027-03-14T03:00:00-04:00"),
        "2027-03-15T02:00:00-04:00"
    );
    assert_eq!(
        next("30 * * * *", tz, "2027-03-14T01:30:00-05:00"),
        "2027-03-14T03:30:00-04:00"
    );
}

#[test]
fn the_hour_that_comes_twice() {
    let tz = Tz::America__New_York;
    assert_eq!(
        next("30 1 * * *", tz, "2026-11-01T00:00:00-04:00"),
        "2026-11-01T01:30:00-04:00"
    );
    assert_eq!(
        next("30 1 * * *", tz, "2026-11-01T01:30:00-04:00"),
        "2026-11-02T01:30:00-05:00"
    );
    assert_eq!(
        next("30 1 * * *", tz, "2026-11-01T01:20:00-05:00"),
        "2026-11-02T01:30:00-05:00"
    );
    let half_hours = [
        "2026-11-01T00:30:00-04:00",
        "2026-11-01T01:00:00-04:00",
        "2026-11-01T01:30:00-04:00",
    ];
    let again = [
        "2026-11-01T01:00:00-05:00",
        "2026-11-01T01:30:00-05:00",
        "2026-11-01T02:00:00-05:00",
    ];
    let all: Vec<&str> = half_hours.into_iter().chain(again).collect();
    for pair in all.windows(2) {
        assert_eq!(next("*/30 * * * *", tz, pair[0]), pair[1]);
    }
}

#[test]
fn a_whole_day_that_does_not_exist() {
    // Samoa went from 29 to 31 December 2011.
    let tz = Tz::Pacific__Apia;
    assert_eq!(
        next("0 12 30 * *", tz, "2011-12-29T12:00:00-10:00"),
        "2011-12-31T00:00:00+14:00"
    );
}

#[test]
fn what_is_refused_and_how() {
    let said = |text: &str| CronExpr::parse(text).unwrap_err().to_string();
    let answers = [
        ("", "0 fields instead of five"),
        ("0 2 * *", "4 fields instead of five"),
        ("0 0 2 * * 1", "6 fields instead of five"),
        ("@noon", "`@noon` is not one of @hourly"),
        ("60 2 * * *", "minute `60`: 60 is outside 0-59"),
        ("0 24 * * *", "hour `24`: 24 is outside 0-23"),
        ("0 2 0 * *", "day of month `0`: 0 is outside 1-31"),
        ("0 2 * 13 *", "month `13`: 13 is outside 1-12"),
        ("0 2 * * 8", "day of week `8`: 8 is outside 0-7"),
        (
            "0 2 * * funday",
            "day of week `funday`: `funday` is neither a number nor a name",
        ),
        ("0 22-5 * * *", "the range `22-5` ends before it begins"),
        ("*/0 * * * *", "the step `0` is not a number from 1 on"),
        ("5/15 * * * *", "not `5/15`"),
        ("1,,2 * * * *", "an element of the list is empty"),
        ("+5 * * * *", "`+` belongs to other kinds of cron"),
        ("0 2 L * *", "`L` is neither a number nor a name"),
        ("0 2 ? * *", "`?` belongs to other kinds of cron"),
        ("0 2 30 feb *", "it never fires"),
        ("99999999999 * * * *", "neither a number"),
    ];
    for (text, words) in answers {
        assert!(said(text).contains(words), "{text}: {}", said(text));
    }
}

#[test]
fn the_end_of_the_calendar() {
    let expr = CronExpr::parse("@yearly").unwrap();
    let last = Utc.with_ymd_and_hms(2100, 1, 1, 0, 0, 0).unwrap();
    assert_eq!(expr.next_after(last - TimeDelta::days(1), Tz::UTC), Some(last));
    assert_eq!(expr.next_after(last, Tz::UTC), None);
    assert_eq!(expr.next_after(DateTime::<Utc>::MAX_UTC, Tz::UTC), None);
    assert_eq!(expr.next_after(DateTime::<Utc>::MIN_UTC, Tz::UTC).unwrap().year(), 1971);
}
