//! The objective, AdamW and the Fisher against values that PyTorch computed in float64 (tests/oracle).

use std::collections::BTreeMap;
use std::path::Path;
use tch::{Kind, Tensor};
use wengu_protocol::job::FisherEstimate;
use wengu_trainer::fisher::{Entry, Estimate, FisherState, HEAD_BIAS, HEAD_WEIGHT, Labels, Rows, squared_gradients};
use wengu_trainer::model::{HEAD, Held, LoraSite, Tap, Tapped, Trained, held_head};
use wengu_trainer::objective::{
    Ewc, binary_cross_entropy_sum, binary_distillation_sum, cross_entropy_sum, distillation_sum, logit_distance_sum,
    prior_correction, soft_cross_entropy_sum,
};
use wengu_trainer::optim::AdamW;

fn golden(file: &str) -> BTreeMap<String, Tensor> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden/objective")
        .join(file);
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

/// Largest difference, which must be below `limit` relative to the largest value.
fn assert_close(found: &Tensor, expected: &Tensor, limit: f64, what: &str) {
    assert_eq!(found.size(), expected.size(), "{what}");
    let difference = (found - expected).abs().max().double_value(&[]);
    let scale = expected.abs().max().double_value(&[]).max(1e-30);
    assert!(
        difference / scale < limit,
        "{what}: {difference:e} where values reach {scale:e}"
    );
}

fn leaf(tensor: &Tensor) -> Tensor {
    tensor.copy().set_requires_grad(true)
}

#[test]
fn cross_entropy_and_its_gradient() {
    let g = golden("terms.safetensors");
    let logits = leaf(&g["ce.logits"]);
    let value = cross_entropy_sum(&logits, &g["ce.labels"], &g["ce.weights"]).unwrap();
    value.backward();
    assert_close(&value.detach(), &g["ce.value"], 1e-13, "value");
    assert_close(&logits.grad(), &g["ce.gradient"], 1e-13, "gradient");
}

#[test]
fn of_several_labels_the_loss_is_transformers_and_finite_far_out() {
    let g = golden("multi_label.safetensors");
    let logits = leaf(&g["bce.logits"]);
    let value = binary_cross_entropy_sum(&logits, &g["bce.targets"], &g["bce.weights"]).unwrap();
    value.backward();
    assert_close(&value.detach(), &g["bce.value"], 1e-13, "value");
    assert_close(&logits.grad(), &g["bce.gradient"], 1e-13, "gradient");
    let far = leaf(&Tensor::from_slice(&[1e4f32, -1e4, 0.0]).reshape([1, 3]));
    let targets = Tensor::from_slice(&[0f32, 1.0, 1.0]).reshape([1, 3]);
    let value = binary_cross_entropy_sum(&far, &targets, &Tensor::from_slice(&[3f32])).unwrap();
    value.backward();
    assert!((value.double_value(&[]) - (2e4 + 2f64.ln())).abs() < 0.01);
    assert_close(
        &far.grad(),
        &Tensor::from_slice(&[1f32, -1.0, -0.5]).reshape([1, 3]),
        1e-6,
        "far out",
    );
}

#[test]
fn of_several_labels_distillation_is_the_divergence_of_each_that_the_teacher_knew() {
    let g = golden("multi_label.safetensors");
    for temperature in [1, 2, 5] {
        let of = |name: &str| &g[&format!("kd.{temperature}.{name}")];
        let student = leaf(of("student"));
        let value = binary_distillation_sum(&student, of("teacher"), f64::from(temperature)).unwrap();
        value.backward();
        assert_close(&value.detach(), of("value"), 1e-12, "value");
        assert_close(&student.grad(), of("gradient"), 1e-12, "gradient");
        assert_eq!(student.grad().narrow(1, 4, 3).abs().max().double_value(&[]), 0.0);
    }
}

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

#[test]
fn soft_cross_entropy_is_the_expected_cross_entropy() {
    let g = golden("terms.safetensors");
    let (logits, weights) = (leaf(&g["ce.logits"]), &g["ce.weights"]);
    let (rows, labels) = logits.size2().unwrap();
    // Any distribution: here what another model would say.
    let q = (&g["ce.logits"] * -0.7 + 0.3).softmax(1, Kind::Double);
    let value = soft_cross_entropy_sum(&logits, &q, weights).unwrap();
    value.backward();
    // The expectation, one label at a time, by the term that PyTorch's own values have checked.
    let mut expected = Tensor::from(0.0);
    for label in 0..labels {
        let all = Tensor::full([rows], label, (Kind::Int64, tch::Device::Cpu));
        let share = q.select(1, label) * weights;
        expected += cross_entropy_sum(&g["ce.logits"], &all, &share).unwrap();
    }
    assert_close(&value.detach(), &expected, 1e-13, "value");
    // Its gradient in closed form: w (softmax(logits) - q).
    let gradient = (g["ce.logits"].softmax(1, Kind::Double) - &q) * weights.unsqueeze(1);
    assert_close(&logits.grad(), &gradient, 1e-12, "gradient");
    // Certainty is the plain cross entropy.
    let certain = g["ce.labels"].one_hot(labels).to_kind(Kind::Double);
    let value = soft_cross_entropy_sum(&g["ce.logits"], &certain, weights).unwrap();
    assert_close(&value, &g["ce.value"], 1e-13, "certain");
}

