//! `[domains.NAME.learning]` and `[domains.NAME.gate]`.

use crate::adapter_start;
use crate::method::read_method;
use crate::section::{Located, Section, above, choose};
use crate::types::{Gate, Learning};
use wengu_decide::gate::{GateConfig, GateMode, Metric, RUN_ALPHA_MAX};
use wengu_decide::split::HeldOut;
use wengu_protocol::job::{self, DistillLoss, FisherEstimate, FisherForm, Method, Task};

const BASELINES: [(&str, ()); 2] = [("head_only", ()), ("plain", ())];
/// A kill costs at most so many steps.
const CHECKPOINT_STEPS: u32 = 20;
/// Keys that fitting may change, or that stand in its way.
const FITTED: [&str; 10] = [
    "learning_rate",
    "head_learning_rate",
    "batch_size",
    "rank",
    "alpha",
    "rank_pattern",
    "alpha_pattern",
    "ewc_lambda",
    "distill_temperature",
    "replay_ratio",
];
/// Training needs some of the case files too.
const HELD_OUT_PERCENT_MAX: u32 = 60;

pub(crate) fn read_learning(mut section: Section<'_>, task: Task) -> Learning {
    // Of one label each, and of one or any number.
    let (by_label, by_text) = (task == Task::SequenceClassification, task.is_by_text());
    let report = section.report;
    let small = |section: &mut Section<'_>, name, most: u32, default: u32| {
        section.integer(name, 1..=u64::from(most), u64::from(default)) as u32
    };
    let baselines = section.strings("baselines").unwrap_or_default();
    let (start, orthogonal_lambda) = adapter_start::read(&mut section);
    let learning = Learning {
        seed: section.integer("seed", 0..=i64::MAX as u64, 1),
        method: read_method(&mut section),
        max_length: small(&mut section, "max_length", 131_072, 128),
        term_tokens: section.integer("term_tokens", 0..=4096, 0) as u32,
        training: job::Learning {
            epochs: small(&mut section, "epochs", 1000, 4),
            patience: small(&mut section, "patience", 1000, 3),
            batch_size: small(&mut section, "batch_size", 4096, 16),
            accumulation: small(&mut section, "accumulation", 4096, 1),
            learning_rate: section.number("learning_rate", above(0.0..1.0), 1e-3),
            head_learning_rate: section.number("head_learning_rate", above(0.0..1.0), 1e-2),
            weight_decay: section.number("weight_decay", 0.0..=1.0, 0.01),
            warmup_fraction: section.number("warmup_fraction", 0.0..=1.0, 0.1),
            clip_norm: section.number("clip_norm", above(0.0..1e6), 1.0),
            head_dropout: section.number("head_dropout", 0.0..1.0, 0.1),
            replay_ratio: section.number("replay_ratio", 0.0..=16.0, 0.5),
            old_loss_tolerance: old_loss_tolerance(&mut section),
            stability_steps: section.integer("stability_steps", 0..=1_000_000, 0) as u32,
            distill_alpha: section.number(
                "distill_alpha",
                0.0..=100.0,
                if task == Task::CausalLm { 0.0 } else { 0.5 },
            ),
            distill_loss: section.choice(
                "distill_loss",
                &[("kl", DistillLoss::Kl), ("logits", DistillLoss::Logits)],
            ),
            distill_new_alpha: section.number("distill_new_alpha", 0.0..=100.0, if by_text { 0.5 } else { 0.0 }),
            prior_correction: section.number("prior_correction", 0.0..=10.0, if by_label { 1.0 } else { 0.0 }),
            discriminant_weight: section.number("discriminant_weight", 0.0..=10.0, if by_label { 0.3 } else { 0.0 }),
            distill_temperature: section.number("distill_temperature", above(0.0..100.0), 2.0),
            ewc_lambda: section.number("ewc_lambda", 0.0..=1e9, 100.0),
            adapter_start: start,
            orthogonal_lambda,
            fisher: section.choice(
                "fisher",
                // The exact one would go through every combination of the tokens' labels.
                &[
                    ("sampled", FisherEstimate::Sampled),
                    ("empirical", FisherEstimate::Empirical),
                    ("exact", FisherEstimate::Exact),
                ][..if by_text { 3 } else { 2 }],
            ),
            fisher_form: section.choice(
                "fisher_form",
                &[
                    ("auto", FisherForm::Auto),
                    ("diagonal", FisherForm::Diagonal),
                    ("factored", FisherForm::Factored),
                ],
            ),
            fisher_examples: section.integer("fisher_examples", 0..=1_000_000, 128) as u32,
            fisher_decay: section.number("fisher_decay", 0.0..=1.0, 1.0),
            checkpoint_steps: CHECKPOINT_STEPS,
        },
        validation_percent: section.integer("validation_percent", 0..=50, 0) as u32,
        memory_bytes: section.integer("memory_mib", 0..=65_536, 16) << 20,
        baselines: baselines.iter().map(|baseline| baseline.value.clone()).collect(),
        explicit: FITTED.into_iter().filter(|key| section.is_set(key)).collect(),
    };
    for baseline in &baselines {
        choose(report, baseline, &BASELINES);
    }
    check_learning(&section, &learning);
    check_watched(&section, &learning);
    check_task(&section, &learning, task);
    adapter_start::check(&section, &learning);
    section.finish();
    learning
}

