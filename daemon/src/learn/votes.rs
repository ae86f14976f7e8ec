//! What a domain's labelling functions say together: one label model over every vote that its files have got, and the
//! probabilities that it gives to texts without a gold label.

use super::examples::{Example, Examples, LabelSource, Voting, text_id};
use crate::engine::Engine;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use wengu_decide::label_model::{Fitted, FunctionAnalysis, VoteMatrix, analyse, fit};
use wengu_decide::weak::Vote;
use wengu_protocol::plugin;
use wengu_store::records::FileRecord;

/// A label that is less likely is left out of a text's probabilities.
const PROBABILITY_MIN: f64 = 1e-3;

/// The votes on one text.
#[derive(Debug, Clone, PartialEq)]
struct Voted {
    votes: Vec<Vote>,
    /// The votes on each span, by its first byte and one past its last.
    spans: BTreeMap<Span, Vec<Vote>>,
    /// The text's gold label, if any file gives one.
    gold: Option<String>,
}

/// The votes of one plugin, by text: a text that was delivered twice counts once.
#[derive(Debug, Clone, PartialEq)]
pub struct Ballot {
    voting: Voting,
    texts: BTreeMap<String, Voted>,
}

/// By plugin: its id, version and digest.
pub type Ballots = BTreeMap<String, Ballot>;

/// The votes that are about the whole document.
pub fn about_the_document(votes: &[plugin::Vote]) -> Vec<Vote> {
    votes.iter().filter(|v| v.span.is_none()).map(vote).collect()
}

/// The votes about spans, by span: functions that mean the same words vote on the same item.
fn about_spans(votes: &[plugin::Vote]) -> BTreeMap<Span, Vec<Vote>> {
    let mut spans: BTreeMap<Span, Vec<Vote>> = BTreeMap::new();
    for v in votes {
        if let Some(span) = v.span {
            spans.entry(span).or_default().push(vote(v));
        }
    }
    spans
}

fn vote(v: &plugin::Vote) -> Vote {
    Vote {
        function: v.function,
        label: v.label,
        confidence: v.confidence,
    }
}

/// Every vote on a domain's files, whatever became of them: how often a function is right does not depend on what was
/// learned. Reads all examples of the domain.
pub fn every_vote(engine: &Engine, domain: &str) -> Result<Ballots> {
    let mut ballots = Ballots::new();
    for (_, file) in engine.store.scan::<FileRecord>(&format!("{domain}/"))? {
        if let Some((hash, _)) = file.state.examples() {
            add(&mut ballots, &Examples::read(&engine.store, &hash)?);
        }
    }
    Ok(ballots)
}

fn add(ballots: &mut Ballots, file: &Examples) {
    let (Some(plugin), Some(voting)) = (&file.plugin, &file.voting) else {
        return;
    };
    let ballot = ballots.entry(plugin.clone()).or_insert_with(|| Ballot {
        voting: voting.clone(),
        texts: BTreeMap::new(),
    });
    for example in &file.examples {
        let voted = ballot.texts.entry(text_id(&example.text)).or_insert_with(|| Voted {
            votes: about_the_document(&example.votes),
            spans: about_spans(&example.votes),
            gold: None,
        });
        if example.source == LabelSource::Gold {
            voted.gold = voted.gold.take().or(example.label.clone());
        }
    }
}

/// What a vote is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The whole document.
    Documents,
    /// A piece of it.
    Spans,
}

/// How one labelling function does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionReport {
    /// Its name.
    pub function: String,
    /// What it votes on: whole documents, or spans. One that does both is told twice.
    pub about: About,
    /// Share of all texts, or of all spans that anyone votes on, that it votes on.
    pub coverage: f64,
    /// Share that it and another vote on.
    pub overlap: f64,
    /// Share that it and another vote on differently.
    pub conflict: f64,
    /// How often it is right, as the label model learned from agreement alone.
    pub estimated_accuracy: f64,
    /// What its vote counts beside others, in (0, 1]: less for one that says what others say.
    pub weight: f64,
    /// Texts with a gold label that it votes on.
    pub gold_votes: u64,
    /// On how many of these it is right.
    pub gold_right: u64,
}

