//! English.

use crate::event::{Event, Incident, NUMBERS_MAX, Scores};
use crate::text::{minute, number};

/// What it is, in a few words.
pub(super) fn title(event: &Event) -> &'static str {
    match event {
        Event::VersionPromoted { .. } => "a new version serves",
        Event::GateRegressed { .. } => "a worse version was refused",
        Event::GateHold { .. } => "a version was not promoted",
        Event::TrainingFailed { .. } => "training failed",
        Event::VersionRolledBack { .. } => "an earlier version serves again",
        Event::PluginQuarantined { .. } => "a plugin was stopped",
        Event::FilesQuarantined { .. } => "files were set aside",
        Event::IncidentFiring(_) => "incident",
        Event::IncidentResolved(_) => "incident resolved",
        Event::DeadLetter { .. } => "an alert was not delivered",
        Event::WebhookTest { .. } => "test",
    }
}

/// The event in plain sentences.
pub(super) fn sentence(event: &Event) -> String {
    match event {
        Event::VersionPromoted {
            domain,
            version,
            previous,
            scores,
            ..
        } => {
            let before = previous
                .as_ref()
                .map(|p| format!(" in place of {p}"))
                .unwrap_or_default();
            format!("{domain}: version {version} serves now{before}. {}", compared(scores))
        }
        Event::GateRegressed {
            domain,
            challenger,
            champion,
            scores,
            eras,
            ..
        } => {
            let on = if eras.is_empty() {
                String::new()
            } else {
                format!(" It is worse on {}.", eras.join(", "))
            };
            format!(
                "{domain}: version {challenger} is worse than {champion} and was refused; {champion} keeps serving. \
                 {}{on}",
                compared(scores)
            )
        }
        Event::GateHold {
            domain,
            challenger,
            champion,
            scores,
            decision,
            ..
        } => {
            let serving = match champion {
                Some(champion) => format!("{champion} keeps serving"),
                None => "nothing serves yet".into(),
            };
            let scores = scores.as_ref().map(|s| format!(" {}", compared(s))).unwrap_or_default();
            let why = match decision.as_str() {
                "no_data" => "there was nothing to judge it by",
                "noisy_eval" => "the version in service did not answer the same items in the same way twice",
                "eval_failed" => "its evaluation failed",
                _ => "it could not be shown to be good enough",
            };
            format!("{domain}: version {challenger} was not promoted, as {why}; {serving}.{scores}")
        }
        Event::TrainingFailed {
            domain,
            run,
            end,
            failures,
        } => {
            format!("{domain}: training run {run} ended as {end} ({failures} failed in a row). What served, serves.")
        }
        Event::VersionRolledBack {
            domain,
            from,
            to,
            automatic,
        } => {
            let who = if *automatic { "the daemon" } else { "an operator" };
            format!("{domain}: {who} went back from version {from} to {to}.")
        }
        Event::PluginQuarantined {
            plugin,
            version,
            failure,
            failures,
        } => format!(
            "Plugin {plugin} {version} failed {failures} times, last as {failure}, and is not started any more."
        ),
        Event::FilesQuarantined {
            domain, files, reasons, ..
        } => {
            let reasons: Vec<String> = reasons.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
            format!("{domain}: {files} case files were set aside ({}).", reasons.join(", "))
        }
        Event::IncidentFiring(incident) => format!(
            "{} has been failing since {}.{}",
            what(incident),
            minute(incident.since),
            numbers(incident)
        ),
        Event::IncidentResolved(incident) => format!(
            "{} is all right again; it had failed since {}.{}",
            what(incident),
            minute(incident.since),
            numbers(incident)
        ),
        Event::DeadLetter {
            endpoint,
            event,
            event_type,
            about,
            reason,
            ..
        } => format!(
            "Endpoint {endpoint} did not take {event_type} {event} about {about}, and it was given up: {reason}. \
             `wengu webhook replay {endpoint}` sends it again."
        ),
        Event::WebhookTest { endpoint } => format!("A test of endpoint {endpoint}: webhooks arrive."),
    }
}

fn what(incident: &Incident) -> String {
    match &incident.slice {
        Some(slice) => format!("{}: {} on {slice}", incident.domain, incident.metric),
        None => format!("{}: {}", incident.domain, incident.metric),
    }
}

fn numbers(incident: &Incident) -> String {
    let told = incident.numbers.iter().take(NUMBERS_MAX);
    let told: Vec<String> = told.map(|(name, value)| format!("{name} {}", number(*value))).collect();
    if told.is_empty() {
        String::new()
    } else {
        format!(" Measured: {}.", told.join(", "))
    }
}

fn compared(scores: &Scores) -> String {
    let new = format!(
        "It answers {:.1} % of {} items right",
        100.0 * scores.challenger_accuracy,
        scores.items
    );
    match scores.champion_accuracy {
        None => format!("{new}."),
        Some(champion) => format!(
            "{new}, against {:.1} %: {:+.1} points (95 % interval {:+.1} to {:+.1}).",
            100.0 * champion,
            scores.difference_points,
            scores.interval95_points.0,
            scores.interval95_points.1
        ),
    }
}