#[test]
fn distillation_and_its_gradient_at_three_temperatures() {
    let g = golden("terms.safetensors");
    for temperature in [1.0, 2.0, 5.0] {
        let get = |name: &str| &g[&format!("kd.{temperature:.0}.{name}")];
        let student = leaf(get("student"));
        let value = distillation_sum(&student, get("teacher"), temperature).unwrap();
        value.backward();
        assert_close(&value.detach(), get("value"), 1e-12, "value");
        assert_close(&student.grad(), get("gradient"), 1e-12, "gradient");
        // The classes that the teacher did not know are left alone.
        let new = student.grad().narrow(1, 4, 3).abs().max().double_value(&[]);
        assert_eq!(new, 0.0);
    }
}

#[test]
fn the_distance_of_logits_of_a_grown_head_and_its_gradient() {
    let g = golden("terms.safetensors");
    let student = leaf(&g["der.student"]);
    let value = logit_distance_sum(&student, &g["der.teacher"]).unwrap();
    value.backward();
    assert_close(&value.detach(), &g["der.value"], 1e-13, "value");
    assert_close(&student.grad(), &g["der.gradient"], 1e-13, "gradient");
    let new = student.grad().narrow(1, 4, 3).abs().max().double_value(&[]);
    assert_eq!(new, 0.0);
}

#[test]
fn logits_are_corrected_by_the_shares_of_their_labels() {
    let g = golden("terms.safetensors");
    let counts = |name: &str| Vec::<f64>::try_from(&g[&format!("prior.{name}")]).unwrap();
    let learned: Vec<u64> = counts("learned").iter().map(|n| *n as u64).collect();
    let correction = prior_correction(0.7, &counts("new"), &counts("replayed"), &learned);
    let correction = Tensor::from_slice(&correction).to_kind(Kind::Double);
    assert_close(&correction, &g["prior.correction"], 1e-6, "correction");
    let logits = leaf(&g["prior.logits"]);
    let ones = Tensor::ones([5], (Kind::Double, tch::Device::Cpu));
    let corrected = &logits + &g["prior.correction"];
    let value = cross_entropy_sum(&corrected, &g["prior.labels"], &ones).unwrap();
    value.backward();
    assert_close(&value.detach(), &g["prior.value"], 1e-13, "value");
    assert_close(&logits.grad(), &g["prior.gradient"], 1e-12, "gradient");
}

#[test]
fn the_ewc_penalty_and_its_gradient() {
    let g = golden("terms.safetensors");
    let parameter = |name: &str| leaf(&g[&format!("ewc.parameter/{name}")]);
    let site = |name: &str| LoraSite {
        name: name.into(),
        a: parameter(&format!("{name}.a")),
        b: parameter(&format!("{name}.b")),
        scaling: g["ewc.scaling"].double_value(&[]),
        dora: None,
    };
    let sites = [site("first"), site("second")];
    let (weight, bias) = (parameter(HEAD_WEIGHT), parameter(HEAD_BIAS));
    let parent = parent_state(&g, &["first", "second", HEAD_WEIGHT, HEAD_BIAS]);
    let held = held(&sites, &weight, &bias);
    let ewc = Ewc::new(g["ewc.lambda"].double_value(&[]), &parent, &held).unwrap();
    let value = ewc.penalty(&held).unwrap().unwrap();
    value.backward();
    assert_close(&value.detach(), &g["ewc.value"], 1e-13, "value");
    for (name, tensor) in [
        ("first.a", &sites[0].a),
        ("first.b", &sites[0].b),
        ("second.a", &sites[1].a),
        ("second.b", &sites[1].b),
        (HEAD_WEIGHT, &weight),
        (HEAD_BIAS, &bias),
    ] {
        assert_close(&tensor.grad(), &g[&format!("ewc.gradient/{name}")], 1e-12, name);
    }
}

/// What a model with these sites and this head holds.
fn held(sites: &[LoraSite], weight: &Tensor, bias: &Tensor) -> Vec<Held> {
    let products = sites.iter().map(|site| Held {
        name: site.name.clone(),
        value: site.product().unwrap(),
        grows: false,
    });
    products.chain(held_head(weight, bias)).collect()
}

