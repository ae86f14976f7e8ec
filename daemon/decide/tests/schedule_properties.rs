//! What must hold in every state of a domain and at every instant.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use std::time::Duration;
use wengu_decide::schedule::{
    CronExpr, Decision, DomainState, Mark, MarkReason, QuietHours, Reason, ScheduleConfig, decide,
};

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// Minutes around the two changes of Berlin's clock and an ordinary week.
fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    let near = ["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2026-11-23T01:00:00Z"].map(at);
    (proptest::sample::select(near.to_vec()), -4 * 86_400..4 * 86_400_i64).prop_map(|(t, s)| t + TimeDelta::seconds(s))
}

fn config() -> impl Strategy<Value = ScheduleConfig> {
    const CRONS: [&str; 5] = ["0 2 * * *", "*/20 * * * *", "30 2,14 * * 1-5", "0 0 1 * *", "* 2 * * *"];
    const SPANS: [&str; 6] = [
        "08:00-18:00",
        "22:00-06:00",
        "01:30-02:30",
        "02:00-03:00",
        "00:00-12:00",
        "12:00-24:00",
    ];
    (
        proptest::option::weighted(0.8, proptest::sample::select(&CRONS[..])),
        proptest::sample::select(vec![Tz::UTC, Tz::Europe__Berlin, Tz::Australia__Lord_Howe]),
        0..60_u64,
        proptest::option::of(0..200_000_u64),
        proptest::sample::subsequence(&SPANS[..], 0..3),
    )
        .prop_map(|(cron, timezone, min_new_examples, stale, quiet)| ScheduleConfig {
            cron: cron.map(|text| CronExpr::parse(text).unwrap()),
            timezone,
            min_new_examples,
            max_staleness: stale.map(Duration::from_secs),
            quiet_hours: quiet.into_iter().map(|span| QuietHours::parse(span).unwrap()).collect(),
        })
}

prop_compose! {
    fn any_state(config: ScheduleConfig)(
        new_examples in 0..100_u64,
        oldest_new_at in proptest::option::of(instant()),
        mark in proptest::option::weighted(0.9, (instant(), any::<bool>())),
        running in proptest::bool::weighted(0.1),
        intake_busy_since in proptest::option::of(instant()),
        asked_now in proptest::bool::weighted(0.1),
        inputs_shifted in proptest::bool::weighted(0.2),
        failures_in_a_row in 0..12_u32,
        last_failure_at in proptest::option::of(instant()),
    ) -> DomainState {
        let schedule = |own| if own { config.occurrences() } else { "0 9 * * * UTC".into() };
        DomainState {
            new_examples, oldest_new_at, running, intake_busy_since, asked_now, inputs_shifted, failures_in_a_row, last_failure_at,
            mark: mark.map(|(at, own)| Mark { at, schedule: schedule(own) }),
        }
    }
}

fn config_and_state() -> impl Strategy<Value = (ScheduleConfig, DomainState)> {
    config().prop_flat_map(|config| (Just(config.clone()), any_state(config)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn never_while_running_and_never_for_nothing(now in instant(), (config, state) in config_and_state()) {
        if let Decision::Start { reason, mark } = decide(now, &config, &state) {
            prop_assert!(!state.running);
            prop_assert!(state.new_examples > 0);
            let few = state.new_examples < config.min_new_examples;
            prop_assert!(!few || [Reason::Asked, Reason::Stale, Reason::InputsShifted].contains(&reason));
            prop_assert!(reason != Reason::InputsShifted || 4 * state.new_examples >= config.min_new_examples);
            prop_assert_eq!(mark.schedule, config.occurrences());
            prop_assert!(mark.at >= now && mark.at <= now + TimeDelta::hours(1));
            if reason != Reason::Asked {
                let time = now.with_timezone(&config.timezone).time();
                prop_assert!(!config.quiet_hours.iter().any(|span| span.contains(time)));
            }
        }
    }

    #[test]
    fn at_the_end_of_a_wait_something_has_changed(now in instant(), (config, state) in config_and_state()) {
        let decision = decide(now, &config, &state);
        if let Decision::Wait { until: Some(until), .. } = decision {
            prop_assert!(until > now, "{until} is not after {now}");
            let then = decide(until, &config, &state);
            let later = matches!(then, Decision::Wait { until: next, .. } if next.is_none_or(|next| next > until));
            prop_assert!(later || !matches!(then, Decision::Wait { .. }), "{decision:?} then {then:?}");
        }
    }

    #[test]
    fn a_wait_is_not_too_long(now in instant(), (config, state) in config_and_state(), share in 0.0..1.0_f64) {
        if let Decision::Wait { until: Some(until), why } = decide(now, &config, &state) {
            let between = now + TimeDelta::milliseconds(((until - now).num_milliseconds() as f64 * share) as i64);
            prop_assert!(matches!(decide(between, &config, &state), Decision::Wait { .. }), "{why:?} at {between}");
        }
    }

    #[test]
    fn a_mark_is_asked_for_once(now in instant(), (config, mut state) in config_and_state()) {
        if let Decision::Mark { mark, .. } = decide(now, &config, &state) {
            state.mark = Some(mark);
            let again = matches!(decide(now, &config, &state), Decision::Mark { .. });
            prop_assert!(!again);
        }
    }

    /// A life of steps forward and back, of deliveries, runs and crashes: each occurrence is used at most once.
    #[test]
    fn one_start_for_one_occurrence(
        begin in instant(),
        (config, mut state) in config_and_state(),
        steps in proptest::collection::vec((-1800..20_000_i64, 0..40_u64, any::<bool>(), any::<bool>()), 1..60),
    ) {
        let Some(cron) = config.cron.clone() else { return Ok(()) };
        (state.mark, state.asked_now) = (None, false);
        let (mut now, mut used) = (begin, None::<DateTime<Utc>>);
        for (seconds, delivered, fails, ends) in steps {
            now += TimeDelta::seconds(seconds);
            state.new_examples += delivered;
            state.oldest_new_at = state.oldest_new_at.or((delivered > 0).then_some(now));
            state.running &= !ends;
            match decide(now, &config, &state) {
                Decision::Start { reason, mark } => {
                    if [Reason::Cron, Reason::Missed].contains(&reason) {
                        let from = used.expect("a mark comes before the first start");
                        let occurrence = cron.next_after(from, config.timezone);
                        prop_assert!(occurrence.is_some_and(|at| at <= now), "nothing due in ({from}, {now}]");
                    }
                    used = used.max(Some(mark.at));
                    state.mark = Some(mark);
                    state.running = !ends;
                    if fails {
                        state.failures_in_a_row += 1;
                        state.last_failure_at = Some(now);
                    } else {
                        state.failures_in_a_row = 0;
                        (state.new_examples, state.oldest_new_at) = (0, None);
                    }
                }
                Decision::Mark { mark, why } => {
                    // Steps back are shorter than the slack, so the clock is never said to have gone back ...
                    prop_assume!(why != MarkReason::ClockWentBack);
                    used = used.max(Some(mark.at));
                    state.mark = Some(mark);
                }
                Decision::Wait { .. } => {}
            }
        }
    }
}