/// Left out, the share of new examples stays as it is.
fn old_loss_tolerance(section: &mut Section<'_>) -> Option<f64> {
    let name = "old_loss_tolerance";
    let set = section.is_set(name);
    let tolerance = section.number(name, 0.0..=10.0, 0.05);
    set.then_some(tolerance)
}

/// What looks at old examples needs some that were never trained on.
fn check_watched(section: &Section<'_>, learning: &Learning) {
    let report = section.report;
    let training = &learning.training;
    let watched = [
        (
            "old_loss_tolerance",
            training.old_loss_tolerance.is_some(),
            "leave it out",
        ),
        ("stability_steps", training.stability_steps > 0, "set it to 0"),
    ];
    for (name, on, off) in watched {
        if on && learning.validation_percent == 0 {
            let message = "looks at the validation examples of earlier updates, and none are set apart";
            let remedy = format!("set `validation_percent` above 0, as in `validation_percent = 10`, or {off}");
            report.error(&section.at(name), message, remedy);
        }
    }
    if training.old_loss_tolerance.is_some() && training.replay_ratio == 0.0 {
        let message = "moves the share of replayed examples, and replay is off";
        let remedy = "set `replay_ratio` above 0, or leave it out";
        report.error(&section.at("old_loss_tolerance"), message, remedy);
    }
}

/// Settings that are fine one by one and make no sense together.
fn check_learning(section: &Section<'_>, learning: &Learning) {
    let report = section.report;
    let training = &learning.training;
    if learning.term_tokens > 0 && !matches!(learning.method, Method::Lora(_)) {
        let message = "tokens of terms are trained with the method \"lora\" only";
        report.error(
            &section.at("term_tokens"),
            message,
            "leave it out, or set `method = \"lora\"`",
        );
    }
    if training.accumulation > training.batch_size {
        let message = format!(
            "{} micro-batches of a batch of {}",
            training.accumulation, training.batch_size
        );
        report.error(
            &section.at("accumulation"),
            message,
            "set `accumulation` to `batch_size` at most",
        );
    }
    if training.distill_alpha > 0.0 && training.replay_ratio == 0.0 {
        let message = "distillation works on replayed examples, and replay is off";
        let remedy = "set `replay_ratio` above 0, or `distill_alpha = 0.0`";
        report.error(&section.at("distill_alpha"), message, remedy);
    }
    if training.replay_ratio > 0.0 && learning.memory_bytes == 0 {
        let message = "replay needs a memory, and it has no room";
        report.error(
            &section.at("memory_mib"),
            message,
            "set `memory_mib` above 0, or `replay_ratio = 0.0`",
        );
    }
    if training.ewc_lambda > 0.0 && training.fisher_examples == 0 {
        let message = "the EWC penalty needs a Fisher, and none is estimated";
        report.error(
            &section.at("fisher_examples"),
            message,
            "set `fisher_examples` above 0, or `ewc_lambda = 0.0`",
        );
    }
}

