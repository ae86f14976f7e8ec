//! The Fisher, by every estimator, and how it goes on over updates.

use super::penalty::held;
use super::{assert_close, golden, leaf};
use std::collections::{BTreeMap, BTreeSet};
use tch::{Kind, Tensor};
use wengu_protocol::job::FisherEstimate;
use wengu_trainer::fisher::{
    Entry, Estimate, FisherState, HEAD_BIAS, HEAD_WEIGHT, Labels, Provenance, Rows, Squares, squared_gradients,
};
use wengu_trainer::model::{HEAD, LoraSite, Tap, Tapped, Trained};

#[test]
fn of_several_labels_the_fisher_is_that_of_its_definition() {
    let (net, g) = (golden("fisher.safetensors"), golden("multi_label.safetensors"));
    for (estimator, labels) in [
        ("exact", Labels::EveryOutcome),
        ("given", Labels::Outcomes(g["outcomes"].shallow_clone())),
    ] {
        let mean = fisher(&net, &labels);
        assert_eq!(mean.len(), 4);
        for (name, fisher) in mean {
            let what = format!("{estimator}/{name}");
            assert_close(&fisher, &g[&what], 1e-12, &what);
        }
    }
}

/// The oracle's network, with taps where a model has them.
pub fn tapped(g: &BTreeMap<String, Tensor>) -> Tapped {
    let layer = |x: &Tensor, n: u32| {
        x.linear(
            &(&g[&format!("frozen{n}")] + leaf(&g[&format!("delta{n}")])),
            None::<&Tensor>,
        )
    };
    let first = layer(&g["x"], 1);
    let hidden = first.tanh();
    let second = layer(&hidden, 2);
    let kind = g["x"].kind();
    let mask = g["mask"].to_kind(kind).unsqueeze(2);
    let pooled = (second.tanh() * &mask).sum_dim_intlist(1, false, kind) / mask.sum_dim_intlist(1, false, kind);
    let logits = pooled.linear(&leaf(&g["weight"]), Some(&leaf(&g["bias"])));
    let tap = |name: &str, input: &Tensor, output: &Tensor| Tap {
        name: name.into(),
        output: output.shallow_clone(),
        trained: Trained::Weight(input.shallow_clone()),
    };
    let taps = vec![
        tap("first", &g["x"], &first),
        tap("second", &hidden, &second),
        tap(HEAD, &pooled, &logits),
    ];
    let mask = g["mask"].shallow_clone();
    Tapped { logits, taps, mask }
}

#[test]
fn the_fisher_is_that_of_its_definition_for_every_estimator() {
    let g = golden("fisher.safetensors");
    for (estimator, labels) in [
        ("exact", Labels::Expected),
        ("empirical", Labels::Given(g["labels"].shallow_clone())),
        ("sampled", Labels::Given(g["drawn"].shallow_clone())),
    ] {
        let mean = fisher(&g, &labels);
        assert_eq!(mean.len(), 4);
        for (name, fisher) in mean {
            assert_close(
                &fisher,
                &g[&format!("{estimator}/{name}")],
                1e-12,
                &format!("{estimator} {name}"),
            );
        }
    }
}

fn fisher(g: &BTreeMap<String, Tensor>, labels: &Labels) -> BTreeMap<String, Tensor> {
    whole(estimated(&tapped(g), labels, &BTreeSet::new()))
}

/// Over the oracle's seven examples.
pub fn estimated(tapped: &Tapped, labels: &Labels, factored: &BTreeSet<String>) -> BTreeMap<String, Squares> {
    let squares = squared_gradients(tapped, labels, Rows::Examples, factored).unwrap();
    let mut estimate = Estimate::default();
    estimate.add(squares, 7).unwrap();
    estimate.mean().unwrap()
}

fn whole(mean: BTreeMap<String, Squares>) -> BTreeMap<String, Tensor> {
    let of = |(name, squares): (String, Squares)| (name, squares.diagonal().unwrap().shallow_clone());
    mean.into_iter().map(of).collect()
}

#[test]
fn of_a_layer_that_reads_some_tokens_the_fisher_is_by_example() {
    let g = golden("fisher.safetensors");
    let mean = whole(estimated(&routed(&g), &Labels::Expected, &BTreeSet::new()));
    assert_close(&mean["first"], &g["exact/first"], 1e-12, "routed");
}

