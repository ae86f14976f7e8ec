//! How a training step is split so that it fits into memory.
//!
//! Micro-batches cost least: the same work in smaller pieces. Gradient checkpointing costs a third more work. So the batch is
//! halved before layers are computed again, and only then are both done.

use crate::footprint::{Load, Memory, Shape, to_train, to_train_sparing};

/// What a step has to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The model.
    pub shape: Shape,
    /// Numbers of the frozen model.
    pub parameters: u64,
    /// Numbers that are trained.
    pub trained: u64,
    /// Adapted layers, (in, out).
    pub sites: Vec<(u64, u64)>,
    /// Examples that a step reads at once before it is split.
    pub examples: u64,
    /// Tokens of the longest.
    pub tokens: u64,
    /// Bytes of a frozen number: 4 for F32, 2 for BF16.
    pub bytes: u64,
}

/// How a step is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Micro-batches.
    pub accumulation: u32,
    /// Whether layers are computed again for their gradients.
    pub gradient_checkpointing: bool,
    /// What it takes then, by the estimate.
    pub memory: Memory,
    /// Whether that is within the budget. If not, nothing takes less.
    pub fits: bool,
}

impl Step {
    /// The cheapest way to split the step, into `least` micro-batches at the least, that takes at most `budget_bytes`.
    pub fn plan(&self, least: u32, budget_bytes: u64) -> MemoryPlan {
        let mut last = self.split(least.max(1), false, budget_bytes);
        for sparing in [false, true] {
            let mut parts = least.max(1);
            loop {
                last = self.split(parts, sparing, budget_bytes);
                if last.fits {
                    return last;
                }
                if u64::from(parts) >= self.examples {
                    break;
                }
                parts = parts
                    .saturating_mul(2)
                    .min(u32::try_from(self.examples).unwrap_or(u32::MAX));
            }
        }
        last
    }

    fn split(&self, accumulation: u32, sparing: bool, budget_bytes: u64) -> MemoryPlan {
        let load = Load {
            batch: self.examples.div_ceil(u64::from(accumulation)),
            tokens: self.tokens,
            bytes: self.bytes,
        };
        let estimate = if sparing { to_train_sparing } else { to_train };
        let memory = estimate(&self.shape, self.parameters, self.trained, &self.sites, load);
        MemoryPlan {
            accumulation,
            gradient_checkpointing: sparing,
            memory,
            fits: memory.total() <= budget_bytes,
        }
    }

    /// What would fit, for somebody whose step did not: shorter texts, or the frozen weights in BF16.
    pub fn advice(&self, budget_bytes: u64) -> String {
        let mebibytes = |bytes: u64| bytes >> 20;
        let least = self.plan(1, budget_bytes);
        let mut said = format!(
            "by the estimate the step takes {} MiB in its smallest pieces, of {} MiB that may be used",
            mebibytes(least.memory.total()),
            mebibytes(budget_bytes)
        );
        if least.fits {
            said += "; where `memory_mib` of [trainer] is set and more is free, raise it; where others took the memory, lower it, so that \
                     steps are split further";
            return said;
        }
        let mut ways = Vec::new();
        let mut shorter = self.clone();
        while shorter.tokens > 16 && !shorter.plan(1, budget_bytes).fits {
            shorter.tokens /= 2;
        }
        if shorter.plan(1, budget_bytes).fits {
            ways.push(format!("`max_length = {}` would fit", shorter.tokens));
        }
        let halved = Step {
            bytes: 2,
            ..self.clone()
        };
        if self.bytes > 2 && halved.plan(1, budget_bytes).fits {
            ways.push("`precision = \"bf16\"` of the model would fit".into());
        }
        if ways.is_empty() {
            ways.push("no shorter text would fit: take a smaller model, or a machine with more memory".into());
        }
        said + "; " + &ways.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MiniLM, rank 8 on queries and values.
    fn step() -> Step {
        Step {
            shape: Shape {
                vocab: 30_522,
                hidden: 384,
                layers: 6,
                heads: 12,
                kv_heads: 12,
                head_dim: 32,
                inner: 1536,
                max_tokens: 512,
                decoder: false,
            },
            parameters: 22_700_000,
            trained: 84_000,
            sites: vec![(384, 384); 12],
            examples: 32,
            tokens: 512,
            bytes: 4,
        }
    }

    #[test]
    fn what_fits_is_left_as_it_is() {
        let plan = step().plan(2, 1 << 40);
        assert_eq!(
            (plan.accumulation, plan.gradient_checkpointing, plan.fits),
            (2, false, true)
        );
    }

    #[test]
    fn the_less_memory_the_smaller_the_pieces_and_layers_are_computed_again_last() {
        let mut before = step().plan(1, 1 << 40);
        let mut seen = vec![(before.gradient_checkpointing, before.accumulation)];
        let mut budget = before.memory.total();
        while before.fits {
            budget -= budget / 50;
            let plan = step().plan(1, budget);
            assert!(plan.memory.total() <= before.memory.total() || !plan.fits);
            assert_eq!(plan.fits, plan.memory.total() <= budget);
            let now = (plan.gradient_checkpointing, plan.accumulation);
            if now != *seen.last().unwrap() {
                seen.push(now);
            }
            before = plan;
        }
        assert_eq!(
            seen[..6],
            [(false, 1), (false, 2), (false, 4), (false, 8), (false, 16), (false, 32)]
        );
        assert_eq!(*seen.last().unwrap(), (true, 32), "nothing takes less: {seen:?}");
    }

    #[test]
    fn advice_names_what_would_fit() {
        let tight = step().plan(1, 0).memory.total() - 1;
        let said = step().advice(tight);
        assert!(said.contains("`max_length = 256`") && said.contains("bf16"), "{said}");
        assert!(
            step().advice(1 << 20).contains("smaller model"),
            "{}",
            step().advice(1 << 20)
        );
        assert!(step().advice(1 << 40).contains("memory_mib"));
    }
}
