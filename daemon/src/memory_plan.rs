//! The memory plan of a run: reads the model's headers and what the machine has left.

use crate::headers;
use anyhow::{Context, Result};
use wengu_config::Trainer;
use wengu_decide::footprint::{
    affine_parameters, bottleneck_sites, head_parameters, lora_parameters, prompt_parameters,
};
use wengu_decide::memory_plan::{MemoryPlan, Step};
use wengu_protocol::job::{BaseModel, Device, Learning, Method, Precision, Task};

/// What a job's step has to hold.
///
/// # Errors
/// A model folder that cannot be read.
pub fn step(
    base: &BaseModel,
    task: Task,
    labels: usize,
    method: &Method,
    learning: &Learning,
    tokens: u32,
) -> Result<Step> {
    let described = headers::describe(&base.path)?;
    let tensors = headers::tensors(&base.path)?;
    let virtual_tokens = u64::from(method.virtual_tokens());
    let (sites, adapter) = match method {
        Method::Lora(lora) => {
            let sites = headers::sites(&tensors, &lora.target_modules);
            let adapter = lora_parameters(&sites, u64::from(lora.largest_rank()));
            (sites, adapter)
        }
        Method::PromptTuning(_) => (Vec::new(), prompt_parameters(virtual_tokens, described.shape.hidden)),
        Method::Bottleneck(bottleneck) => {
            let sites = bottleneck_sites(&described.shape, bottleneck);
            let adapter = affine_parameters(&sites);
            (sites, adapter)
        }
        Method::HeadOnly => (Vec::new(), 0),
    };
    let parameters = tensors.iter().filter(|tensor| tensor.is_parameter());
    let head = match task {
        Task::CausalLm => 0,
        _ => head_parameters(labels as u64, described.shape.hidden),
    };
    // New examples and replayed ones are gone through one after the other.
    let share = learning.replay_ratio.max(1.0);
    Ok(Step {
        parameters: parameters.map(headers::Tensor::numbers).sum(),
        trained: adapter + head,
        examples: (f64::from(learning.batch_size) * share).ceil() as u64,
        tokens: (u64::from(tokens) + virtual_tokens).min(described.shape.max_tokens),
        bytes: match base.precision {
            Precision::Fp32 => 4,
            Precision::Bf16 => 2,
        },
        shape: described.shape,
        sites,
    })
}

/// How the run's steps are split to fit: into the memory that the configuration allows, or four fifths of what is free now. On a
/// CUDA device, whose memory is not known here, they are left as they are.
pub fn plan(step: &Step, trainer: &Trainer, device: Device, learning: &Learning) -> Result<MemoryPlan> {
    let budget = match device {
        Device::Cuda(_) => u64::MAX,
        Device::Auto | Device::Cpu => budget_bytes(trainer)?,
    };
    let plan = step.plan(learning.accumulation, budget);
    if !plan.fits {
        tracing::warn!("a training step may not fit into memory: {}", step.advice(budget));
    } else if plan.accumulation != learning.accumulation || plan.gradient_checkpointing {
        tracing::info!(
            accumulation = plan.accumulation,
            gradient_checkpointing = plan.gradient_checkpointing,
            estimate_mib = plan.memory.total() >> 20,
            "a training step is split to fit into memory"
        );
    }
    Ok(plan)
}

/// What the trainer may use.
pub fn budget_bytes(trainer: &Trainer) -> Result<u64> {
    if let Some(bytes) = trainer.memory_bytes {
        return Ok(bytes);
    }
    let path = "/proc/meminfo";
    let text = std::fs::read_to_string(path).context(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    let kibibytes = kibibytes.with_context(|| format!("{path} says nothing of MemAvailable"))?;
    Ok((kibibytes << 10) / 5 * 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use wengu_protocol::job::{Bottleneck, Lora, NonLinearity, Placement, PromptTuning};

    #[test]
    fn every_method_counts_what_it_trains_and_reads() {
        let base = BaseModel {
            path: Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/trainer/tiny/base"),
            sha256: Default::default(),
            precision: Precision::Fp32,
            device: Device::Cpu,
        };
        let config = wengu_config::parse(wengu_config::example(), Path::new("/etc/wengu.toml")).unwrap();
        let learning = &config.domains["contracts"].learning.training;
        let of = |method| {
            let step = step(&base, Task::SequenceClassification, 3, &method, learning, 10).unwrap();
            (step.trained, step.tokens, step.sites.len())
        };
        let head = 3 * 33;
        assert_eq!(of(Method::HeadOnly), (head, 10, 0));
        let lora = Lora {
            rank: 4,
            target_modules: vec!["query".into(), "value".into()],
            ..Lora::default()
        };
        assert_eq!(of(Method::Lora(lora)), (4 * 4 * 64 + head, 10, 4));
        let prompt = PromptTuning { virtual_tokens: 5 };
        assert_eq!(of(Method::PromptTuning(prompt)), (5 * 32 + head, 15, 0));
        let bottleneck = Bottleneck {
            placement: Placement::DoubleSeqBn,
            reduction_factor: 8,
            non_linearity: NonLinearity::Swish,
        };
        // Two of width 4 in each of two layers.
        let numbers = 4 * (2 * 4 * 32 + 4 + 32);
        assert_eq!(of(Method::Bottleneck(bottleneck)), (numbers + head, 10, 8));
    }
}
