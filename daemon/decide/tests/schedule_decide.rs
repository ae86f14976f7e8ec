//! The decision to start: each rule by example.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use std::time::Duration;
use wengu_decide::schedule::{
    CronExpr, Decision, DomainState, INTAKE_PATIENCE, Mark, MarkReason, QuietHours, Reason, ScheduleConfig, WhyNot,
    backoff, decide, quiet_all_day,
};

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// Nightly at two in Berlin, fifty examples, no work from eight to six.
fn nightly() -> ScheduleConfig {
    ScheduleConfig {
        cron: Some(CronExpr::parse("0 2 * * *").unwrap()),
        timezone: Tz::Europe__Berlin,
        min_new_examples: 50,
        max_staleness: None,
        quiet_hours: vec![QuietHours::parse("08:00-18:00").unwrap()],
    }
}

fn by_threshold() -> ScheduleConfig {
    ScheduleConfig {
        cron: None,
        quiet_hours: Vec::new(),
        ..nightly()
    }
}

/// A state with `examples`, whose occurrences are used up to `marked`.
fn state(config: &ScheduleConfig, examples: u64, marked: &str) -> DomainState {
    DomainState {
        new_examples: examples,
        oldest_new_at: (examples > 0).then(|| at(marked)),
        mark: Some(Mark {
            at: at(marked),
            schedule: config.occurrences(),
        }),
        ..DomainState::default()
    }
}

fn start(now: &str, reason: Reason, config: &ScheduleConfig) -> Decision {
    Decision::Start {
        reason,
        mark: Mark {
            at: at(now),
            schedule: config.occurrences(),
        },
    }
}

fn wait(until: Option<&str>, why: WhyNot) -> Decision {
    Decision::Wait {
        until: until.map(at),
        why,
    }
}

fn mark(now: &str, why: MarkReason, config: &ScheduleConfig) -> Decision {
    Decision::Mark {
        why,
        mark: Mark {
            at: at(now),
            schedule: config.occurrences(),
        },
    }
}

#[test]
fn at_the_time_with_enough() {
    let config = nightly();
    let state = state(&config, 50, "2026-11-22T02:00:00+01:00");
    let early = "2026-11-23T01:59:59+01:00";
    assert_eq!(
        decide(at(early), &config, &state),
        wait(Some("2026-11-23T02:00:00+01:00"), WhyNot::NotDueYet)
    );
    let due = "2026-11-23T02:00:00+01:00";
    assert_eq!(decide(at(due), &config, &state), start(due, Reason::Cron, &config));
}

#[test]
fn an_occurrence_that_found_too_little_is_used_up() {
    let config = nightly();
    let mut state = state(&config, 49, "2026-11-22T02:00:00+01:00");
    let due = "2026-11-23T02:00:00+01:00";
    let too_few = MarkReason::TooFewExamples { have: 49, need: 50 };
    assert_eq!(decide(at(due), &config, &state), mark(due, too_few, &config));
    state.mark = Some(Mark {
        at: at(due),
        schedule: config.occurrences(),
    });
    // The fiftieth comes later in the night: not before the next occurrence.
    state.new_examples = 50;
    let later = decide(at("2026-11-23T03:00:00+01:00"), &config, &state);
    assert_eq!(later, wait(Some("2026-11-24T02:00:00+01:00"), WhyNot::NotDueYet));
}

#[test]
fn missed_times_are_made_up_once() {
    let config = nightly();
    let mut state = state(&config, 60, "2026-11-20T02:00:00+01:00");
    let back = "2026-11-23T06:30:00+01:00";
    let decision = decide(at(back), &config, &state);
    assert_eq!(decision, start(back, Reason::Missed, &config));
    state.mark = Some(Mark {
        at: at(back),
        schedule: config.occurrences(),
    });
    let then = decide(at(back), &config, &state);
    assert_eq!(then, wait(Some("2026-11-24T02:00:00+01:00"), WhyNot::NotDueYet));
}