/// How the labelling functions of one plugin do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VotingReport {
    /// The plugin: id, version and digest.
    pub plugin: String,
    /// Texts that it was asked about.
    pub texts: u64,
    /// Texts that at least one function votes on.
    pub voted: u64,
    /// Spans that at least one function votes on.
    pub spans: u64,
    /// Its functions.
    pub functions: Vec<FunctionReport>,
}

/// First byte of a piece of a text, and one past its last.
pub type Span = (u32, u32);

/// Labels that are not out of the question, with probabilities that sum to 1.
pub type Probabilities = Vec<(String, f64)>;

/// The fitted label models of a domain, one for each plugin.
#[derive(Debug, Default)]
pub struct LabelModel {
    /// Plugin to text to label probabilities.
    probabilities: HashMap<String, HashMap<String, Probabilities>>,
    /// Plugin to text to span to label probabilities.
    spans: HashMap<String, HashMap<String, BTreeMap<Span, Probabilities>>>,
    reports: Vec<VotingReport>,
}

impl LabelModel {
    /// Learns how often each function is right.
    pub fn fit(ballots: &Ballots) -> LabelModel {
        let mut model = LabelModel::default();
        for (plugin, ballot) in ballots {
            let labels = &ballot.voting.labels;
            let documents = Fit::of(ballot, ballot.texts.values().map(|v| v.votes.clone()).collect());
            let by_span = ballot
                .texts
                .iter()
                .flat_map(|(text, v)| v.spans.iter().map(move |s| (text, s)));
            let spans = Fit::of(ballot, by_span.clone().map(|(_, (_, votes))| votes.clone()).collect());
            let named = documents.fitted.probabilities.iter().zip(ballot.texts.keys());
            let named = named.filter_map(|(p, text)| Some((text.clone(), likely(p.as_deref()?, labels))));
            model.probabilities.insert(plugin.clone(), named.collect());
            let of_text = model.spans.entry(plugin.clone()).or_default();
            for ((text, (span, _)), p) in by_span.zip(&spans.fitted.probabilities) {
                let p = likely(p.as_deref().unwrap_or_default(), labels);
                of_text.entry(text.clone()).or_default().insert(*span, p);
            }
            let voted = |fit: &Fit| fit.fitted.probabilities.iter().flatten().count() as u64;
            let functions = documents
                .report(ballot, About::Documents)
                .chain(spans.report(ballot, About::Spans));
            model.reports.push(VotingReport {
                plugin: plugin.clone(),
                texts: ballot.texts.len() as u64,
                voted: voted(&documents),
                spans: voted(&spans),
                functions: functions.collect(),
            });
        }
        model
    }

    /// The spans of a text that was read with this plugin, with their label probabilities.
    pub fn spans(&self, plugin: &str, text: &str) -> Vec<(Span, Probabilities)> {
        let spans = self.spans.get(plugin).and_then(|texts| texts.get(&text_id(text)));
        spans
            .into_iter()
            .flatten()
            .map(|(span, p)| (*span, p.clone()))
            .collect()
    }

    /// How the functions do, by plugin.
    pub fn reports(&self) -> &[VotingReport] {
        &self.reports
    }

    /// Gives each text of a file that has votes and no gold label the label that the model holds likeliest, with all
    /// probabilities; or none, where that is likely below `min_confidence`.
    pub fn settle(&self, file: &mut Examples, min_confidence: f64) {
        let Some(texts) = file.plugin.as_ref().and_then(|plugin| self.probabilities.get(plugin)) else {
            return;
        };
        let weak = |e: &&mut Example| e.source != LabelSource::Gold && !e.votes.is_empty();
        for example in file.examples.iter_mut().filter(weak) {
            let probabilities = texts.get(&text_id(&example.text)).cloned().unwrap_or_default();
            let likeliest = probabilities.iter().max_by(|a, b| a.1.total_cmp(&b.1)).cloned();
            (example.label, example.source) = match likeliest {
                Some((label, confidence)) if confidence >= min_confidence => (
                    Some(label),
                    LabelSource::Weak {
                        confidence,
                        probabilities,
                    },
                ),
                _ => (None, LabelSource::None),
            };
        }
    }
}

