//! The votes of this plugin on labelled clauses, for the oracle of the label model: `votes CLAUSES_JSONL > VOTES_JSON`.

use std::error::Error;
use wengu_plugin::{Document, Host, Labeler, Plugin};
use wengu_plugin_legal_en::LegalEn;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: votes CLAUSES_JSONL")?;
    let mut plugin = LegalEn::create(&Host::silent(), &serde_json::json!({}))?;
    let labels = plugin.labels();
    let mut items = Vec::new();
    for line in std::fs::read_to_string(path)?.lines() {
        let row: serde_json::Value = serde_json::from_str(line)?;
        let document = Document {
            text: row["text"].as_str().ok_or("a clause without text")?,
            metadata: &serde_json::Value::Null,
            seed: 0,
        };
        let votes = plugin.label(&Host::silent(), &document)?;
        let votes: Vec<_> = votes.iter().map(|v| (v.function, v.label, v.confidence)).collect();
        let gold = labels.iter().position(|label| row["label"] == label.as_str());
        items.push(serde_json::json!({"gold": gold, "votes": votes}));
    }
    let all = serde_json::json!({"labels": labels, "functions": plugin.functions(), "items": items});
    println!("{}", serde_json::to_string(&all)?);
    Ok(())
}