#[test]
fn a_time_missed_more_than_a_week_ago_is_not_made_up() {
    let config = ScheduleConfig {
        cron: Some(CronExpr::parse("0 2 1 * *").unwrap()),
        ..nightly()
    };
    let state = state(&config, 60, "2026-10-20T02:00:00+02:00");
    assert_eq!(
        decide(at("2026-11-07T20:00:00+01:00"), &config, &state),
        start("2026-11-07T20:00:00+01:00", Reason::Missed, &config)
    );
    let late = decide(at("2026-11-09T20:00:00+01:00"), &config, &state);
    assert_eq!(late, wait(Some("2026-12-01T02:00:00+01:00"), WhyNot::NotDueYet));
}

#[test]
fn a_new_or_changed_schedule_has_no_past() {
    let now = "2026-11-23T07:00:00+01:00";
    let config = nightly();
    let fresh = DomainState {
        mark: None,
        ..state(&config, 60, now)
    };
    assert_eq!(
        decide(at(now), &config, &fresh),
        mark(now, MarkReason::NewSchedule, &config)
    );
    let of_another = state(&config, 60, "2026-11-20T02:00:00+01:00");
    let elsewhere = ScheduleConfig {
        timezone: Tz::Asia__Shanghai,
        ..nightly()
    };
    let sooner = ScheduleConfig {
        cron: Some(CronExpr::parse("0 3 * * *").unwrap()),
        ..nightly()
    };
    for changed in [elsewhere, sooner] {
        assert_eq!(
            decide(at(now), &changed, &of_another),
            mark(now, MarkReason::NewSchedule, &changed)
        );
    }
}

#[test]
fn quiet_hours_put_off_what_is_due() {
    let config = nightly();
    let state = state(&config, 60, "2026-11-20T02:00:00+01:00");
    let working = decide(at("2026-11-23T08:00:00+01:00"), &config, &state);
    assert_eq!(working, wait(Some("2026-11-23T18:00:00+01:00"), WhyNot::QuietHours));
    let evening = "2026-11-23T18:00:00+01:00";
    assert_eq!(
        decide(at(evening), &config, &state),
        start(evening, Reason::Missed, &config)
    );
}

#[test]
fn who_asks_is_served_at_once_if_there_is_anything_to_learn() {
    let config = nightly();
    let now = "2026-11-23T10:00:00+01:00";
    let asked = DomainState {
        asked_now: true,
        failures_in_a_row: 3,
        last_failure_at: Some(at(now)),
        intake_busy_since: Some(at(now)),
        ..state(&config, 1, now)
    };
    assert_eq!(decide(at(now), &config, &asked), start(now, Reason::Asked, &config));
    let nothing = DomainState {
        new_examples: 0,
        oldest_new_at: None,
        ..asked.clone()
    };
    let next = Some("2026-11-24T02:00:00+01:00");
    assert_eq!(decide(at(now), &config, &nothing), wait(next, WhyNot::NoNewExamples));
    let busy = DomainState { running: true, ..asked };
    assert_eq!(decide(at(now), &config, &busy), wait(None, WhyNot::Running));
}

#[test]
fn without_cron_the_number_decides() {
    let config = by_threshold();
    let now = "2026-11-23T10:00:00+01:00";
    let too_few = WhyNot::TooFewExamples { have: 49, need: 50 };
    assert_eq!(decide(at(now), &config, &state(&config, 49, now)), wait(None, too_few));
    assert_eq!(
        decide(at(now), &config, &state(&config, 50, now)),
        start(now, Reason::Threshold, &config)
    );
    let unmarked = DomainState {
        mark: None,
        ..state(&config, 50, now)
    };
    assert_eq!(
        decide(at(now), &config, &unmarked),
        start(now, Reason::Threshold, &config)
    );
    let zero = ScheduleConfig {
        min_new_examples: 0,
        ..by_threshold()
    };
    assert_eq!(
        decide(at(now), &zero, &state(&zero, 0, now)),
        wait(None, WhyNot::NoNewExamples)
    );
}

