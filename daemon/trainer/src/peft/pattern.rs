//! Ranks and scalings of single layers (`rank_pattern`, `alpha_pattern`).

use regex::Regex;
use std::collections::BTreeMap;
use wengu_protocol::job::Lora;

/// Rank and scaling of the layer that PEFT knows by this name.
///
/// # Errors
/// A pattern that is no regular expression, or two for the same layer that say different things: which of them counts
/// would depend on their order in the file, which JSON does not keep.
pub fn rank_and_scaling(lora: &Lora, module: &str) -> Result<(u32, f64), String> {
    let rank = of(&lora.rank_pattern, module)?.unwrap_or(lora.rank);
    let alpha = of(&lora.alpha_pattern, module)?.unwrap_or(lora.alpha);
    let rows = f64::from(rank);
    let scaling = if lora.use_rslora {
        alpha / rows.sqrt()
    } else {
        alpha / rows
    };
    Ok((rank, scaling))
}

/// The value of the pattern that the name, or its end after a dot, matches as a whole (PEFT's `get_pattern_key`).
fn of<T: Copy + PartialEq>(patterns: &BTreeMap<String, T>, module: &str) -> Result<Option<T>, String> {
    let mut found: Option<(&str, T)> = None;
    for (pattern, value) in patterns {
        let whole = Regex::new(&format!(r"^(?:.*\.)?(?:{pattern})$"))
            .map_err(|error| format!("pattern \"{pattern}\" is no regular expression: {error}"))?;
        if !whole.is_match(module) {
            continue;
        }
        match found {
            Some((first, other)) if other != *value => {
                return Err(format!(
                    "patterns \"{first}\" and \"{pattern}\" both match {module} and differ; write them so that one matches"
                ));
            }
            _ => found = Some((pattern, *value)),
        }
    }
    Ok(found.map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lora(ranks: &[(&str, u32)]) -> Lora {
        Lora {
            rank_pattern: ranks
                .iter()
                .map(|(pattern, rank)| ((*pattern).to_owned(), *rank))
                .collect(),
            alpha_pattern: BTreeMap::from([("layers.1.*".to_owned(), 32.0)]),
            ..Lora::default()
        }
    }

    #[test]
    fn patterns_match_ends_of_names_as_in_peft() {
        let lora = lora(&[("q_proj", 4), (r"layers\.1\.mlp\..*", 2)]);
        let of = |module| rank_and_scaling(&lora, module).unwrap();
        assert_eq!(of("model.layers.0.self_attn.q_proj"), (4, 4.0));
        assert_eq!(of("model.layers.0.self_attn.k_proj"), (8, 2.0));
        assert_eq!(of("layers.1.mlp.up_proj"), (2, 16.0));
        // Not "my_q_proj": the end has to begin after a dot.
        assert_eq!(of("layers.0.my_q_proj"), (8, 2.0));
        let rslora = Lora {
            use_rslora: true,
            ..lora.clone()
        };
        assert_eq!(rank_and_scaling(&rslora, "q_proj").unwrap(), (4, 8.0));
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        let error = rank_and_scaling(&lora(&[("q_proj", 4), ("self_attn.*", 2)]), "l.self_attn.q_proj").unwrap_err();
        assert!(error.contains("both match"), "{error}");
        assert!(rank_and_scaling(&lora(&[("q_proj", 4), ("self_attn.*", 4)]), "l.self_attn.q_proj").is_ok());
        assert!(
            rank_and_scaling(&lora(&[("(", 4)]), "q")
                .unwrap_err()
                .contains("no regular expression")
        );
    }
}
