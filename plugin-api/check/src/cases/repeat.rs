use crate::bench::{Bench, Finding, Verdict, failed, quoted};
use crate::cases::documents::{METADATA, SEED};
use crate::raw::{Instance, SinkKind};
use sha2::{Digest, Sha256};
use wengu_plugin::Prediction;

/// Everything that an instance says of a text, bit for bit.
fn said(instance: &Instance, text: &str) -> String {
    let segments = instance.segment(text.as_bytes(), SinkKind::Takes);
    let votes = instance.label(text.as_bytes(), METADATA, SEED, SinkKind::Takes);
    let item = Prediction {
        input: text,
        expected: "yes",
        actual: text,
    };
    let scores = instance.score(&item, SEED, SinkKind::Takes);
    let votes_said: Vec<_> = votes
        .items
        .iter()
        .map(|v| (v.function, v.label, v.begin, v.end, v.confidence.to_bits()))
        .collect();
    let scores_said: Vec<_> = scores.items.iter().map(|s| (s.metric, s.value.to_bits())).collect();
    format!(
        "{} {:?}\n{} {votes_said:?}\n{} {scores_said:?}",
        segments.status, segments.items, votes.status, scores.status
    )
}

fn same(text: &str, first: &str, then: &str, when: &str) -> Result<(), Finding> {
    let Some((a, b)) = first.lines().zip(then.lines()).find(|(a, b)| a != b) else {
        return Ok(());
    };
    let cut = |s: &str| s.chars().take(120).collect::<String>();
    failed(format!(
        "of {} it said {} and, {when}, {}",
        quoted(text),
        cut(a),
        cut(b)
    ))
}

pub fn same_call(bench: &Bench) -> Verdict {
    let instance = bench.instance()?;
    for text in bench.texts() {
        let first = said(&instance, text);
        for _ in 0..3 {
            same(text, &first, &said(&instance, text), "at another call")?;
        }
    }
    Ok(String::new())
}

pub fn order(bench: &Bench) -> Verdict {
    let texts: Vec<&str> = bench.texts().collect();
    let instance = bench.instance()?;
    let first: Vec<String> = texts.iter().map(|text| said(&instance, text)).collect();
    for (text, first) in texts.iter().zip(&first).rev() {
        same(
            text,
            first,
            &said(&instance, text),
            "with the documents in another order",
        )?;
    }
    Ok(String::new())
}

pub fn instances(bench: &Bench) -> Verdict {
    let several = [bench.instance()?, bench.instance()?, bench.instance()?];
    for text in bench.texts() {
        let first = said(&several[0], text);
        for instance in &several[1..] {
            same(text, &first, &said(instance, text), "in another instance")?;
        }
    }
    Ok(String::new())
}

pub fn threads(bench: &Bench) -> Verdict {
    let instance = bench.instance()?;
    let texts: Vec<&str> = bench.texts().collect();
    let first: Vec<String> = texts.iter().map(|text| said(&instance, text)).collect();
    let beside = bench.instance()?;
    let again = |instance: Instance| -> Vec<String> { texts.iter().map(|text| said(&instance, text)).collect() };
    // Two instances at the same time, each on a thread that did not make it.
    let (one, two) = std::thread::scope(|scope| {
        let (one, two) = (scope.spawn(|| again(instance)), scope.spawn(|| again(beside)));
        (one.join(), two.join())
    });
    for then in [one, two] {
        let then = then.map_err(|_| Finding::Failed("a thread panicked".into()))?;
        for ((text, first), then) in texts.iter().zip(&first).zip(&then) {
            same(text, first, then, "on another thread, beside another instance")?;
        }
    }
    Ok(String::new())
}

/// The note is what this process says; the parent compares it with another's.
pub fn process(bench: &Bench) -> Verdict {
    let instance = bench.instance()?;
    let digest = |text: &str| {
        let digest = Sha256::digest(said(&instance, text));
        digest.iter().take(8).map(|b| format!("{b:02x}")).collect::<String>()
    };
    Ok(bench.texts().map(digest).collect::<Vec<_>>().join(" "))
}
