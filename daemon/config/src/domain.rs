//! `[domains.NAME]` with its intake and schedule.

use crate::folders::resolve;
use crate::learning::{read_gate, read_learning};
use crate::section::{Located, Section, above, choose, nearest};
use crate::sources::read_sources;
use crate::types::{Domain, Intake, Schedule};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wengu_decide::schedule::{CronExpr, QuietHours, quiet_all_day};
use wengu_decide::serving::{Server, ServerKind};
use wengu_protocol::job::{DEFAULT_THRESHOLD, Task};

/// A domain and what has to be compared with the rest of the file.
pub(crate) struct ReadDomain {
    pub domain: Domain,
    pub watch: Vec<Located<PathBuf>>,
    pub model: Option<Located<String>>,
}

pub(crate) fn read_domain(name: &str, mut section: Section<'_>, base: &Path) -> ReadDomain {
    let report = section.report;
    let watch: Vec<_> = match section.strings("watch") {
        Some(folders) => folders
            .into_iter()
            .map(|folder| resolve(report, base, folder))
            .collect(),
        None => Vec::new(),
    };
    let nothing_wrong = !report
        .problems
        .borrow()
        .iter()
        .any(|problem| problem.key == section.at("watch").key);
    if watch.is_empty() && nothing_wrong {
        let message = if section.is_set("watch") {
            "names no folder"
        } else {
            "is missing"
        };
        let remedy = "name the folders that case files are dropped into, as in `watch = [\"/srv/cases\"]`";
        report.error(&section.at("watch"), message, remedy);
    }
    let model = section.required_string("model", "name one of the `[models.NAME]` tables");
    let plugin = section.string("plugin");
    if let Some(plugin) = &plugin
        && !plugin
            .value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    {
        let message = format!("`{}` is not a plugin's id", plugin.value);
        let remedy = "install the plugin with `wengu plugin install` and name its id, as in \"legal-en\"";
        report.error(&plugin.place, message, remedy);
    }
    let task = section.choice(
        "task",
        &[
            ("sequence_classification", Task::SequenceClassification),
            ("multi_label_classification", Task::MultiLabelClassification),
            ("token_classification", Task::TokenClassification),
            ("causal_lm", Task::CausalLm),
        ],
    );
    let several = task == Task::MultiLabelClassification;
    if !several && section.is_set("label_threshold") {
        let message = "only a text with any number of labels has labels that apply from a probability on";
        let remedy = "leave it out, or set `task = \"multi_label_classification\"`";
        section.report.error(&section.at("label_threshold"), message, remedy);
    }
    let label_threshold = section.number("label_threshold", above(0.0..1.0), DEFAULT_THRESHOLD);
    let is_served = section.is_set("serve");
    let serve = Some(section.table("serve")).filter(|_| is_served).and_then(read_serve);
    let domain = Domain {
        name: name.to_string(),
        watch: watch.iter().map(|folder| folder.value.clone()).collect(),
        plugin: plugin.map(|plugin| plugin.value),
        plugin_config: section.json_table("plugin_config"),
        model: model.as_ref().map_or_else(String::new, |model| model.value.clone()),
        task,
        label_threshold,
        serve,
        intake: read_intake(section.table("intake"), several),
        schedule: read_schedule(section.table("schedule")),
        learning: read_learning(section.table("learning"), task),
        gate: read_gate(section.table("gate"), task),
        sources: read_sources(section.table("sources")),
    };
    section.finish();
    ReadDomain { domain, watch, model }
}

/// None where it does not say which server.
fn read_serve(mut section: Section<'_>) -> Option<Server> {
    let kinds = [
        ("vllm", ServerKind::Vllm),
        ("sglang", ServerKind::Sglang),
        ("mistral.rs", ServerKind::MistralRs),
        ("tensorrt-llm", ServerKind::TensorrtLlm),
    ];
    let kind = section.required_string("kind", "name the server, as in `serve = { kind = \"vllm\" }`");
    let rank = section.optional_integer("max_lora_rank", 1..=4096, 16);
    let kind = kind.and_then(|kind| choose(section.report, &kind, &kinds));
    section.finish();
    let max_lora_rank = rank.and_then(|rank| u32::try_from(rank).ok());
    Some(Server {
        kind: kind?,
        max_lora_rank,
    })
}

