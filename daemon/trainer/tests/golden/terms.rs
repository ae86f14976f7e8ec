//! Term tokens against PEFT's trainable_token_indices (tests/oracle/make_terms.py).

use crate::common::*;
use crate::tiny::agrees;
use tch::Kind;
use wengu_protocol::job::{JobEnd, Parent, Task};
use wengu_trainer::model::{Model, ParamGroup};

fn parent_with_terms(known: u32) -> Parent {
    Parent {
        term_tokens: known,
        ..parent(&golden("terms"), &LABELS)
    }
}

#[test]
fn logits_and_all_gradients_agree_with_peft() {
    let expected = tensors(&golden("terms/expected.safetensors"));
    let (base, parent) = (base(&golden("tiny/base")), parent_with_terms(2));
    let labels = strings(&LABELS);
    let model = Model::load(
        Task::SequenceClassification,
        &base,
        Some(&parent),
        &labels,
        &tiny_method(0.0),
        &term_tokens(),
        0.0,
        1,
    )
    .unwrap();
    assert_eq!(model.vocab_size(), 162);
    agrees("terms", &model, &expected, 29);
}

#[test]
fn a_new_term_begins_as_the_mean_of_its_pieces_and_the_parents_stay() {
    let expected = tensors(&golden("terms/expected.safetensors"));
    let base = base(&golden("tiny/base"));
    let rows = |model: &Model| {
        let trained = model.trainable().into_iter();
        let mut rows = trained
            .filter(|(.., group)| *group == ParamGroup::Embeddings)
            .map(|(_, rows, _)| rows);
        rows.next().unwrap().detach()
    };
    let labels = strings(&LABELS);
    let fresh = Model::load(
        Task::SequenceClassification,
        &base,
        None,
        &labels,
        &tiny_method(0.0),
        &term_tokens(),
        0.0,
        1,
    )
    .unwrap();
    assert!(difference(&rows(&fresh), &expected["means"]) < 1e-6);

    let mut three = term_tokens();
    three.push(wengu_protocol::job::TermToken {
        text: "新".into(),
        id: 162,
        pieces: vec![5, 9, 77],
    });
    let parent = parent_with_terms(2);
    let grown = Model::load(
        Task::SequenceClassification,
        &base,
        Some(&parent),
        &labels,
        &tiny_method(0.0),
        &three,
        0.0,
        1,
    )
    .unwrap();
    let rows = rows(&grown);
    let adapter = tensors(&golden("terms/adapter/adapter_model.safetensors"));
    let key = "base_model.model.bert.embeddings.word_embeddings.token_adapter.trainable_tokens_delta";
    assert_eq!(rows.narrow(0, 0, 2), adapter[key].to_kind(Kind::Float));
    assert!(difference(&rows.narrow(0, 2, 1), &expected["means"].narrow(0, 0, 1)) < 1e-6);
}

#[test]
fn an_adapter_with_other_terms_than_the_job_says_is_refused() {
    let (base, labels) = (base(&golden("tiny/base")), strings(&LABELS));
    let mut shifted = term_tokens();
    shifted.iter_mut().for_each(|term| term.id += 1);
    for (parent, terms) in [
        (parent_with_terms(1), term_tokens()),
        (parent_with_terms(0), vec![]),
        (parent_with_terms(2), shifted),
    ] {
        let refused = Model::load(
            Task::SequenceClassification,
            &base,
            Some(&parent),
            &labels,
            &tiny_method(0.0),
            &terms,
            0.0,
            1,
        );
        let error = refused.err().expect("it must be refused");
        assert_eq!(error.end, JobEnd::BadJob);
        assert!(error.to_string().contains("term tokens [160, 161]"), "{error}");
    }
}
