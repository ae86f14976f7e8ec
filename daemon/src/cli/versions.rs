use super::Exit;
use super::args::{PromoteArgs, RollbackArgs, VersionsAction, VersionsArgs};
use super::render::{accuracy_table, percent, points, print_flips, table};
use crate::api::client::Client;
use crate::api::types::{DomainRequest, PromoteRequest, RollbackAnswer, Status, VersionExplanation, VersionView};
use crate::clock::human;
use crate::learn::evaluator::PluginScores;
use crate::learn::scores::{BothScores, LabelSets, Scores};
use anyhow::Result;
use wengu_decide::metrics::StreamScores;
use wengu_protocol::job::AdapterStart;

pub async fn versions(client: &Client, args: VersionsArgs, json: bool) -> Result<Exit> {
    if let Some(VersionsAction::Explain { domain, id }) = args.action {
        let mut query = vec![("domain", domain.as_str())];
        query.extend(id.as_deref().map(|id| ("id", id)));
        let found: VersionExplanation = client.get("/v1/versions/explain", &query).await?;
        if json {
            println!("{}", serde_json::to_string_pretty(&found)?);
        } else {
            explain(&found);
        }
        return Ok(Exit::Success);
    }
    let domains = match args.domain {
        Some(domain) => vec![domain],
        None => client
            .get::<Status>("/v1/status", &[])
            .await?
            .domains
            .into_iter()
            .map(|d| d.name)
            .collect(),
    };
    let mut all = Vec::new();
    for domain in domains {
        let versions: Vec<VersionView> = client.get("/v1/versions", &[("domain", &domain)]).await?;
        all.push((domain, versions));
    }
    if json {
        println!(
            "{}",
            serde_json::to_string_pretty(&all.into_iter().collect::<std::collections::BTreeMap<_, _>>())?
        );
        return Ok(Exit::Success);
    }
    let mut list = table([
        "domain",
        "version",
        "made",
        "gate",
        "gate accuracy",
        "labels",
        "continues",
    ]);
    for (domain, versions) in &all {
        for v in versions {
            let serving = if v.serving { " (serving)" } else { "" };
            list.add_row([
                domain.clone(),
                format!("{}{serving}", v.id),
                human(v.created_ms),
                v.decision.clone(),
                if v.decision == "no_data" {
                    "-".into()
                } else {
                    percent(v.accuracy)
                },
                v.labels.to_string(),
                v.parent.clone().unwrap_or_else(|| "the base model".into()),
            ]);
        }
    }
    println!("{list}");
    Ok(Exit::Success)
}

fn print_plugin_scores(scores: &PluginScores) {
    let plugin = scores.plugin.rsplit_once(' ').map_or("", |(plugin, _)| plugin);
    println!("scored by {plugin} (told, never used to decide):");
    for m in &scores.metrics {
        let than = if m.higher_is_better { "more" } else { "less" };
        print!(
            "    - {} {:.3} over {} items ({than} is better)",
            m.name,
            m.challenger,
            m.items.len()
        );
        if let (Some(champion), Some(p)) = (m.champion, &m.paired) {
            let (low, high) = p.interval;
            print!(
                "; champion {champion:.3}, better by {:+.3} (95 % {low:+.3} to {high:+.3}), p of being worse {:.3}",
                p.difference, p.worse_p
            );
        }
        println!();
    }
    if let Some(refusal) = &scores.refusal {
        println!("    - {} items were refused: {refusal}", scores.refused);
    }
}

/// What the updates up to this version did to earlier deliveries.
fn print_learning(scores: &StreamScores, negative_flip_rate: Option<f64>) {
    let told = |value: Option<f64>| value.map_or("-".into(), points);
    println!("old and new work, from the first update to this version:");
    println!(
        "    - mean accuracy over all deliveries {}",
        percent(scores.average_accuracy)
    );
    println!("    - backward transfer {}", told(scores.backward_transfer));
    println!(
        "    - forward transfer, beside guessing {}",
        told(scores.forward_transfer)
    );
    println!("    - forgetting {}", told(scores.forgetting.map(|f| -f)));
    if !scores.retention_by_era.is_empty() {
        let kept = scores
            .retention_by_era
            .iter()
            .map(|kept| kept.map_or("-".into(), percent));
        let kept: Vec<String> = kept.collect();
        println!(
            "    - of what was learned of each delivery, oldest first, is kept: {}",
            kept.join(", ")
        );
    }
    if let Some(rate) = negative_flip_rate {
        println!("    - right before, wrong after: {}", percent(rate));
    }
}