/// The oracle's network with the first layer as one that is given every token, padding too, in another order.
pub fn routed(g: &BTreeMap<String, Tensor>) -> Tapped {
    let mask = tapped(g).mask;
    let (examples, tokens) = g["mask"].size2().unwrap();
    let order: Vec<i64> = (0..examples * tokens).rev().collect();
    let places = Tensor::from_slice(&order);
    let routed = |x: &Tensor| x.flatten(0, 1).index_select(0, &places);
    let x = routed(&g["x"]);
    let first = x.linear(&(&g["frozen1"] + leaf(&g["delta1"])), None::<&Tensor>);
    let back = Tensor::zeros([examples * tokens, first.size()[1]], (Kind::Double, tch::Device::Cpu));
    let hidden = back
        .index_add(0, &places, &first)
        .reshape([examples, tokens, -1])
        .tanh();
    let second = hidden.linear(&(&g["frozen2"] + &g["delta2"]), None::<&Tensor>).tanh();
    let shown = mask.to_kind(Kind::Double).unsqueeze(2);
    let pooled =
        (second * &shown).sum_dim_intlist(1, false, Kind::Double) / shown.sum_dim_intlist(1, false, Kind::Double);
    let logits = pooled.linear(&g["weight"], Some(&g["bias"]));
    let tap = Tap {
        name: "first".into(),
        output: first.shallow_clone(),
        trained: Trained::Routed {
            input: x,
            places: places.shallow_clone(),
        },
    };
    let taps = vec![tap];
    Tapped { logits, taps, mask }
}

#[test]
fn in_single_precision_the_fisher_is_that_of_its_definition_to_five_digits() {
    let double = golden("fisher.safetensors");
    let single = |tensor: &Tensor| match tensor.kind() {
        Kind::Double => tensor.to_kind(Kind::Float),
        _ => tensor.shallow_clone(),
    };
    let g: BTreeMap<String, Tensor> = double
        .iter()
        .map(|(name, tensor)| (name.clone(), single(tensor)))
        .collect();
    for (estimator, labels) in [
        ("exact", Labels::Expected),
        ("empirical", Labels::Given(g["labels"].shallow_clone())),
        ("sampled", Labels::Given(g["drawn"].shallow_clone())),
    ] {
        let network = tapped(&g);
        assert_eq!(network.logits.kind(), Kind::Float);
        for (name, fisher) in whole(estimated(&network, &labels, &BTreeSet::new())) {
            let what = format!("{estimator}/{name}");
            assert_close(&fisher, &double[&what], 1e-5, &what);
        }
        let network = tapped(&g);
        for (name, fisher) in estimated(&network, &labels, &["first", "second"].map(str::to_owned).into()) {
            if let Squares::Factored { rows, columns } = fisher {
                let wanted = &double[&format!("{estimator}/{name}")];
                assert_close(&rows, &wanted.sum_dim_intlist(1, false, Kind::Double), 1e-5, &name);
                assert_close(&columns, &wanted.sum_dim_intlist(0, false, Kind::Double), 1e-5, &name);
            }
        }
    }
}

