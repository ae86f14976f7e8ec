//! A Fisher that is kept by its row and column sums.

use super::fisher::{estimated, provenance, routed, tapped};
use super::{assert_close, golden, leaf};
use std::collections::{BTreeMap, BTreeSet};
use tch::{Kind, Tensor};
use wengu_protocol::job::FisherForm;
use wengu_trainer::fisher::{Entry, FACTORED_FROM, Factored, FisherState, Labels, Squares, factored};
use wengu_trainer::model::{Factors, Held, LoraSite, Product, Value};
use wengu_trainer::objective::Ewc;

const LAYERS: [&str; 2] = ["first", "second"];

fn names() -> BTreeSet<String> {
    LAYERS.map(str::to_owned).into()
}

fn assert_sums(found: &Squares, whole: &Tensor, what: &str) {
    let Squares::Factored { rows, columns } = found else {
        panic!("{what} is kept whole");
    };
    let sum = |dim: i64| whole.sum_dim_intlist(dim, false, Kind::Double);
    assert_close(rows, &sum(1), 1e-12, &format!("{what}, rows"));
    assert_close(columns, &sum(0), 1e-12, &format!("{what}, columns"));
}

#[test]
fn the_sums_are_those_of_the_fisher_by_its_definition_for_every_estimator() {
    let (g, several) = (golden("fisher.safetensors"), golden("multi_label.safetensors"));
    for (estimator, labels, expected) in [
        ("exact", Labels::Expected, &g),
        ("empirical", Labels::Given(g["labels"].shallow_clone()), &g),
        ("sampled", Labels::Given(g["drawn"].shallow_clone()), &g),
        ("exact", Labels::EveryOutcome, &several),
        ("given", Labels::Outcomes(several["outcomes"].shallow_clone()), &several),
    ] {
        let mean = estimated(&tapped(&g), &labels, &names());
        assert_eq!(mean.len(), 4, "the head is kept whole");
        for name in LAYERS {
            let what = format!("{estimator}/{name}");
            assert_sums(&mean[name], &expected[&what], &what);
        }
    }
    // A layer that reads some of the tokens, in another order.
    let mean = estimated(&routed(&g), &Labels::Expected, &names());
    assert_sums(&mean["first"], &g["exact/first"], "routed");
}

fn sites(g: &BTreeMap<String, Tensor>) -> Vec<LoraSite> {
    let site = |name: &str| LoraSite {
        name: name.into(),
        a: leaf(&g[&format!("parameter/{name}.a")]),
        b: leaf(&g[&format!("parameter/{name}.b")]),
        scaling: g["scaling"].double_value(&[]),
        dora: None,
        parent: g.get(&format!("parent_a/{name}")).map(|a| Factors {
            a: a.copy(),
            b: g[&format!("parent_b/{name}")].copy(),
        }),
    };
    LAYERS.map(site).into()
}

fn held(sites: &[LoraSite]) -> Vec<Held> {
    let of = |site: &LoraSite| Held {
        name: site.name.clone(),
        value: site.held().unwrap(),
        grows: false,
    };
    sites.iter().map(of).collect()
}

fn state(g: &BTreeMap<String, Tensor>) -> FisherState {
    let mut state = FisherState::default();
    for name in LAYERS {
        let part = |part: &str| g[&format!("{part}/{name}")].copy();
        let anchor = Product {
            left: part("left"),
            right: part("right"),
        };
        let (rows, columns) = (part("rows"), part("columns"));
        state.insert_factored(name, Factored { rows, columns, anchor });
    }
    state
}

#[test]
fn the_penalty_and_its_gradient_are_those_of_the_whole_matrices() {
    let g = golden("factored.safetensors");
    let (sites, parent) = (sites(&g), state(&g));
    let held = held(&sites);
    let ewc = Ewc::new(g["strength"].double_value(&[]), &parent, &held).unwrap();
    let value = ewc.penalty(&held).unwrap().unwrap();
    value.backward();
    assert_close(&value.detach(), &g["value"], 1e-13, "value");
    for site in &sites {
        for (part, tensor) in [("a", &site.a), ("b", &site.b)] {
            let name = format!("gradient/{}.{part}", site.name);
            assert_close(&tensor.grad(), &g[&name], 1e-12, &name);
        }
    }
    for (name, entry) in parent.factored() {
        let whole = &g[&format!("fisher/{name}")];
        assert_close(&entry.diagonal().unwrap(), whole, 1e-13, name);
    }
}

