//! The memory plan of a run: reads the model's headers and what the machine has left.

use crate::headers;
use anyhow::{Context, Result};
use std::path::Path;
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
            let adapter = adapter + headers::saved(&tensors, &lora.modules_to_save);
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
    let replay = match learning.old_loss_tolerance {
        Some(_) => wengu_decide::mixing::REPLAY_RATIO_MAX,
        None => learning.replay_ratio,
    };
    let share = replay.max(1.0);
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

/// How the run's steps are split to fit: into four fifths of what the trainer may use. On a
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

/// What a step is planned for: four fifths of what the trainer may use, since the estimate knows nothing of the program and its libraries.
pub fn budget_bytes(trainer: &Trainer) -> Result<u64> {
    Ok(limit_bytes(trainer)? / 5 * 4)
}

/// What the trainer may use: as configured, or what is free on the machine and within the service's limit.
pub fn limit_bytes(trainer: &Trainer) -> Result<u64> {
    if let Some(bytes) = trainer.memory_bytes {
        return Ok(bytes);
    }
    let path = "/proc/meminfo";
    let text = std::fs::read_to_string(path).context(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    let kibibytes = kibibytes.with_context(|| format!("{path} says nothing of MemAvailable"))?;
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok();
    let left = groups.and_then(|own| left_in_groups(Path::new("/sys/fs/cgroup"), &own));
    Ok(left.unwrap_or(u64::MAX).min(kibibytes << 10))
}

/// What the limits (`MemoryMax=`) of this process's control group and of those above leave, in bytes; None without a limit,
/// or under control groups of version 1. File pages count as free: the kernel drops them first.
fn left_in_groups(root: &Path, own: &str) -> Option<u64> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let left = |group: &Path| {
        let read = |name: &str| std::fs::read_to_string(group.join(name)).ok();
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        let (limit, used) = (number("memory.max")?, number("memory.current")?);
        let stat = read("memory.stat").unwrap_or_default();
        let pages = |name: &str| {
            let line = stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|bytes| bytes.parse::<u64>().ok()).unwrap_or(0)
        };
        let kept = used.saturating_sub(pages("active_file") + pages("inactive_file"));
        Some(limit.saturating_sub(kept))
    };
    let group = root.join(path);
    group
        .ancestors()
        .take_while(|group| group.starts_with(root))
        .filter_map(left)
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wengu_protocol::job::{Bottleneck, Lora, NonLinearity, Placement, PromptTuning};

    #[test]
    fn the_tightest_limit_above_counts_without_file_pages() {
        let root = tempfile::tempdir().unwrap();
        let service = root.path().join("system.slice/wengu.service");
        std::fs::create_dir_all(&service).unwrap();
        let own = "1:name=systemd:/elsewhere\n0::/system.slice/wengu.service\n";
        let write = |group: &Path, max: &str, current: u64, stat: &str| {
            std::fs::write(group.join("memory.max"), max).unwrap();
            std::fs::write(group.join("memory.current"), format!("{current}\n")).unwrap();
            std::fs::write(group.join("memory.stat"), stat).unwrap();
        };
        let left = |own: &str| left_in_groups(root.path(), own);
        assert_eq!(left(own), None, "no files: version 1");
        write(&service, "max\n", 700, "");
        assert_eq!(left(own), None, "no limit");
        write(
            &service,
            "1000\n",
            700,
            "anon 300\nfile 400\nactive_file 100\ninactive_file 300\n",
        );
        assert_eq!(left(own), Some(700));
        write(
            service.parent().unwrap(),
            "900\n",
            500,
            "anon 500\nactive_file 0\ninactive_file 0\n",
        );
        assert_eq!(left(own), Some(400));
        write(&service, "1000\n", 1100, "");
        assert_eq!(left(own), Some(0));
        assert_eq!(left("4:memory:/wengu\n"), None);
    }

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
