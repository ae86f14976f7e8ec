//! One tensor of a merged model: the base's bytes as they are, or values that are computed when they are written.

use crate::error::TrainerError;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, View};
use std::borrow::Cow;
use std::cell::RefCell;
use tch::{Kind, Tensor};
use wengu_protocol::job::JobEnd;
use wengu_protocol::merge::Precision;

/// The first error of the tensors of a file: writing itself has no place for it.
pub type FirstError = RefCell<Option<TrainerError>>;

/// Computes a tensor's values, F32.
pub type Values<'a> = Box<dyn Fn() -> Result<Tensor, TrainerError> + 'a>;

/// What a tensor is made of.
pub enum Source<'a> {
    /// The base model's bytes.
    Stored(TensorView<'a>),
    /// Computed.
    Values(Values<'a>),
}

/// A tensor that is to be written.
pub struct Written<'a> {
    pub source: Source<'a>,
    pub shape: Vec<usize>,
    pub dtype: Dtype,
    pub error: &'a FirstError,
}

impl View for Written<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let values = match &self.source {
            Source::Stored(view) if view.dtype() == self.dtype => return Cow::Borrowed(view.data()),
            Source::Stored(view) => values(view),
            Source::Values(compute) => compute(),
        };
        let bytes = values.and_then(|values| bytes(&values, &self.shape, self.dtype));
        Cow::Owned(bytes.unwrap_or_else(|error| {
            self.error.borrow_mut().get_or_insert(error);
            vec![0; self.data_len()]
        }))
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}

/// The type of a precision.
pub fn dtype(precision: Precision) -> Dtype {
    match precision {
        Precision::F32 => Dtype::F32,
        Precision::Bf16 => Dtype::BF16,
        Precision::F16 => Dtype::F16,
    }
}

/// A stored tensor as F32.
pub fn values(view: &TensorView) -> Result<Tensor, TrainerError> {
    let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
    Ok(Tensor::f_from_data_size(view.data(), &shape, kind(view.dtype())?)?.f_to_kind(Kind::Float)?)
}

fn bytes(values: &Tensor, shape: &[usize], dtype: Dtype) -> Result<Vec<u8>, TrainerError> {
    let found: Vec<usize> = values.size().iter().map(|&n| n as usize).collect();
    if found != shape {
        let message = format!("a merged tensor has shape {found:?}; {shape:?} is expected");
        return Err(TrainerError::new(JobEnd::Internal, message));
    }
    let values = values.f_detach()?.f_to_kind(kind(dtype)?)?.f_contiguous()?;
    let mut bytes = vec![0; values.numel() * dtype.bitsize() / 8];
    values.f_copy_data_u8(&mut bytes, values.numel())?;
    Ok(bytes)
}

fn kind(dtype: Dtype) -> Result<Kind, TrainerError> {
    match dtype {
        Dtype::F32 => Ok(Kind::Float),
        Dtype::F16 => Ok(Kind::Half),
        Dtype::BF16 => Ok(Kind::BFloat16),
        other => {
            let message = format!("numbers of type {other:?} cannot be merged; F32, F16 and BF16 can");
            Err(TrainerError::new(JobEnd::BadModel, message))
        }
    }
}