#[test]
fn in_single_precision_a_small_move_costs_what_it_costs_in_double() {
    // The product of the factors is a thousand times as large as the move.
    tch::manual_seed(3);
    let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, tch::Device::Cpu));
    let (left, right) = (random(&[40, 8]), random(&[8, 30]));
    let (rows, columns) = (random(&[40]).abs(), random(&[30]).abs());
    let columns = &columns * rows.sum(Kind::Float) / columns.sum(Kind::Float);
    let moved = Product {
        left: &left + random(&[40, 8]) * 1e-3,
        right: right.copy(),
    };
    let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
    let difference = (double(&moved.left) - double(&left)).matmul(&double(&right));
    let entry = Factored {
        rows,
        columns,
        anchor: Product { left, right },
    };
    let wanted = (entry.diagonal().unwrap() * difference.square()).sum(Kind::Double);
    let found = entry.distance(&moved).unwrap();
    assert_eq!(found.kind(), Kind::Float);
    assert_close(&double(&found), &wanted, 1e-6, "distance");
    let still = entry.distance(&entry.anchor).unwrap().double_value(&[]);
    assert!(still.abs() < 1e-9 * wanted.double_value(&[]), "{still}");
}

#[test]
fn the_sums_accumulate_as_the_fisher_does_in_whatever_form_the_parent_has_it() {
    let g = golden("fisher.safetensors");
    let held = LAYERS.map(|name| {
        let [outputs, inputs] = *g[&format!("exact/{name}")].size() else {
            unreachable!()
        };
        let options = (Kind::Double, tch::Device::Cpu);
        Held {
            name: name.into(),
            value: Value::Product(Product {
                left: Tensor::ones([outputs, 2], options),
                right: Tensor::ones([2, inputs], options),
            }),
            grows: false,
        }
    });
    let update = |parent: Option<&FisherState>, labels: &Labels, by_sums: &BTreeSet<String>| {
        FisherState::accumulate(
            parent,
            0.5,
            &estimated(&tapped(&g), labels, by_sums),
            &with_head(&held, &g),
        )
        .unwrap()
    };
    let (drawn, exact) = (Labels::Given(g["drawn"].shallow_clone()), Labels::Expected);
    let (whole, sums) = (update(None, &drawn, &BTreeSet::new()), update(None, &drawn, &names()));
    assert_eq!((whole.entries().count(), whole.factored().count()), (4, 0));
    assert_eq!((sums.entries().count(), sums.factored().count()), (2, 2));
    let expected = |name: &str| &g[&format!("sampled/{name}")] * 0.5 + &g[&format!("exact/{name}")];
    for parent in [&whole, &sums] {
        let next = update(Some(parent), &exact, &names());
        for (name, entry) in next.factored() {
            let sum = |dim: i64| expected(name).sum_dim_intlist(dim, false, Kind::Double);
            assert_close(&entry.rows.to_kind(Kind::Double), &sum(1), 1e-6, name);
            assert_close(&entry.columns.to_kind(Kind::Double), &sum(0), 1e-6, name);
            assert_eq!(entry.anchor.left.size()[1], 2);
        }
    }
    // What the sums say of each number is what is left of them where the next one is kept whole.
    let next = update(Some(&sums), &exact, &BTreeSet::new());
    let next: BTreeMap<&str, &Entry> = next.entries().collect();
    for (name, entry) in sums.factored() {
        let wanted = entry.diagonal().unwrap() * 0.5 + &g[&format!("exact/{name}")];
        assert_close(&next[name].fisher.to_kind(Kind::Double), &wanted, 1e-6, name);
    }
    // What no example reached keeps what was known of it.
    let unseen = FisherState::accumulate(Some(&sums), 0.5, &BTreeMap::new(), &held).unwrap();
    let before: BTreeMap<&str, &Factored> = sums.factored().collect();
    for (name, entry) in unseen.factored() {
        assert_close(&entry.rows, &(&before[name].rows * 0.5), 1e-6, name);
    }
    assert_eq!(unseen.factored().count(), 2);
}

