//! `adapter_start` of `[domains.NAME.learning]`: what an update makes of the adapter of the version that it continues.

use crate::section::{Section, above};
use crate::types::Learning;
use wengu_protocol::job::{AdapterStart, Lora, Method};

/// The weight of the orthogonality loss in Wang et al. 2023 (their runs' `lamda_1`).
const ORTHOGONAL_LAMBDA: f64 = 0.5;

/// Where adapters begin, and the weight of what keeps a new one from the parent's: 0 where nothing does.
pub(crate) fn read(section: &mut Section<'_>) -> (AdapterStart, f64) {
    let starts = [
        ("continue", AdapterStart::Continue),
        ("fresh", AdapterStart::Fresh),
        ("orthogonal", AdapterStart::Orthogonal),
    ];
    let start = section.choice("adapter_start", &starts);
    let lambda = section.number("orthogonal_lambda", above(0.0..1e6), ORTHOGONAL_LAMBDA);
    if start == AdapterStart::Orthogonal {
        return (start, lambda);
    }
    if section.is_set("orthogonal_lambda") {
        let message = "weighs what keeps a new adapter at right angles to the one before, and nothing does";
        let remedy = "leave it out, or set `adapter_start = \"orthogonal\"`";
        section.report.error(&section.at("orthogonal_lambda"), message, remedy);
    }
    (start, 0.0)
}

/// What is no sum of low-rank updates cannot become one again. (Other methods than LoRA do not know the key.)
pub(crate) fn check(section: &Section<'_>, learning: &Learning) {
    let beside = learning.training.adapter_start != AdapterStart::Continue;
    if beside && matches!(learning.method, Method::Lora(Lora { use_dora: true, .. })) {
        let message =
            "a new adapter beside the one before cannot be added to it with DoRA, which scales the rows of their sum";
        let remedy = "leave it out, or set `use_dora = false`";
        section.report.error(&section.at("adapter_start"), message, remedy);
    }
}