#[test]
fn a_few_examples_wait_only_so_long() {
    let day = Duration::from_secs(24 * 3600);
    for config in [
        by_threshold(),
        ScheduleConfig {
            quiet_hours: Vec::new(),
            ..nightly()
        },
    ] {
        let config = ScheduleConfig {
            max_staleness: Some(day),
            ..config
        };
        let came = "2026-11-23T10:00:00+01:00";
        let mut state = state(&config, 1, "2026-11-24T03:00:00+01:00");
        state.oldest_new_at = Some(at(came));
        let before = decide(at("2026-11-24T09:59:59+01:00"), &config, &state);
        let too_few = WhyNot::TooFewExamples { have: 1, need: 50 };
        assert_eq!(before, wait(Some("2026-11-24T10:00:00+01:00"), too_few));
        let now = "2026-11-24T10:00:00+01:00";
        assert_eq!(decide(at(now), &config, &state), start(now, Reason::Stale, &config));
    }
}

#[test]
fn a_delivery_is_learned_as_a_whole() {
    let config = by_threshold();
    let mut state = state(&config, 50, "2026-11-23T10:00:00Z");
    state.intake_busy_since = Some(at("2026-11-23T10:00:00Z"));
    let during = decide(at("2026-11-23T10:09:59Z"), &config, &state);
    assert_eq!(during, wait(Some("2026-11-23T10:10:00Z"), WhyNot::IntakeBusy));
    let patience_over = "2026-11-23T10:10:00Z";
    assert_eq!(
        decide(at(patience_over), &config, &state),
        start(patience_over, Reason::Threshold, &config)
    );
    assert_eq!(at(patience_over) - at("2026-11-23T10:00:00Z"), INTAKE_PATIENCE);
}

