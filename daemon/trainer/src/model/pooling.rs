//! How token vectors become one embedding.

use crate::error::TrainerError;
use serde::Deserialize;
use std::path::Path;
use tch::{Kind, TchError, Tensor};
use wengu_protocol::job::JobEnd;
use wengu_protocol::model_files;

/// How token vectors become one embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over the tokens that are no padding.
    Mean,
    /// The first token's vector.
    Cls,
    /// BERT's own pooler: a dense layer and tanh on the first token's vector.
    Pooler,
    /// The last token's vector: the one that has seen all others, in a decoder.
    Last,
}

/// 1_Pooling/config.json of a sentence-transformers folder.
#[derive(Deserialize)]
struct PoolingConfig {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
    #[serde(default)]
    pooling_mode_weightedmean_tokens: bool,
    #[serde(default)]
    pooling_mode_lasttoken: bool,
}

impl Pooling {
    /// As the folder's 1_Pooling/config.json says, or the family's own way where there is none.
    pub fn load(folder: &Path, default: Pooling) -> Result<Pooling, TrainerError> {
        let path = folder.join("1_Pooling/config.json");
        let text = match model_files::read(&path, model_files::CONFIG_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(default);
            }
            Err(error) => return Err(TrainerError::at(JobEnd::BadModel, &path, error)),
        };
        let config: PoolingConfig =
            serde_json::from_slice(&text).map_err(|e| TrainerError::at(JobEnd::BadModel, &path, e))?;
        let others = config.pooling_mode_max_tokens
            || config.pooling_mode_mean_sqrt_len_tokens
            || config.pooling_mode_weightedmean_tokens;
        let (mean, cls) = (config.pooling_mode_mean_tokens, config.pooling_mode_cls_token);
        match (mean, cls, config.pooling_mode_lasttoken, others) {
            (true, false, false, false) => Ok(Pooling::Mean),
            (false, true, false, false) => Ok(Pooling::Cls),
            (false, false, true, false) => Ok(Pooling::Last),
            _ => {
                let message = "exactly one of pooling_mode_mean_tokens, pooling_mode_cls_token and \
                               pooling_mode_lasttoken must be true";
                Err(TrainerError::at(JobEnd::BadModel, &path, message))
            }
        }
    }
}

/// Mean of vectors [b, t, h] where the mask [b, t] is 1.
pub fn mean(hidden: &Tensor, mask: &Tensor) -> Result<Tensor, TchError> {
    let sum = hidden
        .f_mul(&mask.f_unsqueeze(-1)?)?
        .f_sum_dim_intlist(Some([1].as_slice()), false, Kind::Float)?;
    let count = mask
        .f_sum_dim_intlist(Some([1].as_slice()), true, Kind::Float)?
        .f_clamp_min(1e-9)?;
    sum.f_div(&count)
}

/// Vector [b, h] of the last token that the mask [b, t] has, of vectors [b, t, h].
pub fn last(hidden: &Tensor, mask: &Tensor) -> Result<Tensor, TchError> {
    let (b, t, h) = hidden.size3()?;
    let places = Tensor::f_arange(t, (Kind::Float, hidden.device()))?;
    let place = mask.f_mul(&places.f_unsqueeze(0)?)?.f_argmax(1, false)?;
    let index = place.f_reshape([b, 1, 1])?.f_expand([b, 1, h], false)?;
    hidden.f_gather(1, &index, false)?.f_squeeze_dim(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(config: Option<&str>) -> Result<Pooling, TrainerError> {
        let folder = tempfile::tempdir().unwrap();
        if let Some(config) = config {
            std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
            std::fs::write(folder.path().join("1_Pooling/config.json"), config).unwrap();
        }
        Pooling::load(folder.path(), Pooling::Pooler)
    }

    #[test]
    fn the_folder_says_how_to_pool() {
        assert_eq!(load(None).unwrap(), Pooling::Pooler);
        assert_eq!(
            load(Some(r#"{"pooling_mode_mean_tokens": true}"#)).unwrap(),
            Pooling::Mean
        );
        assert_eq!(load(Some(r#"{"pooling_mode_cls_token": true}"#)).unwrap(), Pooling::Cls);
        for wrong in [
            "{}",
            r#"{"pooling_mode_max_tokens": true}"#,
            r#"{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}"#,
            "not json",
        ] {
            assert_eq!(load(Some(wrong)).unwrap_err().end, JobEnd::BadModel);
        }
    }

    #[test]
    fn the_mean_leaves_padding_out() {
        let hidden = Tensor::from_slice(&[1.0f32, 3.0, 100.0, 5.0, 100.0, 100.0]).reshape([2, 3, 1]);
        let mask = Tensor::from_slice(&[1.0f32, 1.0, 0.0, 1.0, 0.0, 0.0]).reshape([2, 3]);
        assert_eq!(
            Vec::<f32>::try_from(mean(&hidden, &mask).unwrap().flatten(0, -1)).unwrap(),
            [2.0, 5.0]
        );
    }
}