/// Of texts with any number of labels.
fn print_label_sets(scores: &BothScores, sets: &LabelSets) {
    let before = scores
        .champion
        .as_ref()
        .and_then(|champion| champion.label_sets.as_ref());
    let than = |then: Option<f64>| then.map_or(String::new(), |then| format!(" (champion {then:.3})"));
    println!(
        "    - exactly the right labels {:.3}{}, micro F1 {:.3}{}",
        sets.subset_accuracy,
        than(before.map(|before| before.subset_accuracy)),
        sets.micro_f1,
        than(before.map(|before| before.micro_f1)),
    );
    if let Some(p) = &scores.worse_p {
        let (macro_f1, micro_f1) = (p.macro_f1, p.micro_f1);
        println!("    - p of being worse by chance: {macro_f1:.3} of macro F1, {micro_f1:.3} of micro F1");
    }
    for (label, of) in &sets.labels {
        let told = |share: Option<f64>| share.map_or("-".into(), |share| format!("{share:.3}"));
        let f1_before = before.and_then(|before| Some(before.labels.get(label)?.f1));
        println!(
            "    - {label}: F1 {:.3}{}, precision {}, recall {}, {} texts",
            of.f1,
            than(f1_before),
            told(of.precision),
            told(of.recall),
            of.texts
        );
    }
}

/// How its adapter came of that of the version that it continues.
fn print_adapter(e: &VersionExplanation) {
    let Some(lost) = &e.recompression else { return };
    let how = match e.adapter_start {
        AdapterStart::Orthogonal => "a new one at right angles to the one before",
        AdapterStart::Fresh | AdapterStart::Continue => "a new one beside the one before",
    };
    println!(
        "  adapter     {how}, the two made one of that rank: {:.2} % of their change lost",
        100.0 * lost.relative_error
    );
    if let Some((layer, error)) = lost.worst() {
        println!("              most in {layer}: {:.2} %", 100.0 * error);
    }
}

fn explain(e: &VersionExplanation) {
    let v = &e.version;
    println!("version {}{}", v.id, if v.serving { " (serving)" } else { "" });
    println!("  lies in     {}", e.path);
    println!("  continues   {}", v.parent.as_deref().unwrap_or("the base model"));
    println!("  base model  SHA-256 {}", e.base_sha256);
    println!(
        "  made from   {} files, {} new examples, seed {}",
        e.files, e.run.train_examples, e.seed
    );
    print_adapter(e);
    println!("  remembers   {} examples for replay", e.memory_examples);
    for plugin in &e.plugins {
        println!("  plugin      {plugin}");
    }
    println!("  labels      {}", e.labels.join(", "));
    for (reason, n) in &e.left_out {
        println!("  left out    {n}: {reason}");
    }
    println!("  gate        {}", v.decision);
    for reason in &e.run.reasons {
        println!("    - {reason}");
    }
    if !e.run.accuracy.is_empty() {
        println!("{}", accuracy_table("gate items of", &e.run.accuracy, v.run));
    }
    if let Some(s) = &e.scores {
        let before = |then: Option<f64>| then.map_or(String::new(), |then| format!(" (champion {then:.3})"));
        let further = |name: &str, of: &dyn Fn(&Scores) -> Option<f64>| match of(&s.challenger) {
            None => String::new(),
            Some(now) => format!(", {name} {now:.3}{}", before(s.champion.as_ref().and_then(of))),
        };
        println!(
            "over all gate items: macro F1 {:.3}{}{}{} (told, never used to decide)",
            s.challenger.macro_f1,
            before(s.champion.as_ref().map(|c| c.macro_f1)),
            further("calibration error", &|scores| scores.calibration_error),
            further("F1 of all spans", &|scores| scores.span_f1),
        );
        if let Some(sets) = &s.challenger.label_sets {
            print_label_sets(s, sets);
        }
    }
    if let Some(scores) = e
        .learning
        .as_ref()
        .filter(|scores| !scores.forgetting_by_era.is_empty())
    {
        print_learning(scores, e.negative_flip_rate);
    }
    if let Some(old_work) = &e.old_work {
        super::old_work::print(old_work);
    }
    if let Some(scores) = &e.plugin_scores {
        print_plugin_scores(scores);
    }
    if !e.audit.is_empty() {
        println!(
            "audit sets (reported, never used to decide):\n{}",
            accuracy_table("audit items of", &e.audit, v.run)
        );
    }
    print_flips(&e.flips);
}

pub async fn rollback(client: &Client, args: &RollbackArgs, json: bool) -> Result<Exit> {
    let request = DomainRequest {
        domain: args.domain.clone(),
        to: args.to.clone(),
        rescan: false,
    };
    let done: RollbackAnswer = client.post("/v1/rollback", &request).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&done)?);
    } else {
        println!(
            "Rolled back: {} now serves {} again instead of {}.",
            done.domain, done.to, done.from
        );
        if done.held_back_files > 0 {
            println!(
                "Set aside: {}, learned by {} alone; `wengu files --state held_back` lists what was set aside.",
                super::render::count(done.held_back_files, "file"),
                done.from
            );
        }
    }
    Ok(Exit::Success)
}

pub async fn promote(client: &Client, args: &PromoteArgs, json: bool) -> Result<Exit> {
    let request = PromoteRequest {
        domain: args.domain.clone(),
        version: args.version.clone(),
        force: args.force,
        reason: args.reason.clone(),
    };
    let done: RollbackAnswer = client.post("/v1/promote", &request).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&done)?);
    } else {
        println!(
            "{} now serves {} instead of {}, against the gate; `wengu status` says so until the gate promotes the next version.",
            done.domain, done.to, done.from
        );
    }
    Ok(Exit::Success)
}