/// The layers and the oracle's head.
fn with_head(layers: &[Held], g: &BTreeMap<String, Tensor>) -> Vec<Held> {
    let layers = layers.iter().map(|held| {
        let product = held.product().unwrap();
        Held {
            name: held.name.clone(),
            value: Value::Product(Product {
                left: product.left.shallow_clone(),
                right: product.right.shallow_clone(),
            }),
            grows: false,
        }
    });
    layers
        .chain(wengu_trainer::model::held_head(&g["weight"], &g["bias"]))
        .collect()
}

#[test]
fn left_to_itself_only_large_products_are_kept_by_their_sums() {
    let of = |outputs: i64| {
        let part = |shape: [i64; 2]| Tensor::zeros(shape, (Kind::Float, tch::Device::Cpu));
        let whole = Held {
            name: "classifier.bias".into(),
            value: Value::Whole(part([1, 4])),
            grows: true,
        };
        let product = Held {
            name: "layer".into(),
            value: Value::Product(Product {
                left: part([outputs, 1]),
                right: part([1, 1 << 10]),
            }),
            grows: false,
        };
        [whole, product]
    };
    let large = FACTORED_FROM >> 10;
    assert!(factored(FisherForm::Auto, &of(large - 1)).is_empty());
    assert_eq!(
        factored(FisherForm::Auto, &of(large)),
        BTreeSet::from(["layer".to_owned()])
    );
    assert!(factored(FisherForm::Diagonal, &of(large)).is_empty());
    assert_eq!(
        factored(FisherForm::Factored, &of(1)),
        BTreeSet::from(["layer".to_owned()])
    );
}

#[test]
fn a_file_keeps_the_sums_and_names_what_is_wrong_with_them() {
    let g = golden("factored.safetensors");
    let state = state(&g);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fisher.safetensors");
    state.write(&path, &provenance()).unwrap();
    let read = FisherState::read(&path).unwrap();
    assert_eq!(read.factored().count(), 2);
    for ((name, wrote), (_, found)) in state.factored().zip(read.factored()) {
        assert_eq!((&wrote.rows, &wrote.columns), (&found.rows, &found.columns), "{name}");
        assert_eq!(wrote.anchor.left, found.anchor.left, "{name}");
        assert_eq!(wrote.anchor.right, found.anchor.right, "{name}");
    }
    // A model whose layer has another shape, or no factors.
    let held = |value: Value| {
        [Held {
            name: "first".into(),
            value,
            grows: false,
        }]
    };
    let zeros = |shape: [i64; 2]| Tensor::zeros(shape, (Kind::Double, tch::Device::Cpu));
    let whole = Ewc::new(1.0, &read, &held(Value::Whole(zeros([5, 4])))).unwrap_err();
    assert!(whole.message.contains("no factors"), "{}", whole.message);
    let (left, right) = (zeros([5, 2]), zeros([2, 3]));
    let other = Ewc::new(1.0, &read, &held(Value::Product(Product { left, right }))).unwrap_err();
    assert!(
        other.message.contains("[5, 4]") && other.message.contains("[5, 3]"),
        "{}",
        other.message
    );

    let spoil = |name: &str, tensor: Option<Tensor>| {
        let mut all: BTreeMap<String, Tensor> = Tensor::read_safetensors(&path).unwrap().into_iter().collect();
        all.remove(name);
        all.extend(tensor.map(|tensor| (name.to_owned(), tensor)));
        let other = dir.path().join("spoilt.safetensors");
        Tensor::write_safetensors(&all.iter().collect::<Vec<_>>(), &other).unwrap();
        FisherState::read(&other).unwrap_err().message
    };
    for (name, tensor, told) in [
        ("columns/first", None, "there is no `columns/first` to `rows/first`"),
        (
            "rows/first",
            Some(Tensor::from_slice(&[-1.0f32, 0., 0., 0., 0.])),
            "negative Fisher",
        ),
        (
            "left/second",
            Some(Tensor::ones([3, 3], (Kind::Float, tch::Device::Cpu))),
            "do not fit",
        ),
        ("rows/second", None, "is neither a Fisher nor the anchor of one"),
    ] {
        let message = spoil(name, tensor);
        assert!(
            message.contains(told) && message.contains("spoilt.safetensors"),
            "{message}"
        );
    }
}
