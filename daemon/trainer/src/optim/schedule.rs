/// Share of the peak learning rate at `step` (0-based) of `total`: a linear rise over the first
/// `warmup_fraction` of the steps, then a linear fall to 0, as `get_linear_schedule_with_warmup` of transformers.
pub fn rate_at(step: u64, total: u64, warmup_fraction: f64) -> f64 {
    let warmup = (warmup_fraction * total as f64).ceil().min(total as f64);
    let at = step as f64;
    if at < warmup {
        at.max(0.0) / warmup
    } else {
        (total as f64 - at).max(0.0) / (total as f64 - warmup).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls() {
        let rates: Vec<f64> = (0..=10).map(|step| rate_at(step, 10, 0.2)).collect();
        assert_eq!(rates, [0.0, 0.5, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0]);
    }

    #[test]
    fn edges() {
        assert_eq!(rate_at(0, 4, 0.0), 1.0);
        assert_eq!(rate_at(3, 4, 0.0), 0.25);
        assert_eq!(rate_at(3, 4, 1.0), 0.75);
        assert_eq!(rate_at(0, 1, 0.0), 1.0);
    }
}
