/// ROUGE-L of one answer (Lin 2004, section 3): by the longest common subsequence of tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RougeL {
    /// Of the answer's tokens, the share in the subsequence.
    pub precision: f64,
    /// Of the expected tokens, the share in the subsequence.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
}

/// ROUGE-L as the `rouge-score` package has it without stemming. Its tokens are the runs of a-z and 0-9 of the lowercased
/// text, which leaves nothing of Chinese; here each Han character is a token, too. Without tokens on either side the
/// score is 0.
pub fn rouge_l(expected: &str, actual: &str) -> RougeL {
    let (expected, actual) = (tokens(expected), tokens(actual));
    let common = common_subsequence(&expected, &actual) as f64;
    if common == 0.0 {
        return RougeL {
            precision: 0.0,
            recall: 0.0,
            f1: 0.0,
        };
    }
    let (precision, recall) = (common / actual.len() as f64, common / expected.len() as f64);
    RougeL {
        precision,
        recall,
        f1: 2.0 * precision * recall / (precision + recall),
    }
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    for c in text.to_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            tokens.push(std::mem::take(&mut word));
        }
        if matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}') {
            tokens.push(c.to_string());
        }
    }
    if !word.is_empty() {
        tokens.push(word);
    }
    tokens
}

/// Length of the longest common subsequence, one row of the table at a time.
fn common_subsequence(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[b.len()]
}
