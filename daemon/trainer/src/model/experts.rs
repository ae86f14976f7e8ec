//! What PEFT (0.21) can say of low-rank updates of routed experts. transformers keeps the experts of a layer as one tensor, with gate and
//! up fused; PEFT converts an adapter of single experts to that when it is read, all experts or none, and takes these layers' names
//! by their ends alone.

use super::lora::is_target;
use super::saved::is_asked;
use crate::error::TrainerError;
use wengu_protocol::job::{JobEnd, Lora};

/// The layers of an expert.
const PARTS: [&str; 3] = ["gate_proj", "up_proj", "down_proj"];

/// Checks an adapter of a model with these linear layers.
///
/// # Errors
/// Experts are adapted in a way that PEFT could not read.
pub fn check(names: &[String], lora: &Lora) -> Result<(), TrainerError> {
    let experts = |name: &&String| name.contains(".experts.");
    // Each would be a tensor of its own, where PEFT has one of all of them.
    let saved = |name: &&String| is_asked(name, &lora.modules_to_save);
    if let Some(name) = names.iter().filter(experts).find(saved) {
        let message = format!("{name} is one of the routed experts: it cannot be in modules_to_save");
        return Err(TrainerError::new(JobEnd::BadJob, message));
    }
    let adapted = |name: &&String| is_target(name, &lora.target_modules);
    let Some(first) = names.iter().filter(experts).find(adapted) else {
        return Ok(());
    };
    let bad = |message: &str| {
        let message = format!("{first} is one of the routed experts: {message}");
        Err(TrainerError::new(JobEnd::BadJob, message))
    };
    let named = |part: &str| lora.target_modules.iter().any(|target| target == part);
    let is_part = |target: &String| PARTS.iter().any(|part| target.ends_with(part));
    if lora
        .target_modules
        .iter()
        .any(|target| is_part(target) && !PARTS.contains(&target.as_str()))
    {
        return bad(
            "all of them are adapted or none; name \"gate_proj\", \"up_proj\" and \"down_proj\" alone in target_modules",
        );
    }
    if named("gate_proj") != named("up_proj") {
        return bad("\"gate_proj\" and \"up_proj\" are one tensor in transformers; name both in target_modules");
    }
    if lora.dropout > 0.0 {
        return bad("peft has no dropout there; set `dropout = 0.0`");
    }
    if lora.use_dora || lora.use_rslora || !lora.rank_pattern.is_empty() || !lora.alpha_pattern.is_empty() {
        return bad("peft takes plain LoRA there, without use_dora, use_rslora, rank_pattern and alpha_pattern");
    }
    Ok(())
}