fn parent_state(g: &BTreeMap<String, Tensor>, names: &[&str]) -> FisherState {
    let mut state = FisherState::default();
    for &name in names {
        let part = |part: &str| g[&format!("ewc.{part}/{name}")].copy();
        state.insert(
            name,
            Entry {
                fisher: part("fisher"),
                anchor: part("anchor"),
            },
        );
    }
    state
}

#[test]
fn one_step_from_the_anchor_the_penalty_pulls_back_with_lambda_f_times_the_distance() {
    let fisher = Tensor::from_slice(&[0.5f64, 2.0, 1.0, 3.0]).reshape([2, 2]);
    let start = Tensor::from_slice(&[1.0f64, -1.0, 0.5, 0.0]).reshape([2, 2]);
    let weight = leaf(&start);
    let bias = leaf(&Tensor::zeros([2], (Kind::Double, tch::Device::Cpu)));
    let mut parent = FisherState::default();
    parent.insert(
        HEAD_WEIGHT,
        Entry {
            fisher: fisher.copy(),
            anchor: start.copy(),
        },
    );
    let held = held_head(&weight, &bias);
    let ewc = Ewc::new(10.0, &parent, &held).unwrap();

    let at_anchor = ewc.penalty(&held).unwrap().unwrap();
    assert_eq!(at_anchor.double_value(&[]), 0.0);
    let mut optimizer = AdamW::new();
    optimizer.add(HEAD_WEIGHT, &weight, 0.0, true).unwrap();
    (&weight * Tensor::from_slice(&[1.0f64, -2.0, 3.0, 1.0]).reshape([2, 2]))
        .sum(Kind::Double)
        .backward();
    optimizer.step(0.0, 0.1).unwrap();
    wengu_trainer::optim::zero_gradients(&optimizer.parameters()).unwrap();

    let penalty = ewc.penalty(&held).unwrap().unwrap();
    penalty.backward();
    assert!(penalty.double_value(&[]) > 0.0);
    assert_close(
        &weight.grad(),
        &(10.0 * fisher * (weight.detach() - start)),
        1e-12,
        "gradient",
    );
}

#[test]
fn a_fisher_that_does_not_fit_the_model_is_refused_by_name() {
    let g = golden("terms.safetensors");
    let (weight, bias) = (
        g["ewc.parameter/classifier.weight"].copy(),
        g["ewc.parameter/classifier.bias"].copy(),
    );
    let parent = parent_state(&g, &["first"]);
    let error = Ewc::new(1.0, &parent, &held_head(&weight, &bias)).unwrap_err();
    assert!(
        error.message.contains("`first`") && error.message.contains("not there"),
        "{}",
        error.message
    );
    let shrunk = weight.narrow(0, 0, 2);
    let parent = parent_state(&g, &[HEAD_WEIGHT]);
    assert!(Ewc::new(1.0, &parent, &held_head(&shrunk, &bias)).is_err());
    // A prompt of another length is another one: only a head grows.
    let rows = |count: i64| Tensor::ones([count, 3], (Kind::Float, tch::Device::Cpu));
    let prompt = |count: i64| Held {
        name: "prompt_embeddings".into(),
        value: rows(count),
        grows: false,
    };
    let mut parent = FisherState::default();
    let (fisher, anchor) = (rows(4), rows(4));
    parent.insert("prompt_embeddings", Entry { fisher, anchor });
    assert!(Ewc::new(1.0, &parent, &[prompt(4)]).is_ok());
    let error = Ewc::new(1.0, &parent, &[prompt(5)]).unwrap_err();
    assert!(error.message.contains("[5, 3]"), "{}", error.message);
}

#[test]
fn adamw_over_twenty_steps() {
    let g = golden("adamw.safetensors");
    for (kind, limit) in [(Kind::Double, 1e-12), (Kind::Float, 2e-5)] {
        let mut optimizer = AdamW::new();
        for (name, decay, head) in [("adapter", 0.1, false), ("head", 0.1, true), ("bias", 0.0, true)] {
            optimizer
                .add(name, &leaf(&g[&format!("start/{name}")].to_kind(kind)), decay, head)
                .unwrap();
        }
        for step in 0..20 {
            for slot in optimizer.slots() {
                let gradient = g[&format!("gradient/{}", slot.name)].get(step).to_kind(kind);
                let mut held = slot.parameter.grad();
                if held.defined() {
                    let _ = held.zero_();
                }
                (&slot.parameter * gradient).sum(kind).backward();
            }
            let scale = 1.0 - step as f64 / 20.0;
            optimizer.step(3e-2 * scale, 1e-1 * scale).unwrap();
            for slot in optimizer.slots() {
                let expected = g[&format!("after/{}", slot.name)].get(step).to_kind(kind);
                assert_close(
                    &slot.parameter.detach(),
                    &expected,
                    limit,
                    &format!("{} {step} {kind:?}", slot.name),
                );
            }
        }
        assert_eq!(optimizer.updates(), 20);
    }
}

