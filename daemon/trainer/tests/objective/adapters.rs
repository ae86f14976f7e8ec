//! A new low-rank adapter beside its parent's: what the two make together, and what holds the new one.

use super::penalty::held;
use super::{assert_close, golden, leaf};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};
use wengu_trainer::fisher::{Entry, FisherState};
use wengu_trainer::low_rank::compress;
use wengu_trainer::model::{Factors, LoraSite};
use wengu_trainer::objective::{Ewc, orthogonal_penalty};

const LAYERS: [&str; 2] = ["wide", "high"];

fn sites(g: &BTreeMap<String, Tensor>) -> [LoraSite; 2] {
    LAYERS.map(|name| {
        let part = |part: &str| g[&format!("{name}.{part}")].copy();
        LoraSite {
            name: name.into(),
            a: leaf(&part("a")),
            b: leaf(&part("b")),
            scaling: g["scaling"].double_value(&[]),
            dora: None,
            parent: Some(Factors {
                a: part("parent.a"),
                b: part("parent.b"),
            }),
        }
    })
}

#[test]
fn the_sum_of_two_adapters_is_cut_as_the_svd_of_the_whole_product_cuts_it() {
    let g = golden("adapters.safetensors");
    for site in sites(&g) {
        let parent = site.parent.as_ref().unwrap();
        for rank in [3, 5, 6] {
            let of = |part: &str| &g[&format!("{}.{rank}.{part}", site.name)];
            let one = compress(&[(&parent.b, &parent.a), (&site.b, &site.a)], rank).unwrap();
            let product = one.b.matmul(&one.a) * site.scaling;
            assert_close(&product, of("product"), 1e-12, &site.name);
            // The square of what rounding leaves of nothing is some 1e-30.
            let error = (one.lost / one.whole).sqrt();
            assert!(
                (error - of("error").double_value(&[])).abs() < 1e-12,
                "{} {rank}",
                site.name
            );
            let upright = one.a.matmul(&one.a.tr()) - Tensor::eye(rank, (Kind::Double, tch::Device::Cpu));
            assert!(upright.abs().max().double_value(&[]) < 1e-12, "{} {rank}", site.name);
            // With the rank of both, nothing is lost.
            if rank == 6 {
                assert_close(&product, &site.product().unwrap().detach(), 1e-12, &site.name);
            }
        }
    }
}

#[test]
fn what_a_layer_answers_changes_by_no_more_than_the_stated_error() {
    let g = golden("adapters.safetensors");
    tch::manual_seed(5);
    for site in sites(&g) {
        let parent = site.parent.as_ref().unwrap();
        let whole = site.product().unwrap().detach();
        let x = Tensor::randn([20_000, whole.size()[1]], (Kind::Double, tch::Device::Cpu));
        for rank in [3, 5] {
            let one = compress(&[(&parent.b, &parent.a), (&site.b, &site.a)], rank).unwrap();
            let lost = &whole - one.b.matmul(&one.a) * site.scaling;
            let lengths = |of: &Tensor| of.square().sum_dim_intlist(1, false, Kind::Double);
            let (gone, there) = (lengths(&x.matmul(&lost.tr())), lengths(&x.matmul(&whole.tr())));
            // No input loses more than the whole error, and inputs from everywhere lose the stated share.
            let most = (&gone / lengths(&x)).max().double_value(&[]);
            assert!(
                most <= site.scaling.powi(2) * one.lost * (1.0 + 1e-9),
                "{} {rank}: {most}",
                site.name
            );
            let share = (gone.sum(Kind::Double) / there.sum(Kind::Double)).double_value(&[]);
            let stated = one.lost / one.whole;
            assert!(
                (share / stated - 1.0).abs() < 0.05,
                "{} {rank}: {share}, {stated}",
                site.name
            );
        }
    }
}

#[test]
fn a_rank_above_the_matrix_is_filled_with_nothing() {
    let draw = |shape: [i64; 2]| Tensor::arange(shape[0] * shape[1], (Kind::Float, tch::Device::Cpu)).reshape(shape);
    let (b, a) = (draw([3, 2]), draw([2, 5]));
    let one = compress(&[(&b, &a), (&b, &a)], 6).unwrap();
    assert_eq!((one.b.size(), one.a.size()), (vec![3, 6], vec![6, 5]));
    let twice = b.matmul(&a).to_kind(Kind::Double) * 2.0;
    assert_close(&one.b.matmul(&one.a), &twice, 1e-12, "product");
    let nothing = compress(&[(&b.zeros_like(), &a)], 2).unwrap();
    assert_eq!((nothing.whole, nothing.lost), (0.0, 0.0));
}

#[test]
fn the_orthogonality_loss_and_its_gradient() {
    let g = golden("adapters.safetensors");
    let sites = sites(&g);
    let value = orthogonal_penalty(g["lambda"].double_value(&[]), &sites)
        .unwrap()
        .unwrap();
    value.backward();
    assert_close(&value.detach().reshape([1]), &g["orthogonal.value"], 1e-13, "value");
    for site in &sites {
        let expected = &g[&format!("orthogonal.gradient/{}.a", site.name)];
        assert_close(&site.a.grad(), expected, 1e-12, &site.name);
        assert!(!site.b.grad().defined(), "B says where to, not what is read");
    }
    let alone = sites.map(|site| LoraSite { parent: None, ..site });
    assert!(orthogonal_penalty(1.0, &alone).unwrap().is_none());
}

#[test]
fn ewc_holds_what_the_new_adapter_adds() {
    let g = golden("adapters.safetensors");
    let sites = sites(&g);
    let mut parent = FisherState::default();
    for name in LAYERS {
        let part = |part: &str| g[&format!("ewc.{part}/{name}")].copy();
        let (fisher, anchor) = (part("fisher"), part("anchor"));
        parent.insert(name, Entry { fisher, anchor });
    }
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Double, tch::Device::Cpu));
    let held = held(&sites, &zeros(&[2, 3]), &zeros(&[2]));
    let ewc = Ewc::new(g["strength"].double_value(&[]), &parent, &held).unwrap();
    let value = ewc.penalty(&held).unwrap().unwrap();
    value.backward();
    assert_close(&value.detach().reshape([1]), &g["ewc.value"], 1e-12, "value");
    for site in &sites {
        for (part, tensor) in [("a", &site.a), ("b", &site.b)] {
            let name = format!("ewc.gradient/{}.{part}", site.name);
            assert_close(&tensor.grad(), &g[&name], 1e-12, &name);
        }
    }
    // Before the first step, with B zero, nothing has moved.
    let start = sites.map(|site| LoraSite {
        b: site.b.zeros_like(),
        ..site
    });
    let held = self::held(&start, &zeros(&[2, 3]), &zeros(&[2]));
    let penalty = ewc.penalty(&held).unwrap().unwrap();
    assert!(penalty.double_value(&[]) < 1e-25);
}
