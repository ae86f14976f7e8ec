use crate::api::client::Client;
use crate::cli::Exit;
use crate::cli::render::{percent, table};
use crate::learn::votes::{About, VotingReport};
use anyhow::Result;

/// `wengu plugin functions`: asked of the daemon, which alone opens the store.
pub async fn functions(client: &Client, domain: &str, json: bool) -> Result<Exit> {
    let reports: Vec<VotingReport> = client.get("/v1/functions", &[("domain", domain)]).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&reports)?);
        return Ok(Exit::Success);
    }
    if reports.is_empty() {
        println!("no file of {domain} has been read with a plugin that votes");
    }
    for report in &reports {
        println!("{}", report.plugin);
        let (texts, voted, spans) = (report.texts, report.voted, report.spans);
        println!("{texts} texts, {voted} with a vote; {spans} spans with a vote");
        let mut list = table([
            "function",
            "votes on",
            "coverage",
            "overlap",
            "conflict",
            "estimated accuracy",
            "weight",
            "right on gold",
        ]);
        for f in &report.functions {
            let silent = f.coverage == 0.0;
            list.add_row([
                f.function.clone(),
                match f.about {
                    About::Documents => "documents".into(),
                    About::Spans => "spans".into(),
                },
                percent(f.coverage),
                percent(f.overlap),
                percent(f.conflict),
                if silent {
                    "-".into()
                } else {
                    percent(f.estimated_accuracy)
                },
                if silent { "-".into() } else { format!("{:.2}", f.weight) },
                match f.gold_votes {
                    0 => "-".into(),
                    votes => format!("{} of {votes}", f.gold_right),
                },
            ]);
        }
        println!("{list}");
    }
    Ok(Exit::Success)
}