fn read_intake(mut section: Section<'_>, several: bool) -> Intake {
    let report = section.report;
    let field = |text: Option<Located<String>>, default: &str| text.map_or(default.to_string(), |text| text.value);
    let encoding = section.string("encoding");
    if let Some(label) = &encoding
        && encoding_rs::Encoding::for_label_no_replacement(label.value.as_bytes()).is_none()
    {
        let message = format!("\"{}\" is not an encoding that is known", label.value);
        let remedy = "use a label of the WHATWG standard, as in \"gb18030\", \"gbk\", \"big5\", \"windows-1252\"";
        report.error(&label.place, message, remedy);
    }
    let separator = section.string("label_separator");
    if let Some(separator) = &separator
        && (!several || separator.value.trim().is_empty())
    {
        let message = "it stands between the labels of a text that may have several";
        let remedy = "leave it out, or set `task = \"multi_label_classification\"` and write it as in \"|\"";
        report.error(&separator.place, message, remedy);
    }
    let marker = section.string("marker");
    if let Some(marker) = &marker
        && (!marker.value.starts_with('.') || marker.value.contains('/') || marker.value.trim_matches('.').is_empty())
    {
        let message = format!(
            "`{}` would be taken for a case file, or is no name of a file",
            marker.value
        );
        let remedy = "write a name that begins with a dot, as in `marker = \".wengu-here\"`, and make that file in every watched folder";
        report.error(&marker.place, message, remedy);
    }
    let marker = marker.map(|marker| marker.value);
    let intake = Intake {
        text_field: field(section.string("text_field"), "text"),
        label_field: field(section.string("label_field"), "label"),
        label_separator: field(separator, ";"),
        case_field: section.string("case_field").map(|field| field.value),
        settle: Duration::from_millis(section.integer("settle_ms", 0..=3_600_000, 2000)),
        rescan: Duration::from_secs(section.integer("rescan_s", 1..=86_400, 300)),
        marker,
        max_file_bytes: section.integer("max_file_mib", 1..=4096, 64) << 20,
        encoding: encoding.map(|label| label.value),
        min_confidence: section.number("min_confidence", 0.0..=1.0, 0.6),
    };
    if intake.text_field == intake.label_field {
        let message = format!("`{}` cannot hold both the text and the label", intake.text_field);
        report.error(&section.at("label_field"), message, "name two fields");
    }
    section.finish();
    intake
}

fn read_schedule(mut section: Section<'_>) -> Schedule {
    let report = section.report;
    let cron_text = section.string("cron");
    let cron = cron_text.as_ref().and_then(|text| {
        let read = CronExpr::parse(&text.value);
        if let Err(error) = &read {
            let remedy = "write minute, hour, day of month, month, day of week, as in \"0 2 * * 1-5\"";
            report.error(&text.place, format!("\"{}\": {error}", text.value), remedy);
        }
        read.ok()
    });
    let timezone = section.string("timezone").map_or(Tz::UTC, |name| {
        name.value.parse().unwrap_or_else(|_| {
            let remedy = match nearest(&name.value, TZ_VARIANTS.iter().map(|zone| zone.name())) {
                Some(zone) => format!("did you mean \"{zone}\"?"),
                None => "use a name of the IANA time zone database, as in \"Asia/Shanghai\"".to_string(),
            };
            report.error(&name.place, format!("\"{}\" is not a time zone", name.value), remedy);
            Tz::UTC
        })
    });
    let mut quiet_hours = Vec::new();
    for span in section.strings("quiet_hours").unwrap_or_default() {
        match QuietHours::parse(&span.value) {
            Ok(hours) => quiet_hours.push(hours),
            Err(error) => report.error(
                &span.place,
                error.to_string(),
                "write a span of local time, as in \"08:00-18:00\"",
            ),
        }
    }
    if quiet_all_day(&quiet_hours) {
        let remedy = "leave some time of the day for learning";
        report.error(
            &section.at("quiet_hours"),
            "the quiet hours cover the whole day",
            remedy,
        );
    } else if cron
        .as_ref()
        .is_some_and(|cron| always_quiet(cron, timezone, &quiet_hours))
    {
        let message = "every time of this expression lies in the quiet hours: runs wait for their end";
        report.warning(
            &section.at("cron"),
            message,
            "set `cron` to times outside `quiet_hours`",
        );
    }
    let hours = section.optional_integer("max_staleness_hours", 1..=87_600, 72);
    let schedule = Schedule {
        cron,
        timezone,
        min_new_examples: section.integer("min_new_examples", 1..=1_000_000_000, 50),
        max_staleness: hours.map(|hours| Duration::from_secs(hours * 3600)),
        quiet_hours,
    };
    section.finish();
    schedule
}

/// Looks at a year of occurrences, 400 at most. The year itself does not matter.
fn always_quiet(cron: &CronExpr, timezone: Tz, quiet_hours: &[QuietHours]) -> bool {
    let from = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(366 * 60);
    let occurrences = std::iter::successors(cron.next_after(from, timezone), |&at| cron.next_after(at, timezone));
    let is_quiet = |at: DateTime<Utc>| {
        let time = at.with_timezone(&timezone).time();
        quiet_hours.iter().any(|span| span.contains(time))
    };
    occurrences
        .take_while(|&at| at < from + TimeDelta::days(366))
        .take(400)
        .all(is_quiet)
}
