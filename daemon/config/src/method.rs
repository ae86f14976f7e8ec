//! What is trained: `method` of `[domains.NAME.learning]` and the settings that go with each.

use crate::patterns::read_patterns;
use crate::section::{Section, above};
use wengu_protocol::job::{Bottleneck, Lora, Method, NonLinearity, Placement, PromptTuning};

/// The words of `method`, the default first, each with the keys that only it has.
const METHODS: [(&str, &[&str]); 3] = [
    (
        "lora",
        &[
            "rank",
            "alpha",
            "dropout",
            "target_modules",
            "modules_to_save",
            "use_rslora",
            "use_dora",
            "rank_pattern",
            "alpha_pattern",
            "adapter_start",
            "orthogonal_lambda",
        ],
    ),
    ("prompt_tuning", &["virtual_tokens"]),
    ("bottleneck", &["placement", "reduction_factor", "non_linearity"]),
];
/// More would leave little room for texts in most models.
const VIRTUAL_TOKENS_MAX: u64 = 1024;

pub(crate) fn read_method(section: &mut Section<'_>) -> Method {
    let chosen = section.choice("method", &METHODS.map(|(name, _)| (name, name)));
    for (name, keys) in METHODS.iter().filter(|(name, _)| *name != chosen) {
        for key in keys.iter().filter(|key| section.is_set(key)) {
            let message = format!("belongs to the method \"{name}\", and the method is \"{chosen}\"");
            let remedy = format!("leave it out, or set `method = \"{name}\"`");
            section.report.error(&section.at(key), message, remedy);
        }
    }
    // Read whichever is chosen, so that every key is known and every wrong value is told.
    let lora = read_lora(section);
    let prompt = PromptTuning {
        virtual_tokens: section.integer("virtual_tokens", 1..=VIRTUAL_TOKENS_MAX, 20) as u32,
    };
    let bottleneck = read_bottleneck(section);
    match chosen {
        "bottleneck" => Method::Bottleneck(bottleneck),
        "prompt_tuning" => Method::PromptTuning(prompt),
        _ => Method::Lora(lora),
    }
}

fn read_bottleneck(section: &mut Section<'_>) -> Bottleneck {
    let placements = [("double_seq_bn", Placement::DoubleSeqBn), ("seq_bn", Placement::SeqBn)];
    let placement = section.choice("placement", &placements);
    let mut activations = [
        ("relu", NonLinearity::Relu),
        ("swish", NonLinearity::Swish),
        ("gelu", NonLinearity::Gelu),
        ("gelu_new", NonLinearity::GeluNew),
        ("tanh", NonLinearity::Tanh),
    ];
    // The first is the default: that of AdapterHub's configuration of the placement.
    if placement == Placement::DoubleSeqBn {
        activations.swap(0, 1);
    }
    Bottleneck {
        placement,
        reduction_factor: section.integer("reduction_factor", 1..=1024, 16) as u32,
        non_linearity: section.choice("non_linearity", &activations),
    }
}

fn read_lora(section: &mut Section<'_>) -> Lora {
    let modules = section.strings("target_modules");
    if modules.as_ref().is_some_and(Vec::is_empty) {
        let remedy = "name linear layers of the model, as in `target_modules = [\"query\", \"value\"]`";
        section
            .report
            .error(&section.at("target_modules"), "names no layer", remedy);
    }
    let modules = modules.unwrap_or_default().into_iter();
    let saved = section.strings("modules_to_save").unwrap_or_default().into_iter();
    Lora {
        rank: section.integer("rank", 1..=512, 8) as u32,
        alpha: section.number("alpha", above(0.0..1024.0), 16.0),
        dropout: section.number("dropout", 0.0..1.0, 0.05),
        target_modules: modules.map(|module| module.value).collect(),
        modules_to_save: saved.map(|module| module.value).collect(),
        use_rslora: section.boolean("use_rslora", false),
        use_dora: section.boolean("use_dora", false),
        rank_pattern: read_patterns(section, "rank_pattern", "rank_pattern = { \"o_proj\" = 4 }", |rank| {
            ((1.0..=512.0).contains(&rank) && rank.fract() == 0.0).then_some(rank as u32)
        }),
        alpha_pattern: read_patterns(
            section,
            "alpha_pattern",
            "alpha_pattern = { \"o_proj\" = 8 }",
            |alpha| (alpha > 0.0 && alpha < 1024.0).then_some(alpha),
        ),
    }
}
