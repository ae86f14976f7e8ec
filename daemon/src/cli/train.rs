use super::Exit;
use super::args::TrainArgs;
use super::render::{Progress, accuracy_table, phase_name};
use crate::api::client::Client;
use crate::api::types::{DomainRequest, RunView, TrainAnswer};
use anyhow::Result;
use std::time::Duration;
use wengu_store::records::RunState;

const POLL: Duration = Duration::from_millis(200);
/// Each time that is asked whether a delivery has come to rest stands in the log: a long one is asked about less often.
const POLL_MAX: Duration = Duration::from_secs(5);

pub async fn train(client: &Client, args: &TrainArgs, json: bool) -> Result<Exit> {
    let answer = ask(client, &args.domain, json).await?;
    if let Some(why) = &answer.nothing_to_do {
        say(json, &answer, why)?;
        return Ok(Exit::Success);
    }
    if args.no_wait {
        say(
            json,
            &answer,
            &format!("run {} was asked for; `wengu status` shows it", answer.run),
        )?;
        return Ok(Exit::Success);
    }
    let run = wait(client, &args.domain, answer.run, json).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&run)?);
    } else {
        print_run(&run);
    }
    Ok(exit_of(&run))
}

/// Asks for an update, once what lies in the watched folders has come in.
async fn ask(client: &Client, domain: &str, quiet: bool) -> Result<TrainAnswer> {
    let mut request = DomainRequest {
        domain: domain.into(),
        to: None,
        rescan: true,
    };
    let mut progress = Progress::new(quiet);
    let mut pause = POLL;
    loop {
        let answer: TrainAnswer = client.post("/v1/train", &request).await?;
        if !answer.settling {
            progress.done();
            return Ok(answer);
        }
        progress.show("waiting for the delivery to settle", 0, 1, "");
        request.rescan = false;
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(POLL_MAX);
    }
}

fn say(json: bool, answer: &TrainAnswer, text: &str) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(answer)?);
    } else {
        println!("{text}");
    }
    Ok(())
}

async fn wait(client: &Client, domain: &str, number: u64, quiet: bool) -> Result<RunView> {
    let mut progress = Progress::new(quiet);
    let query = [("domain", domain), ("run", &number.to_string())];
    loop {
        let run: Option<RunView> = client.get("/v1/run", &query).await?;
        match run {
            None => progress.show("waiting for the update to start", 0, 1, ""),
            Some(run) if matches!(run.state, RunState::Finished | RunState::Failed { .. }) => {
                progress.done();
                return Ok(run);
            }
            Some(run) => show(&mut progress, &run),
        }
        tokio::time::sleep(POLL).await;
    }
}

fn show(progress: &mut Progress, run: &RunView) {
    let stage = match run.stage.as_deref() {
        None | Some("update") => String::new(),
        Some(baseline) => format!("for comparison, {}: ", baseline.replace('_', " ")),
    };
    match &run.progress {
        None => progress.show(&format!("{stage}starting the trainer"), 0, 1, ""),
        Some(p) => {
            let loss = p.loss.map(|l| format!("loss {:.3} ", l.total)).unwrap_or_default();
            let eta = p.eta_s.map(|s| format!("{s:.0} s left")).unwrap_or_default();
            progress.show(
                &format!("{stage}{}", phase_name(p.phase)),
                p.step,
                p.total,
                &format!("{loss}{eta}"),
            );
        }
    }
}

fn exit_of(run: &RunView) -> Exit {
    match (&run.state, run.decision.as_deref()) {
        (RunState::Failed { .. }, _) => Exit::RunFailed,
        (_, Some("regressed")) => Exit::Regressed,
        (_, Some("hold" | "eval_failed" | "noisy_eval")) => Exit::Held,
        (_, Some("no_data")) if run.version.is_some() => Exit::Held,
        _ => Exit::Success,
    }
}

/// A run that has ended.
pub fn print_run(run: &RunView) {
    if let RunState::Failed { end, message } = &run.state {
        println!("Run {} failed ({end}): {message}", run.run);
        return;
    }
    let version = run.version.as_deref().unwrap_or("no version");
    let sentence = match run.decision.as_deref() {
        Some("promote") => format!("Promoted: version {version} now serves."),
        Some("hold") => format!("Held: version {version} was not promoted; what served keeps serving."),
        Some("regressed") => format!("REGRESSED: version {version} was not promoted; what served keeps serving."),
        Some("no_data") => "Nothing to learn or nothing to judge by; what served keeps serving.".into(),
        Some(other) => format!("{other}: version {version} was not promoted."),
        None => "No verdict.".into(),
    };
    println!("Run {}: {} new examples. {sentence}", run.run, run.train_examples);
    for reason in &run.reasons {
        println!("  - {reason}");
    }
    if !run.accuracy.is_empty() {
        println!("{}", accuracy_table("gate items of", &run.accuracy, run.run));
    }
}