/// A label model over documents, or over spans.
struct Fit {
    fitted: Fitted,
    analyses: Vec<FunctionAnalysis>,
}

impl Fit {
    fn of(ballot: &Ballot, votes: Vec<Vec<Vote>>) -> Fit {
        let Voting { functions, labels } = &ballot.voting;
        let matrix = VoteMatrix::new(labels.len(), functions.len(), &votes);
        Fit {
            fitted: fit(&matrix),
            analyses: analyse(&matrix),
        }
    }

    /// The functions that vote; of documents, also those that have said nothing at all yet.
    fn report<'a>(&'a self, ballot: &'a Ballot, about: About) -> impl Iterator<Item = FunctionReport> + 'a {
        let on_spans = |i: usize| {
            let mut spans = ballot.texts.values().flat_map(|v| v.spans.values().flatten());
            spans.any(|v| v.function as usize == i)
        };
        let functions = ballot.voting.functions.iter().zip(&self.analyses).enumerate();
        let told = functions.filter(move |(i, (_, a))| match about {
            About::Documents => a.coverage > 0.0 || !on_spans(*i),
            About::Spans => a.coverage > 0.0,
        });
        told.map(move |(i, (function, a))| {
            let (gold_votes, gold_right) = match about {
                About::Documents => on_gold(ballot, i as u32),
                About::Spans => (0, 0),
            };
            FunctionReport {
                function: function.clone(),
                about,
                coverage: a.coverage,
                overlap: a.overlap,
                conflict: a.conflict,
                estimated_accuracy: self.fitted.accuracies[i],
                weight: self.fitted.weights[i],
                gold_votes,
                gold_right,
            }
        })
    }
}

fn likely(probabilities: &[f64], labels: &[String]) -> Probabilities {
    let kept = |p: &&f64| **p >= PROBABILITY_MIN;
    let sum: f64 = probabilities.iter().filter(kept).sum();
    let named = labels.iter().zip(probabilities).filter(|(_, p)| kept(p));
    named.map(|(label, p)| (label.clone(), p / sum)).collect()
}

