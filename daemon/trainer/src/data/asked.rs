//! Which tokens of a set are asked for, where the task answers by the token.

use super::batch::Place;
use std::ops::Range;
use wengu_protocol::job::Task;

/// The tokens of a set that are asked for, in order: row by row, and within a row from left to right.
#[derive(Debug)]
pub struct Asked {
    /// Within its row, the token whose vector is read.
    at: Vec<usize>,
    /// What the answer should be: a label, or a token of the vocabulary.
    labels: Vec<i64>,
    /// Where each row's begin, and where the last row's end.
    begins: Vec<usize>,
}

impl Asked {
    /// From one label a token, -1 where nothing is asked. A causal model answers a token at the one before it.
    pub fn new(task: Task, token_labels: &[i64], offsets: &[usize]) -> Result<Asked, String> {
        let mut asked = Asked {
            at: Vec::new(),
            labels: Vec::new(),
            begins: vec![0],
        };
        for (row, ends) in offsets.windows(2).enumerate() {
            let labels = &token_labels[ends[0]..ends[1]];
            for (place, &label) in labels.iter().enumerate().filter(|(_, label)| **label >= 0) {
                let at = match task {
                    Task::CausalLm => place.checked_sub(1).ok_or_else(|| {
                        format!(
                            "row {row} asks for its first token, which nothing comes before; begin it with a prompt"
                        )
                    })?,
                    _ => place,
                };
                asked.at.push(at);
                asked.labels.push(label);
            }
            asked.begins.push(asked.at.len());
        }
        Ok(asked)
    }

    /// How many in all.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Those of a row, among all of the set.
    pub fn of(&self, row: usize) -> Range<usize> {
        self.begins[row]..self.begins[row + 1]
    }

    /// What the answers of these rows should be.
    pub fn labels(&self, rows: &[usize]) -> Vec<i64> {
        rows.iter()
            .flat_map(|&row| &self.labels[self.of(row)])
            .copied()
            .collect()
    }

    /// Their places in a batch of lines of this width, in which each row has a place.
    pub fn places(&self, rows: &[usize], places: &[Place], width: usize) -> Vec<i64> {
        let of = |(&row, place): (&usize, &Place)| {
            let begin = (place.line * width + place.begin) as i64;
            self.at[self.of(row)]
                .iter()
                .map(move |&at| begin + at as i64)
                .collect::<Vec<_>>()
        };
        rows.iter().zip(places).flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_causal_model_answers_at_the_token_before() {
        let labels = [-1, -1, 7, 8, -1, 9];
        let offsets = [0, 4, 6];
        let causal = Asked::new(Task::CausalLm, &labels, &offsets).unwrap();
        assert_eq!((causal.at.as_slice(), causal.len()), (&[1, 2, 0][..], 3));
        assert_eq!((causal.of(1), causal.labels(&[1, 0])), (2..3, vec![9, 7, 8]));
        let tokens = Asked::new(Task::TokenClassification, &labels, &offsets).unwrap();
        let places = [Place { line: 1, begin: 0 }, Place { line: 0, begin: 3 }];
        assert_eq!(tokens.places(&[0, 1], &places, 8), [10, 11, 4]);
        let error = Asked::new(Task::CausalLm, &[5, -1], &[0, 2]).unwrap_err();
        assert!(error.contains("row 0"), "{error}");
    }
}