#[test]
fn of_answers_at_every_token_the_fisher_is_that_of_their_sum_by_example() {
    let g = golden("fisher-tokens.safetensors");
    let one = |example: i64| {
        let length = g["lengths"].int64_value(&[example]);
        let x = g["x"].narrow(0, example, 1).narrow(1, 0, length);
        let layer = |x: &Tensor, n: u32| {
            let weight = &g[&format!("frozen{n}")] + leaf(&g[&format!("delta{n}")]);
            x.linear(&weight, None::<&Tensor>)
        };
        let first = layer(&x, 1);
        let hidden = first.tanh();
        let second = layer(&hidden, 2);
        let labels = g["labels"].get(example).narrow(0, 0, length);
        let asked = labels.ge(0).nonzero().squeeze_dim(1);
        let read = second
            .tanh()
            .cumsum(1, Kind::Double)
            .squeeze_dim(0)
            .index_select(0, &asked);
        let logits = read.linear(&leaf(&g["weight"]), Some(&leaf(&g["bias"])));
        let tap = |name: &str, input: &Tensor, output: &Tensor| Tap {
            name: name.into(),
            output: output.shallow_clone(),
            trained: Trained::Weight(input.shallow_clone()),
        };
        let taps = vec![
            tap("first", &x, &first),
            tap("second", &hidden, &second),
            tap(HEAD, &read, &logits),
        ];
        let mask = Tensor::ones([1, length], (Kind::Int64, tch::Device::Cpu));
        (Tapped { logits, taps, mask }, labels.index_select(0, &asked))
    };
    for factored in [BTreeSet::new(), ["first", "second"].map(str::to_owned).into()] {
        let mut estimate = Estimate::default();
        for example in 0..7 {
            let (tapped, labels) = one(example);
            let answers = labels.size()[0] as usize;
            let squares = squared_gradients(&tapped, &Labels::Given(labels), Rows::TokensOfOneExample, &factored);
            estimate.add(squares.unwrap(), answers).unwrap();
        }
        let mean = estimate.mean().unwrap();
        assert_eq!(mean.len(), 4);
        for (name, squares) in mean {
            let wanted = &g[&name];
            match squares {
                Squares::Diagonal(fisher) => assert_close(&fisher, wanted, 1e-12, &name),
                Squares::Factored { rows, columns } => {
                    assert_close(&rows, &wanted.sum_dim_intlist(1, false, Kind::Double), 1e-12, &name);
                    assert_close(&columns, &wanted.sum_dim_intlist(0, false, Kind::Double), 1e-12, &name);
                }
            }
        }
    }
}

#[test]
fn avalanches_fisher_is_ours_with_batches_of_one_and_none_with_batches_of_four() {
    let g = golden("fisher.safetensors");
    let peers = golden("fisher-peers.safetensors");
    for (name, fisher) in fisher(&g, &Labels::Given(g["labels"].shallow_clone())) {
        assert_close(&fisher, &peers[&format!("avalanche.1/{name}")], 1e-10, &name);
        // The squared mean gradient of a batch: what is not used here.
        let share =
            (peers[&format!("avalanche.4/{name}")].sum(Kind::Double) / fisher.sum(Kind::Double)).double_value(&[]);
        assert!(share < 0.8, "{name}: a batch's gradient has {share} of the examples'");
    }
}

#[test]
fn the_exact_fisher_of_a_head_is_backpacks() {
    let g = golden("fisher-peers.safetensors");
    let (x, weight, bias) = (&g["backpack/x"], &g["backpack/weight"], &g["backpack/bias"]);
    let logits = x.linear(weight, Some(bias));
    let tap = Tap {
        name: HEAD.into(),
        output: logits.shallow_clone(),
        trained: Trained::Weight(x.shallow_clone()),
    };
    let tapped = Tapped {
        logits,
        taps: vec![tap],
        mask: Tensor::ones([6, 1], (Kind::Int64, tch::Device::Cpu)),
    };
    let mut estimate = Estimate::default();
    let squares = squared_gradients(&tapped, &Labels::Expected, Rows::Examples, &BTreeSet::new()).unwrap();
    estimate.add(squares, 6).unwrap();
    for (name, fisher) in whole(estimate.mean().unwrap()) {
        assert_close(&fisher, &g[&format!("backpack/fisher/{name}")], 1e-10, &name);
    }
}

#[test]
fn the_fisher_of_a_linear_softmax_has_a_closed_form() {
    // log p(y | x) = (W x)_y - lse(W x): F of W[c, i] is the mean of p_c (1 - p_c) x_i^2. Seen as an adapted layer
    // (one token an example) and as a head, it has to be the same.
    tch::manual_seed(1);
    let x = Tensor::randn([6, 4], (Kind::Double, tch::Device::Cpu));
    let weight = Tensor::randn([3, 4], (Kind::Double, tch::Device::Cpu)).set_requires_grad(true);
    let tokens = x.unsqueeze(1);
    let output = tokens.linear(&weight, None::<&Tensor>);
    let logits = output.squeeze_dim(1);
    let taps = vec![
        Tap {
            name: "layer".into(),
            output: output.shallow_clone(),
            trained: Trained::Weight(tokens),
        },
        Tap {
            name: HEAD.into(),
            output: logits.shallow_clone(),
            trained: Trained::Weight(x.shallow_clone()),
        },
    ];
    let mask = Tensor::ones([6, 1], (Kind::Int64, tch::Device::Cpu));
    let p = logits.softmax(1, Kind::Double).detach();
    let tapped = Tapped { logits, taps, mask };
    let squares = squared_gradients(&tapped, &Labels::Expected, Rows::Examples, &BTreeSet::new());
    let squares = whole(squares.unwrap().into_iter().collect());
    let spread: Tensor = &p * (1.0 - &p);
    let expected = spread.transpose(0, 1).matmul(&x.square());
    assert_close(&squares["layer"], &expected, 1e-12, "layer");
    assert_close(&squares[HEAD_WEIGHT], &expected, 1e-12, "head");
    assert_close(
        &squares[HEAD_BIAS],
        &spread.sum_dim_intlist(0, false, Kind::Double),
        1e-12,
        "bias",
    );
}