/// Texts with a gold label that the plugin knows, on which the function votes, and on how many it is right.
fn on_gold(ballot: &Ballot, function: u32) -> (u64, u64) {
    let labels = &ballot.voting.labels;
    let (mut votes, mut right) = (0, 0);
    for voted in ballot.texts.values() {
        let Some(gold) = voted.gold.as_ref().filter(|gold| labels.contains(gold)) else {
            continue;
        };
        for vote in voted.votes.iter().filter(|v| v.function == function) {
            votes += 1;
            right += u64::from(labels.get(vote.label as usize) == Some(gold));
        }
    }
    (votes, right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wengu_decide::split::Side;
    use wengu_store::Hash;

    fn example(n: u32, votes: &[(u32, u32)], gold: Option<&str>) -> Example {
        let vote = |&(function, label): &(u32, u32)| plugin::Vote {
            function,
            label,
            span: None,
            confidence: 0.7,
        };
        Example {
            ordinal: n,
            line: n + 1,
            place: None,
            case: "c".into(),
            side: Side::Train,
            text: format!("text {n}").into(),
            label: gold.map(String::from),
            source: if gold.is_some() {
                LabelSource::Gold
            } else {
                LabelSource::None
            },
            votes: votes.iter().map(vote).collect(),
            segments: vec![],
            slices: vec![],
        }
    }

    /// Four functions that are wrong now and then, each in its own places, and one that is wrong half of the time.
    fn file() -> Examples {
        let mut examples: Vec<Example> = (0..400)
            .map(|n| {
                let truth = n % 2;
                let wrong = |places: bool| if places { 1 - truth } else { truth };
                let poor = wrong(n % 4 < 2);
                let votes = [
                    wrong(n % 10 == 3),
                    wrong(n % 7 == 1),
                    wrong(n % 11 == 5),
                    wrong(n % 9 == 2),
                    poor,
                ];
                let votes: Vec<(u32, u32)> = (0..).zip(votes).collect();
                example(n, &votes, None)
            })
            .collect();
        examples[0] = example(0, &[(0, 0), (1, 0), (4, 1)], Some("alpha"));
        examples.push(example(400, &[], None));
        Examples {
            schema: super::super::examples::EXAMPLES_SCHEMA,
            content: Hash::of(b""),
            format: "jsonl".into(),
            encoding: "UTF-8".into(),
            plugin: Some("p 1 0".into()),
            voting: Some(Voting {
                functions: ["good", "fair", "same", "more", "poor"].map(String::from).into(),
                labels: ["alpha", "beta"].map(String::from).into(),
            }),
            terms: vec![],
            examples,
            rejected: vec![],
        }
    }

    fn model(file: &Examples) -> LabelModel {
        let mut ballots = Ballots::new();
        add(&mut ballots, file);
        // The same file under another name changes nothing.
        add(&mut ballots, file);
        LabelModel::fit(&ballots)
    }

    #[test]
    fn functions_are_judged_by_agreement_and_texts_get_probabilities() {
        let mut file = file();
        let model = model(&file);
        let report = &model.reports()[0];
        assert_eq!((report.texts, report.voted), (401, 400));
        let (poor, good) = report.functions.split_last().unwrap();
        for f in good {
            assert!(f.estimated_accuracy > poor.estimated_accuracy + 0.15, "{report:?}");
        }
        assert!((good[0].coverage - 400.0 / 401.0).abs() < 1e-12 && good[0].conflict > 0.5);
        assert_eq!((good[0].gold_votes, good[0].gold_right), (1, 1));
        assert_eq!((poor.gold_votes, poor.gold_right), (1, 0));

        model.settle(&mut file, 0.6);
        // Gold stays gold, silence stays silence, and the good function wins against the poor one.
        assert_eq!(file.examples[0].source, LabelSource::Gold);
        assert_eq!(file.examples[400].label, None);
        assert_eq!(file.examples[1].label.as_deref(), Some("beta"));
        let LabelSource::Weak {
            confidence,
            probabilities,
        } = &file.examples[1].source
        else {
            panic!()
        };
        let sum: f64 = probabilities.iter().map(|(_, p)| p).sum();
        assert!((sum - 1.0).abs() < 1e-12 && *confidence > 0.6);

        model.settle(&mut file, 1.0);
        assert_eq!(file.examples[1].label, None);
    }

    #[test]
    fn spans_are_items_of_their_own_and_no_votes_on_the_document() {
        let mut file = file();
        for example in &mut file.examples[1..100] {
            // Function 0 and 1 mean the same words, function 2 others; none of them speaks of the document.
            example.votes.truncate(3);
            example
                .votes
                .iter_mut()
                .for_each(|v| v.span = Some(if v.function == 2 { (5, 6) } else { (0, 4) }));
        }
        let model = model(&file);
        let report = &model.reports()[0];
        assert_eq!((report.texts, report.voted, report.spans), (401, 301, 198));
        let span = |name: &str| {
            report
                .functions
                .iter()
                .find(|f| f.function == name && f.about == About::Spans)
        };
        assert_eq!(
            (span("good").unwrap().coverage, span("good").unwrap().overlap),
            (0.5, 0.5)
        );
        assert_eq!(
            (span("same").unwrap().coverage, span("same").unwrap().overlap),
            (0.5, 0.0)
        );
        assert!(span("poor").is_none());
        let spans = model.spans("p 1 0", "text 1");
        assert_eq!(
            spans.iter().map(|(span, _)| *span).collect::<Vec<_>>(),
            [(0, 4), (5, 6)]
        );
        let sum: f64 = spans[0].1.iter().map(|(_, p)| p).sum();
        assert!((sum - 1.0).abs() < 1e-12);
    }
}