/// Settings that a task cannot have.
fn check_task(section: &Section<'_>, learning: &Learning, task: Task) {
    let report = section.report;
    if !task.is_by_text() && learning.term_tokens > 0 {
        let message = "terms have tokens of their own only where texts are classified";
        let remedy = "leave it out, or set `task = \"sequence_classification\"`";
        report.error(&section.at("term_tokens"), message, remedy);
    }
    if task != Task::SequenceClassification && learning.training.prior_correction > 0.0 {
        let message = "logits are corrected for how often labels are replayed only where a text has one label";
        report.error(&section.at("prior_correction"), message, "leave it out");
    }
    if task != Task::SequenceClassification && learning.training.discriminant_weight > 0.0 {
        let message = "a discriminant of class means is added only where a text has one label";
        report.error(&section.at("discriminant_weight"), message, "leave it out");
    }
    if task != Task::CausalLm {
        return;
    }
    if learning.training.distill_loss == DistillLoss::Logits {
        let message = "matches logits that were kept, and a causal model's are too many to be kept";
        report.error(&section.at("distill_loss"), message, "set `distill_loss = \"kl\"`");
    }
    if learning.baselines.iter().any(|baseline| baseline == "head_only") {
        let message =
            "a causal model has no head to train; its first version is judged against the base model as it is";
        report.error(&section.at("baselines"), message, "leave \"head_only\" out");
    }
}

fn texts(list: Option<Vec<Located<String>>>) -> Vec<String> {
    list.into_iter().flatten().map(|text| text.value).collect()
}

/// One name, as a folder has it: case files are found by it wherever it stands in their path.
fn folder_name(section: &Section<'_>, name: Located<String>) -> Option<String> {
    if name.value.contains('/') || name.value == "." || name.value == ".." {
        let message = format!("`{}` is a path", name.value);
        let remedy = "write the name of a folder inside the watched one, as in `checklist = \"must-not-break\"`";
        section.report.error(&name.place, message, remedy);
        return None;
    }
    Some(name.value)
}

pub(crate) fn read_gate(mut section: Section<'_>, task: Task) -> Gate {
    let percent =
        |section: &mut Section<'_>, name, least, most, default| section.integer(name, least..=most, default) as u32;
    let gate = Gate {
        held_out: HeldOut {
            gate_percent: percent(&mut section, "gate_percent", 1, 50, 20),
            reserve_percent: percent(&mut section, "reserve_percent", 0, 50, 10),
            audit_percent: percent(&mut section, "audit_percent", 0, 50, 10),
        },
        false_alarms_per_year: section.number("false_alarms_per_year", above(0.0..1000.0), 1.0),
        rules: GateConfig {
            alpha: RUN_ALPHA_MAX,
            margin_points: section.number("margin_points", above(0.0..100.0), 5.0),
            min_items: section.integer("min_items", 1..=1_000_000, 30),
            min_era_items: section.integer("min_era_items", 1..=1_000_000, 20),
            mode: section.choice(
                "mode",
                &[
                    ("require_noninferiority", GateMode::RequireNoninferiority),
                    ("promote_unless_regressed", GateMode::PromoteUnlessRegressed),
                ],
            ),
            accuracy_floor: section.number("accuracy_floor", 0.0..=1.0, 0.0),
            metric: section.choice(
                "metric",
                &[("accuracy", Metric::Accuracy), ("macro_f1", Metric::MacroF1)],
            ),
        },
        auto_rollback: section.boolean("auto_rollback", false),
        checklist: section.string("checklist").and_then(|name| folder_name(&section, name)),
        slice_fields: texts(section.strings("slice_fields")),
        slice_functions: texts(section.strings("slice_functions")),
    };
    if gate.rules.metric == Metric::MacroF1 && task != Task::SequenceClassification {
        let message = "macro_f1 is of texts with one label each, and the domain's task is another";
        section
            .report
            .error(&section.at("metric"), message, "leave `metric` out");
    }
    let shares = gate.held_out;
    let held_out = shares.gate_percent + shares.reserve_percent + shares.audit_percent;
    if held_out > HELD_OUT_PERCENT_MAX || shares.reserve_percent + shares.audit_percent > 50 {
        let message = format!("gate, reserve and audit hold out {held_out} % of the case files");
        let remedy = format!(
            "let the three add up to {HELD_OUT_PERCENT_MAX} at most, and `reserve_percent` and `audit_percent` to 50"
        );
        section.report.error(&section.at("gate_percent"), message, remedy);
    }
    section.finish();
    gate
}
