//! Local time to instants, where a local time may have none (spring) or two (autumn).

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};

/// The local time at an instant.
pub(super) fn wall(instant: DateTime<Utc>, tz: Tz) -> NaiveDateTime {
    instant.with_timezone(&tz).naive_local()
}

/// First instant of a local time. A time inside a gap gives the first instant after the gap.
pub(super) fn first_instant(local: NaiveDateTime, tz: Tz) -> Option<DateTime<Utc>> {
    match tz.from_local_datetime(&local).earliest() {
        Some(instant) => Some(instant.to_utc()),
        None => GapInfo::new(&local, &tz)?.end.map(|end| end.to_utc()),
    }
}

/// First instant of a local time; none inside a gap.
pub(super) fn earliest(local: NaiveDateTime, tz: Tz) -> Option<DateTime<Utc>> {
    tz.from_local_datetime(&local)
        .earliest()
        .map(|instant| instant.to_utc())
}

/// Last instant of a local time; none inside a gap.
pub(super) fn latest(local: NaiveDateTime, tz: Tz) -> Option<DateTime<Utc>> {
    tz.from_local_datetime(&local).latest().map(|instant| instant.to_utc())
}
