//! Incidents: the way of one, and what holds for every sequence of findings.

use proptest::prelude::*;
use wengu_decide::incident::{Evidence, Incident, IncidentEvent, IncidentRules, Labels, Matcher, Phase, Silence};

const HOUR_MS: i64 = 60 * 60 * 1000;

fn labels() -> Labels {
    Labels {
        domain: "contracts".into(),
        slice: "label=lease".into(),
        metric: "gate".into(),
    }
}

/// What is told at each step; the hours are since the beginning.
fn told(steps: &[(i64, Evidence)], silences: &[Silence]) -> Vec<Option<IncidentEvent>> {
    let mut incident = Incident::default();
    let step = |&(hour, evidence): &(i64, Evidence)| {
        let (next, event) = incident.advance(&IncidentRules::default(), &labels(), silences, evidence, hour * HOUR_MS);
        incident = next;
        event
    };
    steps.iter().map(step).collect()
}

fn silence(from_hour: i64, until_hour: i64) -> Silence {
    Silence {
        matcher: Matcher {
            domain: Some("contracts".into()),
            ..Matcher::default()
        },
        from_ms: from_hour * HOUR_MS,
        until_ms: until_hour * HOUR_MS,
        reason: "the archive is being moved".into(),
    }
}

use Evidence::{Clear, Confirmed, Promoted, Suspected, Time};
use IncidentEvent::{Firing, Repeat, Resolved};

#[test]
fn a_suspicion_alone_is_never_told() {
    assert_eq!(
        told(
            &[
                (0, Suspected),
                (24, Suspected),
                (48, Clear),
                (72, Suspected),
                (96, Promoted)
            ],
            &[]
        ),
        [None; 5]
    );
}

#[test]
fn an_incident_fires_repeats_and_resolves_after_a_promotion() {
    let steps = [
        (0, Suspected),
        (24, Confirmed),
        (30, Confirmed),
        (48, Confirmed),
        (72, Promoted),
        (73, Time),
    ];
    assert_eq!(
        told(&steps, &[]),
        [None, Some(Firing), None, Some(Repeat), Some(Resolved), None]
    );
}

#[test]
fn two_clear_comparisons_resolve_it_and_one_does_not() {
    let steps = [(0, Confirmed), (24, Clear), (48, Confirmed), (72, Clear), (96, Clear)];
    assert_eq!(
        told(&steps, &[]),
        [Some(Firing), None, Some(Repeat), None, Some(Resolved)]
    );
    // Something suspect in between is no all-clear.
    let steps = [(0, Confirmed), (24, Clear), (48, Suspected), (72, Clear), (96, Clear)];
    assert_eq!(told(&steps, &[]), [Some(Firing), None, None, None, Some(Resolved)]);
}

#[test]
fn it_stays_open_for_its_time_and_then_resolves_by_itself() {
    let steps = [(0, Confirmed), (1, Promoted), (23, Time), (24, Time)];
    assert_eq!(told(&steps, &[]), [Some(Firing), None, None, Some(Resolved)]);
    // Found again before that, it goes on.
    let steps = [(0, Confirmed), (1, Promoted), (2, Confirmed), (24, Time), (30, Time)];
    assert_eq!(told(&steps, &[]), [Some(Firing), None, None, None, None]);
    let (incident, _) = Incident::default().advance(&IncidentRules::default(), &labels(), &[], Confirmed, 5);
    assert_eq!(incident.wakes_ms(&IncidentRules::default()), None);
    let (incident, _) = incident.advance(&IncidentRules::default(), &labels(), &[], Promoted, 6);
    assert_eq!(incident.wakes_ms(&IncidentRules::default()), Some(5 + 24 * HOUR_MS));
}

#[test]
fn what_is_still_open_when_a_silence_ends_is_told_then() {
    let steps = [(1, Confirmed), (5, Confirmed), (10, Time), (35, Promoted)];
    assert_eq!(
        told(&steps, &[silence(0, 10)]),
        [None, None, Some(Firing), Some(Resolved)]
    );
    // Nobody heard of it, so nobody has to hear of its end.
    let steps = [(1, Confirmed), (30, Promoted), (50, Time)];
    assert_eq!(told(&steps, &[silence(0, 29)]), [None, None, None]);
    // Who heard of it hears of its end.
    let steps = [(1, Confirmed), (20, Promoted), (26, Time), (60, Confirmed)];
    assert_eq!(
        told(&steps, &[silence(10, 50)]),
        [Some(Firing), None, Some(Resolved), Some(Firing)]
    );
    // A maintenance window later, and one of another domain.
    let mut other = silence(0, 100);
    other.matcher.domain = Some("leaflets".into());
    let steps = [(1, Confirmed), (30, Confirmed), (60, Confirmed)];
    assert_eq!(
        told(&steps, &[silence(20, 40), other]),
        [Some(Firing), None, Some(Repeat)]
    );
}