/// The oracle's network, with taps where a model has them.
fn tapped(g: &BTreeMap<String, Tensor>) -> Tapped {
    let layer = |x: &Tensor, n: u32| {
        x.linear(
            &(&g[&format!("frozen{n}")] + leaf(&g[&format!("delta{n}")])),
            None::<&Tensor>,
        )
    };
    let first = layer(&g["x"], 1);
    let hidden = first.tanh();
    let second = layer(&hidden, 2);
    let mask = g["mask"].to_kind(Kind::Double).unsqueeze(2);
    let pooled =
        (second.tanh() * &mask).sum_dim_intlist(1, false, Kind::Double) / mask.sum_dim_intlist(1, false, Kind::Double);
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
    let squares = squared_gradients(&tapped(g), labels, Rows::Examples).unwrap();
    let mut estimate = Estimate::default();
    estimate.add(squares, 7).unwrap();
    estimate.mean().unwrap()
}

#[test]
fn of_a_layer_that_reads_some_tokens_the_fisher_is_by_example() {
    let g = golden("fisher.safetensors");
    let whole = tapped(&g);
    let (examples, tokens) = g["mask"].size2().unwrap();
    // The first layer as one that is given every token, padding too, in another order.
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
    let mask = g["mask"].to_kind(Kind::Double).unsqueeze(2);
    let pooled =
        (second * &mask).sum_dim_intlist(1, false, Kind::Double) / mask.sum_dim_intlist(1, false, Kind::Double);
    let logits = pooled.linear(&g["weight"], Some(&g["bias"]));
    let tap = Tap {
        name: "first".into(),
        output: first.shallow_clone(),
        trained: Trained::Routed {
            input: x,
            places: places.shallow_clone(),
        },
    };
    let mask = whole.mask;
    let squares = squared_gradients(
        &Tapped {
            logits,
            taps: vec![tap],
            mask,
        },
        &Labels::Expected,
        Rows::Examples,
    )
    .unwrap();
    let mut estimate = Estimate::default();
    estimate.add(squares, 7).unwrap();
    assert_close(&estimate.mean().unwrap()["first"], &g["exact/first"], 1e-12, "routed");
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
    let squares = squared_gradients(&tapped, &Labels::Expected, Rows::Examples).unwrap();
    estimate.add(squares, 6).unwrap();
    for (name, fisher) in estimate.mean().unwrap() {
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
    let squares: BTreeMap<String, Tensor> = squared_gradients(&tapped, &Labels::Expected, Rows::Examples)
        .unwrap()
        .into_iter()
        .collect();
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
    };
    let mean = BTreeMap::from([
        (HEAD_WEIGHT.to_owned(), values(&[10., 10., 20., 20.], &[2, 2])),
        (HEAD_BIAS.to_owned(), values(&[5., 6.], &[2])),
        ("site".to_owned(), values(&[1.], &[1, 1])),
    ]);
    let sites = [site];
    let state = FisherState::accumulate(Some(&parent), 0.5, &mean, &held(&sites, &weight, &bias)).unwrap();
    let entries: BTreeMap<&str, &Entry> = state.entries().collect();
    assert_eq!(entries[HEAD_WEIGHT].fisher, values(&[10.5, 11., 20., 20.], &[2, 2]));
    assert_eq!(entries[HEAD_BIAS].fisher, values(&[5., 6.], &[2]));
    assert_eq!(entries["site"].fisher, values(&[3.], &[1, 1]));
    assert_eq!(entries["site"].anchor, sites[0].product().unwrap());
    // What no example reached keeps what was known of it, at where it is now.
    let reached: BTreeMap<_, _> = mean
        .iter()
        .filter(|(name, _)| *name != "site")
        .map(|(n, t)| (n.clone(), t.copy()))
        .collect();
    let unseen = FisherState::accumulate(Some(&parent), 0.5, &reached, &held(&sites, &weight, &bias)).unwrap();
    let unseen: BTreeMap<&str, &Entry> = unseen.entries().collect();
    assert_eq!(unseen["site"].fisher, values(&[2.], &[1, 1]));
    assert_eq!(unseen["site"].anchor, entries["site"].anchor);
    assert_eq!(entries["site"].anchor, values(&[3.], &[1, 1]));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fisher.safetensors");
    let provenance = wengu_trainer::fisher::Provenance {
        estimator: FisherEstimate::Exact,
        examples: 7,
        labels: 2,
        decay: 0.5,
        accumulated: true,
    };
    state.write(&path, &provenance).unwrap();
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
