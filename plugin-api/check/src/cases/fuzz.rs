use crate::bench::{Bench, Finding, Verdict, failed};
use crate::cases::documents::judge_all;
use crate::cases::offsets::{
    judge_characters, judge_confidence, judge_indices, judge_range, judge_tiling, ranges, votes,
};
use crate::raw::SinkKind;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// The document of a round. It follows from seed and round alone, so that one round can be run again by itself.
pub fn document(texts: &[&str], seed: u64, round: u32) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::from(round));
    let mut text: Vec<char> = pick(&mut rng, texts).chars().collect();
    for _ in 0..=below(&mut rng, 8) {
        let at = below(&mut rng, text.len() + 1);
        let end = at + below(&mut rng, text.len() - at + 1);
        match below(&mut rng, 6) {
            0 => text.truncate(at),
            1 => drop(text.drain(at..end)),
            2 => text.insert(at, odd(&mut rng)),
            3 => {
                let copy = text[at..end].to_vec();
                let times = 1 + below(&mut rng, 16);
                (0..times).for_each(|_| drop(text.splice(at..at, copy.iter().copied())));
            }
            4 => {
                let other: Vec<char> = pick(&mut rng, texts).chars().collect();
                let from = below(&mut rng, other.len() + 1);
                drop(text.splice(at..at, other[from..].iter().copied()));
            }
            _ => text[at..end].reverse(),
        }
        text.truncate(CHARS_MAX);
    }
    text.into_iter().collect()
}

/// Longest document of the fuzz case, in characters.
const CHARS_MAX: usize = 16 << 10;

fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    (rng.next_u64() % bound as u64) as usize
}

fn pick<'a>(rng: &mut ChaCha8Rng, texts: &[&'a str]) -> &'a str {
    texts[below(rng, texts.len())]
}

fn odd(rng: &mut ChaCha8Rng) -> char {
    const ODD: [char; 20] = [
        '\0',
        '\t',
        '\n',
        '\r',
        '"',
        '\\',
        '(',
        ')',
        '.',
        '%',
        '0',
        'é',
        '\u{301}',
        '\u{200d}',
        '\u{202e}',
        '\u{feff}',
        '、',
        '第',
        '𠮷',
        '\u{10ffff}',
    ];
    match below(rng, 4) {
        0 => char::from_u32(rng.next_u32() % 0x11_0000).unwrap_or('\u{fffd}'),
        _ => ODD[below(rng, ODD.len())],
    }
}

pub fn fuzz(bench: &Bench) -> Verdict {
    let instance = bench.instance()?;
    let names = bench.names(&instance)?;
    let (functions, labels) = (names.functions.len(), names.labels.len());
    let segments = bench.library()?.tables.segmenter.is_some();
    let texts: Vec<&str> = bench.texts().collect();
    for round in 0..bench.rounds {
        let text = document(&texts, bench.seed, round);
        (bench.at)(&format!("round {round} of seed {}, {text:?}", bench.seed));
        let judge = || -> Result<(), String> {
            let ended = judge_all(bench, &instance, &text, &|call, ended| match ended.answer {
                true => Ok(()),
                false => failed(format!("{call}(): {}", ended.told)),
            });
            match ended {
                Err(Finding::Failed(why)) => return Err(why),
                Err(other) => return Err(format!("{other:?}")),
                Ok(()) => {}
            }
            let ranges = ranges(&instance, &text);
            judge_range(&text, &ranges)?;
            judge_characters(&text, &ranges)?;
            if segments {
                judge_tiling(&text, &instance.segment(text.as_bytes(), SinkKind::Takes).items)?;
            }
            let votes = votes(&instance, &text);
            judge_indices(&votes, functions, labels)?;
            judge_confidence(&votes)
        };
        judge().map_err(|why| {
            Finding::Failed(format!(
                "round {round} of seed {}: {why}; the document is {text:?}",
                bench.seed
            ))
        })?;
    }
    Ok(String::new())
}