#[test]
fn pauses_after_failures_double_up_to_an_hour() {
    let minutes: Vec<i64> = (0..10).map(|failures| backoff(failures).num_minutes()).collect();
    assert_eq!(minutes, [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert_eq!(backoff(u32::MAX).num_minutes(), 60);
    let config = by_threshold();
    let mut state = state(&config, 50, "2026-11-23T10:00:00Z");
    state.failures_in_a_row = 3;
    state.last_failure_at = Some(at("2026-11-23T10:00:00Z"));
    let soon = decide(at("2026-11-23T10:03:00Z"), &config, &state);
    assert_eq!(
        soon,
        wait(Some("2026-11-23T10:04:00Z"), WhyNot::Backoff { failures: 3 })
    );
    let then = "2026-11-23T10:04:00Z";
    assert_eq!(
        decide(at(then), &config, &state),
        start(then, Reason::Threshold, &config)
    );
}

#[test]
fn a_clock_set_back_by_a_year_stops_nothing() {
    let config = ScheduleConfig {
        max_staleness: Some(Duration::from_secs(3600)),
        ..nightly()
    };
    let mut state = state(&config, 60, "2027-11-23T02:00:00+01:00");
    state.failures_in_a_row = 9;
    state.last_failure_at = Some(at("2027-11-23T02:00:00+01:00"));
    state.intake_busy_since = state.last_failure_at;
    let now = "2026-11-23T01:00:00+01:00";
    assert_eq!(
        decide(at(now), &config, &state),
        mark(now, MarkReason::ClockWentBack, &config)
    );
    state.mark = Some(Mark {
        at: at(now),
        schedule: config.occurrences(),
    });
    assert_eq!(decide(at(now), &config, &state), start(now, Reason::Stale, &config));
}

#[test]
fn a_clock_set_back_by_seconds_repeats_nothing() {
    let config = nightly();
    let state = state(&config, 60, "2026-11-23T02:00:01+01:00");
    let again = decide(at("2026-11-23T01:59:59+01:00"), &config, &state);
    assert_eq!(again, wait(Some("2026-11-24T02:00:00+01:00"), WhyNot::NotDueYet));
    let due = decide(at("2026-11-23T02:00:00+01:00"), &config, &state);
    assert_eq!(due, wait(Some("2026-11-24T02:00:00+01:00"), WhyNot::NotDueYet));
    // A start in between gives no occurrence back.
    let asked = DomainState {
        asked_now: true,
        ..state
    };
    let marked = "2026-11-23T02:00:01+01:00";
    let between = decide(at("2026-11-23T01:59:59+01:00"), &config, &asked);
    assert_eq!(between, start(marked, Reason::Asked, &config));
}

#[test]
fn spans_of_quiet() {
    let day = QuietHours::parse("08:00-18:00").unwrap();
    let night = QuietHours::parse("22:00-06:00").unwrap();
    let time = |text: &str| chrono::NaiveTime::parse_from_str(text, "%H:%M").unwrap();
    assert!(day.contains(time("08:00")) && day.contains(time("17:59")));
    assert!(!day.contains(time("18:00")) && !day.contains(time("07:59")));
    assert!(night.contains(time("23:00")) && night.contains(time("05:59")));
    assert!(!night.contains(time("06:00")) && !night.contains(time("21:59")));
    let local = |text: &str| chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
    assert_eq!(night.end_after(local("2026-11-23 23:00")), local("2026-11-24 06:00"));
    assert_eq!(night.end_after(local("2026-11-24 06:00")), local("2026-11-25 06:00"));
    assert_eq!(QuietHours::parse("9:30-24:00").unwrap().to_string(), "09:30-00:00");
    for bad in [
        "",
        "8-18",
        "08:00",
        "08:00-25:00",
        "08:60-09:00",
        "08:00-08:00",
        "-08:00-09:00",
        "08:00–18:00",
        "0:1-2:3",
    ] {
        assert!(QuietHours::parse(bad).is_err(), "{bad}");
    }
    let all = ["00:00-12:00", "12:00-24:00"].map(|span| QuietHours::parse(span).unwrap());
    assert!(quiet_all_day(&all) && !quiet_all_day(&all[..1]) && !quiet_all_day(&[]));
    let never = ScheduleConfig {
        quiet_hours: all.to_vec(),
        ..by_threshold()
    };
    let now = "2026-11-23T10:00:00Z";
    assert_eq!(
        decide(at(now), &never, &state(&never, 50, now)),
        wait(None, WhyNot::QuietHours)
    );
}

#[test]
fn touching_spans_are_one() {
    let spans = ["06:00-12:00", "11:00-14:00", "14:00-20:00"].map(|span| QuietHours::parse(span).unwrap());
    let config = ScheduleConfig {
        quiet_hours: spans.to_vec(),
        ..by_threshold()
    };
    let now = "2026-11-23T07:00:00+01:00";
    let quiet = decide(at(now), &config, &state(&config, 50, now));
    assert_eq!(quiet, wait(Some("2026-11-23T20:00:00+01:00"), WhyNot::QuietHours));
}

#[test]
fn inputs_unlike_those_before_need_a_quarter_of_the_examples_and_no_occurrence() {
    for config in [
        by_threshold(),
        ScheduleConfig {
            quiet_hours: Vec::new(),
            ..nightly()
        },
    ] {
        let now = "2026-11-24T12:00:00+01:00";
        let shifted = |examples| DomainState {
            inputs_shifted: true,
            ..state(&config, examples, "2026-11-24T03:00:00+01:00")
        };
        assert_eq!(
            decide(at(now), &config, &shifted(13)),
            start(now, Reason::InputsShifted, &config)
        );
        assert!(matches!(decide(at(now), &config, &shifted(12)), Decision::Wait { .. }));
        let calm = state(&config, 13, "2026-11-24T03:00:00+01:00");
        assert!(matches!(decide(at(now), &config, &calm), Decision::Wait { .. }));
    }
    let state = DomainState {
        inputs_shifted: true,
        ..state(&nightly(), 40, "2026-11-24T03:00:00+01:00")
    };
    let why = decide(at("2026-11-24T12:00:00+01:00"), &nightly(), &state);
    assert_eq!(why, wait(Some("2026-11-24T18:00:00+01:00"), WhyNot::QuietHours));
}