#[test]
fn fingerprints_never_change_and_labels_do_not_run_into_each_other() {
    assert_eq!(labels().fingerprint(), "4de8c188c70bb85e3e49b0e97ab3ebb0");
    let moved = Labels {
        domain: "contractsl".into(),
        slice: "abel=lease".into(),
        metric: "gate".into(),
    };
    assert_ne!(moved.fingerprint(), labels().fingerprint());
    assert_eq!(moved.fingerprint().len(), 32);
}

fn evidence() -> impl Strategy<Value = Evidence> {
    prop_oneof![
        Just(Suspected),
        Just(Confirmed),
        Just(Clear),
        Just(Promoted),
        Just(Time)
    ]
}

fn steps() -> impl Strategy<Value = Vec<(i64, Evidence)>> {
    // Mostly forwards, now and then backwards.
    prop::collection::vec((-3i64..40, evidence()), 1..80).prop_map(|steps| {
        let mut hour = 0;
        let at = |(passed, evidence): (i64, Evidence)| {
            hour += passed;
            (hour, evidence)
        };
        steps.into_iter().map(at).collect()
    })
}

fn silences() -> impl Strategy<Value = Vec<Silence>> {
    let one = (0i64..1500, 1i64..200).prop_map(|(from, hours)| silence(from, from + hours));
    prop::collection::vec(one, 0..4)
}

proptest! {
    #[test]
    fn firing_and_resolved_take_turns_and_nothing_repeats_outside(steps in steps(), silences in silences()) {
        let mut open = false;
        for event in told(&steps, &silences).into_iter().flatten() {
            match event {
                Firing => prop_assert!(!open, "a second incident was opened"),
                Repeat | Resolved => prop_assert!(open, "{event:?} of what was never told"),
            }
            open = event != Resolved;
        }
    }

    #[test]
    fn nothing_resolves_before_its_time_or_without_a_reason(steps in steps(), silences in silences()) {
        let rules = IncidentRules::default();
        let mut incident = Incident::default();
        let (mut opened_ms, mut promoted, mut clear) = (0, false, 0);
        for (hour, evidence) in steps {
            let now_ms = hour * HOUR_MS;
            let before = incident;
            let (next, event) = before.advance(&rules, &labels(), &silences, evidence, now_ms);
            prop_assert_eq!(before.advance(&rules, &labels(), &silences, evidence, now_ms), (next, event));
            match evidence {
                Confirmed | Suspected => (promoted, clear) = (false, 0),
                Promoted => promoted = true,
                Clear => clear += 1,
                Time => {}
            }
            match (before.phase, next.phase) {
                (Phase::Firing, Phase::Firing) => prop_assert!(next.number == before.number),
                (_, Phase::Firing) => {
                    prop_assert!(evidence == Confirmed && next.number == before.number + 1);
                    opened_ms = now_ms;
                }
                (Phase::Firing, phase) => {
                    prop_assert!(phase == Phase::Ok && now_ms - opened_ms >= rules.min_open_ms);
                    prop_assert!(promoted || clear >= rules.clear_runs);
                }
                _ => prop_assert!(event.is_none()),
            }
            if silences.iter().any(|silence| silence.covers(&labels(), now_ms)) {
                prop_assert!(matches!(event, None | Some(Resolved)), "told under a silence");
            }
            incident = next;
        }
    }

    #[test]
    fn repeats_keep_their_distance(steps in steps()) {
        let hours: Vec<i64> = steps.iter().map(|(hour, _)| *hour).collect();
        let mut last = None;
        for (hour, event) in hours.into_iter().zip(told(&steps, &[])) {
            if event == Some(Repeat) {
                prop_assert!(hour - last.unwrap() >= 24);
            }
            if event.is_some() {
                last = Some(hour);
            }
        }
    }
}
