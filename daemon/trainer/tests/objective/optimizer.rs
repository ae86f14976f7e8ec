//! AdamW.

use super::{assert_close, golden, leaf};
use tch::Kind;
use wengu_trainer::optim::AdamW;

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
