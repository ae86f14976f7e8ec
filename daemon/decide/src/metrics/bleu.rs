//! BLEU (Papineni et al. 2002) as sacrebleu counts it, with one reference for each answer.

use regex::Regex;
use std::collections::HashMap;
use std::sync::LazyLock;

const ORDER: usize = 4;
/// The version of sacrebleu that the numbers equal.
const SACREBLEU: &str = "2.6.0";

/// How a text becomes tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BleuTokenizer {
    /// `13a`, sacrebleu's default: mteval-v13a's, for languages with spaces.
    V13a,
    /// `zh`: every Chinese character, and the rest as `13a`.
    Zh,
}

/// BLEU of a set of answers: counts are summed over the set, and then compared.
#[derive(Debug, Clone)]
pub struct Bleu {
    tokenizer: BleuTokenizer,
    effective_order: bool,
    right: [u64; ORDER],
    answered: [u64; ORDER],
    answered_tokens: u64,
    expected_tokens: u64,
}

impl Bleu {
    /// For a whole set, as `sacrebleu.corpus_bleu` has it.
    pub fn corpus(tokenizer: BleuTokenizer) -> Bleu {
        Bleu {
            tokenizer,
            effective_order: false,
            right: [0; ORDER],
            answered: [0; ORDER],
            answered_tokens: 0,
            expected_tokens: 0,
        }
    }

    /// For one answer, as `sacrebleu.sentence_bleu` has it: orders that a short answer cannot have do not count.
    pub fn sentence(tokenizer: BleuTokenizer) -> Bleu {
        Bleu {
            effective_order: true,
            ..Bleu::corpus(tokenizer)
        }
    }

    /// What must be told with the number so that others can compare.
    pub fn signature(&self) -> String {
        let effective = if self.effective_order { "yes" } else { "no" };
        let tokenizer = match self.tokenizer {
            BleuTokenizer::V13a => "13a",
            BleuTokenizer::Zh => "zh",
        };
        format!("nrefs:1|case:mixed|eff:{effective}|tok:{tokenizer}|smooth:exp|version:{SACREBLEU}")
    }

    /// Counts one answer.
    pub fn add(&mut self, expected: &str, actual: &str) {
        let (expected, actual) = (tokens(expected, self.tokenizer), tokens(actual, self.tokenizer));
        self.expected_tokens += expected.len() as u64;
        self.answered_tokens += actual.len() as u64;
        for order in 1..=ORDER {
            let mut left: HashMap<&[String], u64> = HashMap::new();
            for gram in expected.windows(order) {
                *left.entry(gram).or_default() += 1;
            }
            for gram in actual.windows(order) {
                self.answered[order - 1] += 1;
                if let Some(n) = left.get_mut(gram).filter(|n| **n > 0) {
                    *n -= 1;
                    self.right[order - 1] += 1;
                }
            }
        }
    }

    /// BLEU from 0 to 100, with exponential smoothing of the orders without a match (method 3 of Chen and Cherry 2014).
    pub fn score(&self) -> f64 {
        if self.right.iter().all(|n| *n == 0) {
            return 0.0;
        }
        let orders = self.answered.iter().take_while(|n| **n > 0).count();
        let counted = if self.effective_order { orders } else { ORDER };
        if orders < counted {
            return 0.0;
        }
        let mut smoothing = 1.0;
        let mut logs = 0.0;
        for order in 0..orders {
            let precision = match self.right[order] {
                0 => {
                    smoothing *= 2.0;
                    100.0 / (smoothing * self.answered[order] as f64)
                }
                right => 100.0 * right as f64 / self.answered[order] as f64,
            };
            logs += precision.ln();
        }
        let (expected, answered) = (self.expected_tokens as f64, self.answered_tokens as f64);
        let brevity = if answered < expected {
            (1.0 - expected / answered).exp()
        } else {
            1.0
        };
        brevity * (logs / counted as f64).exp()
    }
}

fn tokens(text: &str, tokenizer: BleuTokenizer) -> Vec<String> {
    let text = text.trim_end();
    match tokenizer {
        BleuTokenizer::V13a => {
            let joined = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
            let plain = joined
                .replace("&quot;", "\"")
                .replace("&amp;", "&")
                .replace("&lt;", "<")
                .replace("&gt;", ">");
            split(&format!(" {plain} "))
        }
        BleuTokenizer::Zh => {
            let mut spaced = String::new();
            for c in text.trim().chars() {
                match is_chinese(c) {
                    true => spaced.extend([' ', c, ' ']),
                    false => spaced.push(c),
                }
            }
            split(&spaced)
        }
    }
}

/// The rules that both tokenizers end with.
fn split(text: &str) -> Vec<String> {
    static RULES: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
        let rule = |pattern, by| (Regex::new(pattern).expect("a constant pattern"), by);
        [
            rule(r"([\{-~\[-` -\&\(-\+:-@/])", " $1 "),
            rule(r"([^0-9])([\.,])", "$1 $2 "),
            rule(r"([\.,])([^0-9])", " $1 $2"),
            rule(r"([0-9])(-)", "$1 $2 "),
        ]
    });
    let mut text = text.to_owned();
    for (pattern, by) in RULES.iter() {
        text = pattern.replace_all(&text, *by).into_owned();
    }
    text.split_whitespace().map(str::to_owned).collect()
}

/// The ranges of sacrebleu's `zh`. Two of them are written there with five digits, which Python reads as a character and
/// a digit; what follows from that (U+2001 to U+2A6D, U+2F81 to U+2FA1) is kept, or numbers could not be compared.
fn is_chinese(c: char) -> bool {
    matches!(c,
        '\u{3400}'..='\u{4db5}' | '\u{4e00}'..='\u{9fbb}' | '\u{f900}'..='\u{fa2d}' | '\u{fa30}'..='\u{fa6a}'
        | '\u{fa70}'..='\u{fad9}' | '\u{2001}'..='\u{2a6d}' | '\u{2f81}'..='\u{2fa1}' | '\u{ff00}'..='\u{ffef}'
        | '\u{2e80}'..='\u{2eff}' | '\u{3000}'..='\u{303f}' | '\u{31c0}'..='\u{31ef}' | '\u{2f00}'..='\u{2fdf}'
        | '\u{2ff0}'..='\u{2fff}' | '\u{3100}'..='\u{312f}' | '\u{31a0}'..='\u{31bf}' | '\u{fe10}'..='\u{fe1f}'
        | '\u{fe30}'..='\u{fe4f}' | '\u{3200}'..='\u{33ff}')
}
