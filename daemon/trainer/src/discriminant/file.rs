use super::ClassStatistics;
use crate::error::TrainerError;
use crate::job::tensors;
use std::path::Path;
use tch::{Kind, Tensor};
use wengu_protocol::job::JobEnd;

/// `statistics.safetensors`, all F32: `counts` [classes], `means` [classes, hidden], `scatter` [hidden, hidden], and the head
/// without the discriminant, which the next update goes on from: `head.weight` [classes, hidden] and `head.bias` [classes].
#[derive(Debug)]
pub struct Kept {
    /// The statistics.
    pub statistics: ClassStatistics,
    /// The trained head's weight, F32.
    pub weight: Tensor,
    /// The trained head's bias, F32.
    pub bias: Tensor,
}

impl Kept {
    /// Reads and checks a file of a version with so many labels.
    pub fn read(path: &Path, classes: i64, hidden: i64) -> Result<Kept, TrainerError> {
        let bad = |what: String| {
            let remedy = "take the version's own statistics.safetensors again";
            TrainerError::at(JobEnd::BadModel, path, format!("{what}; {remedy}"))
        };
        let bytes = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
        let (mut all, _) = tensors::decode(&bytes).map_err(bad)?;
        let mut take = |name: &str, shape: &[i64]| {
            let tensor = all
                .remove(name)
                .ok_or_else(|| bad(format!("there is no tensor `{name}`")))?;
            if tensor.size() != shape {
                return Err(bad(format!("`{name}` is {:?}, not {shape:?}", tensor.size())));
            }
            if tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? != 1 {
                return Err(bad(format!("`{name}` holds values that are not finite")));
            }
            Ok(tensor)
        };
        let statistics = ClassStatistics {
            counts: take("counts", &[classes])?.f_to_kind(Kind::Double)?,
            means: take("means", &[classes, hidden])?.f_to_kind(Kind::Double)?,
            scatter: take("scatter", &[hidden, hidden])?.f_to_kind(Kind::Double)?,
        };
        let (weight, bias) = (take("head.weight", &[classes, hidden])?, take("head.bias", &[classes])?);
        match all.keys().next() {
            Some(stray) => Err(bad(format!("`{stray}` does not belong here"))),
            None => Ok(Kept {
                statistics,
                weight,
                bias,
            }),
        }
    }

    /// Writes the file durably.
    pub fn write(&self, path: &Path) -> Result<(), TrainerError> {
        let single = |tensor: &Tensor| tensor.f_to_kind(Kind::Float);
        let of = &self.statistics;
        let (counts, means, scatter) = (single(&of.counts)?, single(&of.means)?, single(&of.scatter)?);
        let all = [
            ("counts", &counts),
            ("means", &means),
            ("scatter", &scatter),
            ("head.weight", &self.weight),
            ("head.bias", &self.bias),
        ];
        tensors::write(path, all.map(|(name, tensor)| (name.to_owned(), tensor)), None)
    }
}
