//! What differs by task: which labels an answer needs, which class it counts for in the memory, how it becomes tokens.

use super::examples::LabelSource;
use anyhow::{Context, Result};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use wengu_decide::{label_set, marked};
use wengu_protocol::job::Task;
use wengu_tokenize::{ChatTemplate, Segment, Tokenizer};

/// The labels of a model that knows `known` and learns the right answers `learned`: the known ones first.
pub fn labels<'a>(task: Task, known: &[String], learned: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut labels = known.to_vec();
    let new: BTreeSet<String> = match task {
        Task::SequenceClassification => learned.map(str::to_owned).collect(),
        Task::MultiLabelClassification => learned.flat_map(of_set).collect(),
        Task::TokenClassification => {
            if labels.is_empty() {
                labels.push(marked::OUTSIDE.to_owned());
            }
            learned.flat_map(marked::kinds).collect()
        }
        Task::CausalLm => BTreeSet::new(),
    };
    let all: Vec<String> = match task {
        Task::TokenClassification => marked::tags(new),
        _ => new.into_iter().collect(),
    };
    let held: BTreeSet<String> = labels.iter().cloned().collect();
    labels.extend(all.into_iter().filter(|label| !held.contains(label)));
    labels
}

/// The first label that the right answer needs and the model does not have.
pub fn unknown_label(task: Task, labels: &BTreeSet<String>, answer: &str) -> Option<String> {
    match task {
        Task::SequenceClassification | Task::MultiLabelClassification => {
            of_text(task, answer).into_iter().find(|label| !labels.contains(label))
        }
        Task::TokenClassification => {
            let mut kinds = marked::kinds(answer).into_iter();
            kinds.find(|kind| !labels.contains(&format!("B-{kind}")))
        }
        Task::CausalLm => None,
    }
}

/// The labels of a text with this right answer.
pub fn of_text(task: Task, answer: &str) -> BTreeSet<String> {
    match task {
        Task::SequenceClassification => BTreeSet::from([answer.to_owned()]),
        Task::MultiLabelClassification => of_set(answer),
        Task::TokenClassification | Task::CausalLm => BTreeSet::new(),
    }
}

/// The labels of a line that intake has written.
fn of_set(answer: &str) -> BTreeSet<String> {
    label_set::parse(answer).unwrap_or_default()
}

/// The class that each example, by its right answer, counts for where the memory is balanced.
pub fn classes<'a>(task: Task, answers: impl Iterator<Item = &'a str>) -> Vec<String> {
    match task {
        Task::SequenceClassification => answers.map(str::to_owned).collect(),
        Task::MultiLabelClassification => {
            let sets: Vec<BTreeSet<String>> = answers.map(of_set).collect();
            label_set::rarest(&sets).into_iter().map(str::to_owned).collect()
        }
        Task::TokenClassification => {
            let kinds = answers.map(|answer| marked::kinds(answer).into_iter().collect::<Vec<_>>());
            kinds.map(|kinds| kinds.join("\n")).collect()
        }
        Task::CausalLm => answers.map(|_| String::new()).collect(),
    }
}

/// An example as the trainer reads it.
pub struct Encoded {
    /// Token ids.
    pub ids: Vec<i32>,
    /// The label of each token that is asked for, -1 for the others; empty where labels are of the text.
    pub token_labels: Vec<i64>,
}

impl Encoded {
    /// Answers that the model gives to it.
    pub fn answers(&self, task: Task) -> u32 {
        match task {
            Task::SequenceClassification | Task::MultiLabelClassification => 1,
            Task::TokenClassification | Task::CausalLm => {
                self.token_labels.iter().filter(|label| **label >= 0).count() as u32
            }
        }
    }
}

/// Turns examples into tokens.
pub struct Encoder {
    task: Task,
    tokenizer: Tokenizer,
    /// Of a causal model.
    chat: Option<ChatTemplate>,
    max_length: usize,
}

impl Encoder {
    /// With the base model's tokenizer.
    pub fn load(task: Task, model_dir: &Path, max_length: u32) -> Result<Encoder> {
        Ok(Encoder {
            task,
            tokenizer: Tokenizer::load(model_dir)?,
            chat: (task == Task::CausalLm)
                .then(|| ChatTemplate::load(model_dir))
                .transpose()?,
            max_length: max_length as usize,
        })
    }

    /// The tokenizer, to append terms.
    pub fn tokenizer(&mut self) -> &mut Tokenizer {
        &mut self.tokenizer
    }