#[test]
fn the_fisher_accumulates_and_new_labels_have_no_past() {
    let values = |v: &[f32], shape: &[i64]| Tensor::from_slice(v).reshape(shape);
    let mut parent = FisherState::default();
    parent.insert(
        HEAD_WEIGHT,
        Entry {
            fisher: values(&[1., 2.], &[1, 2]),
            anchor: values(&[0., 0.], &[1, 2]),
        },
    );
    parent.insert(
        "site",
        Entry {
            fisher: values(&[4.], &[1, 1]),
            anchor: values(&[9.], &[1, 1]),
        },
    );
    let (weight, bias) = (values(&[1., 1., 1., 1.], &[2, 2]), values(&[7., 8.], &[2]));
    let site = LoraSite {
        name: "site".into(),
        a: values(&[3.], &[1, 1]),
        b: values(&[2.], &[1, 1]),
        scaling: 0.5,
        dora: None,
        parent: None,
    };
    let mean = BTreeMap::from([
        (HEAD_WEIGHT, values(&[10., 10., 20., 20.], &[2, 2])),
        (HEAD_BIAS, values(&[5., 6.], &[2])),
        ("site", values(&[1.], &[1, 1])),
    ]);
    let squares = |name: &str| (name.to_owned(), Squares::Diagonal(mean[name].copy()));
    let sites = [site];
    let all = mean.keys().map(|name| squares(name)).collect();
    let state = FisherState::accumulate(Some(&parent), 0.5, &all, &held(&sites, &weight, &bias)).unwrap();
    let entries: BTreeMap<&str, &Entry> = state.entries().collect();
    assert_eq!(entries[HEAD_WEIGHT].fisher, values(&[10.5, 11., 20., 20.], &[2, 2]));
    assert_eq!(entries[HEAD_BIAS].fisher, values(&[5., 6.], &[2]));
    assert_eq!(entries["site"].fisher, values(&[3.], &[1, 1]));
    assert_eq!(entries["site"].anchor, sites[0].product().unwrap());
    // What no example reached keeps what was known of it, at where it is now.
    let reached = [HEAD_WEIGHT, HEAD_BIAS].map(squares).into();
    let unseen = FisherState::accumulate(Some(&parent), 0.5, &reached, &held(&sites, &weight, &bias)).unwrap();
    let unseen: BTreeMap<&str, &Entry> = unseen.entries().collect();
    assert_eq!(unseen["site"].fisher, values(&[2.], &[1, 1]));
    assert_eq!(unseen["site"].anchor, entries["site"].anchor);
    assert_eq!(entries["site"].anchor, values(&[3.], &[1, 1]));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fisher.safetensors");
    state.write(&path, &provenance()).unwrap();
    let read = FisherState::read(&path).unwrap();
    for (name, entry) in read.entries() {
        assert_eq!(
            (&entry.fisher, &entry.anchor),
            (&entries[name].fisher, &entries[name].anchor),
            "{name}"
        );
    }
    // One flipped bit of a Fisher can make it negative, or break the header: never a silent zero.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 2);
    std::fs::write(&path, bytes).unwrap();
    assert!(
        FisherState::read(&path)
            .unwrap_err()
            .message
            .contains("fisher.safetensors")
    );
}

/// What a file says of how it was made.
pub fn provenance() -> Provenance {
    Provenance {
        estimator: FisherEstimate::Exact,
        examples: 7,
        labels: 2,
        decay: 0.5,
        accumulated: true,
        factored: 2,
    }
}
