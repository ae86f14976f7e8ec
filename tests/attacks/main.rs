//! Documents and base models that were made to harm, each with the verdict that it must get: documents through the real reader,
//! models through the commands of `wengu` and `wengu-trainer` that read one.
//!
//! For each the table says what becomes of it. Beside that the test holds the time that it takes and the memory that
//! its process ever had against limits: a verdict that costs the machine is none.

mod archives;
mod configs;
mod markup;
mod measure;
mod models;
mod papers;
mod programs;
mod weights;

use std::time::Duration;
use wengu_protocol::reader::Limits;

/// What must become of a document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fate {
    /// Its text is taken.
    Read,
    /// Nothing of it is taken, with this verdict for it or for the first thing in it.
    Refused(&'static str),
    /// What is harmless in it is taken, and the first other thing has this verdict.
    InPart(&'static str),
}

/// A document that was made to harm.
pub struct Attack {
    /// What it tries.
    pub name: &'static str,
    /// Its file name.
    pub file: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What must become of it.
    pub fate: Fate,
    /// The limits that it meets; the defaults but for a few.
    pub limits: Limits,
}

impl Attack {
    fn new(name: &'static str, file: &'static str, bytes: Vec<u8>, fate: Fate) -> Attack {
        let limits = Limits {
            time_s: 20,
            memory_bytes: 768 << 20,
            ..Limits::default()
        };
        Attack {
            name,
            file,
            bytes,
            fate,
            limits,
        }
    }
}

/// No attack may hold a reader longer than this, also in a build without optimization on a machine that is busy.
const TIME_MAX: Duration = Duration::from_secs(40);

#[test]
fn every_attack_gets_its_verdict() {
    let corpus = archives::attacks()
        .into_iter()
        .chain(markup::attacks())
        .chain(papers::attacks());
    let (mut wrong, mut count) = (Vec::new(), 0);
    println!(
        "{:<44} {:<14} {:>10} {:>9} {:>9}",
        "attack", "verdict", "bytes", "ms", "peak MiB"
    );
    for attack in corpus {
        count += 1;
        let outcome = measure::read(&attack);
        let (fate, time, peak) = (&outcome.fate, outcome.time, outcome.peak_bytes);
        println!(
            "{:<44} {:<14} {:>10} {:>9} {:>9}",
            attack.name,
            fate,
            attack.bytes.len(),
            time.as_millis(),
            peak >> 20
        );
        let wanted = match attack.fate {
            Fate::Read => "read".to_owned(),
            Fate::Refused(verdict) => verdict.to_owned(),
            Fate::InPart(verdict) => format!("read, {verdict}"),
        };
        let is_cheap = time < TIME_MAX && peak <= attack.limits.memory_bytes;
        if *fate != wanted || !is_cheap {
            wrong.push(format!(
                "{}: wanted {wanted}, got {fate} in {time:?} with {peak} bytes ({})",
                attack.name, outcome.reason
            ));
        }
    }
    assert!(count > 40, "{count} attacks");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A message is for people.
const MESSAGE_MAX: usize = 1000;

#[test]
fn every_model_gets_its_verdict() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    println!(
        "{:<60} {:<20} {:>4} {:>9} {:>9}",
        "model", "command", "code", "ms", "peak MiB"
    );
    for model in models::models() {
        count += 1;
        for answer in programs::ask(&model) {
            let (code, time, peak) = (answer.code, answer.time, answer.peak_bytes);
            println!(
                "{:<60} {:<20} {:>4} {:>9} {:>9}",
                model.name,
                answer.command,
                code.unwrap_or(-1),
                time.as_millis(),
                peak >> 20
            );
            let is_said = match &answer.wanted {
                models::Said::Sound => code == Some(0),
                models::Said::Wrong(words) => {
                    let all = words.iter().all(|word| answer.said.contains(word.as_str()));
                    code == Some(answer.refusal) && all && answer.said.len() < MESSAGE_MAX
                }
            };
            if !is_said || time >= TIME_MAX || peak > answer.peak_max {
                let said: String = answer.said.chars().take(MESSAGE_MAX).collect();
                wrong.push(format!(
                    "{}: {}: wanted {:?}, got {code:?} in {time:?} with {peak} bytes: {said}",
                    model.name, answer.command, answer.wanted
                ));
            }
        }
    }
    assert!(count > 50, "{count} models");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn deep_json_is_refused_where_records_are_read() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    for name in ["a.json", "a.jsonl"] {
        for text in [deep.clone(), format!("{{\"text\": {deep}}}")] {
            let read = wengu_intake::extract(name, text.as_bytes(), &[], &wengu_intake::Options::default());
            assert!(
                read.unwrap_err().to_string().contains("recursion limit exceeded"),
                "{name}"
            );
        }
    }
}