    /// The tokens of a text, with what its answer asks for.
    pub fn encode(
        &self,
        text: &str,
        segments: &[Segment],
        answer: &str,
        labels: &HashMap<&str, i64>,
    ) -> Result<Encoded> {
        let signed = |ids: &[u32]| ids.iter().map(|id| *id as i32).collect::<Vec<i32>>();
        match self.task {
            Task::SequenceClassification | Task::MultiLabelClassification => Ok(Encoded {
                ids: signed(&self.tokenizer.encode(text, segments, self.max_length)?),
                token_labels: Vec::new(),
            }),
            Task::TokenClassification => {
                let words = self.tokenizer.encode_words(text, self.max_length)?;
                let places: Vec<_> = words.asked.iter().map(|(_, place)| place.clone()).collect();
                let tags = marked::tags_of(&marked::parse(answer)?, &places);
                let mut token_labels = vec![-1; words.ids.len()];
                for ((token, _), tag) in words.asked.iter().zip(&tags) {
                    token_labels[*token] = *labels.get(tag.as_str()).with_context(|| format!("tag \"{tag}\""))?;
                }
                Ok(Encoded {
                    ids: signed(&words.ids),
                    token_labels,
                })
            }
            Task::CausalLm => self.instruction(text, answer),
        }
    }

    /// An instruction with its answer as the model's own chat template writes them. Asked are the tokens of the answer and the
    /// one that ends it.
    pub fn instruction(&self, text: &str, answer: &str) -> Result<Encoded> {
        let template = self.chat.as_ref().context("no chat template was loaded")?;
        let example = self.tokenizer.instruction(template, text, answer)?;
        let asked = example.ids.iter().zip(&example.answer);
        Ok(Encoded {
            token_labels: asked
                .map(|(id, asked)| if *asked { i64::from(*id) } else { -1 })
                .collect(),
            ids: example.ids.iter().map(|id| *id as i32).collect(),
        })
    }

    /// The characters that each asked word of a text stands for.
    pub fn places(&self, text: &str) -> Result<Vec<std::ops::Range<usize>>> {
        let words = self.tokenizer.encode_words(text, self.max_length)?;
        Ok(words.asked.into_iter().map(|(_, place)| place).collect())
    }
}

/// A label that is only believed counts as much as it is, unless its probabilities already say so.
pub fn weight(source: &LabelSource) -> f32 {
    match source {
        LabelSource::Weak {
            confidence,
            probabilities,
        } if probabilities.is_empty() => *confidence as f32,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_several_labels_needs_all_of_them() {
        let task = Task::MultiLabelClassification;
        let first = labels(task, &["b".to_owned()], [r#"["a","c"]"#, "[]", r#"["b"]"#].into_iter());
        assert_eq!(first, ["b", "a", "c"]);
        let known: BTreeSet<String> = first.into_iter().collect();
        assert_eq!(unknown_label(task, &known, r#"["a","b"]"#), None);
        assert_eq!(unknown_label(task, &known, "[]"), None);
        assert_eq!(unknown_label(task, &known, r#"["a","d"]"#).as_deref(), Some("d"));
        let answers = [r#"["a","b"]"#, r#"["a"]"#, "[]"];
        assert_eq!(classes(task, answers.into_iter()), ["b", "a", ""]);
    }

    #[test]
    fn tags_grow_at_the_end_and_outside_is_the_first() {
        let first = labels(
            Task::TokenClassification,
            &[],
            [r#"[[0,2,"病"]]"#, "[]", r#"[[0,1,"人"],[3,4,"病"]]"#].into_iter(),
        );
        assert_eq!(first, ["O", "B-人", "I-人", "B-病", "I-病"]);
        let grown = labels(
            Task::TokenClassification,
            &first,
            [r#"[[0,1,"一"],[2,3,"病"]]"#].into_iter(),
        );
        assert_eq!(grown[..5], first);
        assert_eq!(grown[5..], ["B-一", "I-一"]);
        let known: BTreeSet<String> = first.into_iter().collect();
        assert_eq!(unknown_label(Task::TokenClassification, &known, "[]"), None);
        let unknown = unknown_label(Task::TokenClassification, &known, r#"[[0,1,"药"]]"#);
        assert_eq!(unknown.as_deref(), Some("药"));
        assert_eq!(
            labels(Task::CausalLm, &[], ["an answer"].into_iter()),
            Vec::<String>::new()
        );
    }
}
