//! Texts as vectors without running the model: the mean of the base model's own input embeddings of a text's tokens. They never
//! change with an update, so texts of different years can be compared, and reading them takes no second process.

use anyhow::{Context, Result};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use std::fs::File;
use std::path::{Path, PathBuf};
use wengu_protocol::model_files::check_header;

/// What the table is called, after the model's prefix.
const NAMES: [&str; 2] = ["word_embeddings.weight", "embed_tokens.weight"];

/// The table of a model folder.
pub struct Embeddings {
    file: Mmap,
    name: String,
    /// Numbers of a row.
    pub dimensions: usize,
}

impl Embeddings {
    /// Finds it. None where no file has it in 32-bit or bfloat16 numbers.
    ///
    /// # Errors
    /// A folder or file that cannot be read.
    pub fn open(folder: &Path) -> Result<Option<Embeddings>> {
        let files = crate::model::weights(folder)?.into_iter().map(|name| folder.join(name));
        let is_weights = |path: &PathBuf| path.extension().is_some_and(|e| e == "safetensors") && path.exists();
        for path in files.filter(is_weights) {
            // SAFETY: as everywhere that a base model is read: its files are replaced whole, never changed in place.
            let file = unsafe { Mmap::map(&File::open(&path)?) }.with_context(|| path.display().to_string())?;
            let told = || path.display().to_string();
            check_header(&file).map_err(anyhow::Error::msg).with_context(told)?;
            let tensors = SafeTensors::deserialize(&file).with_context(told)?;
            let found = tensors.names().into_iter().find_map(|name| {
                let view = tensors.tensor(name).ok()?;
                let fits = matches!(view.dtype(), Dtype::F32 | Dtype::BF16) && view.shape().len() == 2;
                (fits && NAMES.iter().any(|end| name.ends_with(end))).then(|| (name.to_owned(), view.shape()[1]))
            });
            if let Some((name, dimensions)) = found {
                return Ok(Some(Embeddings { file, name, dimensions }));
            }
        }
        Ok(None)
    }

    /// The mean of each list's rows; ids beyond the table are passed over, and a text without any is left out.
    ///
    /// # Errors
    /// A file that was damaged since it was opened.
    pub fn means<'a>(&self, texts: impl IntoIterator<Item = &'a [u32]>) -> Result<Vec<f32>> {
        let tensors = SafeTensors::deserialize(&self.file)?;
        let view = tensors.tensor(&self.name)?;
        let (data, width) = (view.data(), view.dtype().bitsize() / 8);
        let number = |bytes: &[u8]| match *bytes {
            [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
            // bfloat16 is the upper half of a 32-bit number.
            [a, b] => f32::from_le_bytes([0, 0, a, b]),
            _ => f32::NAN,
        };
        let mut means = Vec::new();
        for ids in texts {
            let (mut sum, mut rows) = (vec![0.0f64; self.dimensions], 0u32);
            for id in ids {
                let begin = *id as usize * self.dimensions * width;
                let Some(row) = data.get(begin..begin + self.dimensions * width) else {
                    continue;
                };
                rows += 1;
                for (sum, bytes) in sum.iter_mut().zip(row.chunks_exact(width)) {
                    *sum += f64::from(number(bytes));
                }
            }
            if rows > 0 {
                means.extend(sum.iter().map(|sum| (sum / f64::from(rows)) as f32));
            }
        }
        Ok(means)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;

    #[test]
    fn rows_are_averaged_in_either_precision_and_ids_beyond_the_table_are_passed_over() {
        let rows: [f32; 6] = [1.0, 2.0, 3.0, 4.0, -5.0, 0.5];
        let wide: Vec<u8> = rows.iter().flat_map(|x| x.to_le_bytes()).collect();
        let half: Vec<u8> = rows.iter().flat_map(|x| x.to_le_bytes()[2..].to_vec()).collect();
        for (dtype, bytes) in [(Dtype::F32, wide), (Dtype::BF16, half)] {
            let dir = tempfile::tempdir().unwrap();
            let view = TensorView::new(dtype, vec![3, 2], &bytes).unwrap();
            let file = dir.path().join("model.safetensors");
            safetensors::serialize_to_file([("model.embed_tokens.weight", view)], None, &file).unwrap();
            let table = Embeddings::open(dir.path()).unwrap().expect("a table");
            assert_eq!(table.dimensions, 2);
            let texts: [&[u32]; 3] = [&[0, 2], &[9], &[1, 1, 7]];
            assert_eq!(table.means(texts).unwrap(), [-2.0, 1.25, 3.0, 4.0]);
        }
        assert!(Embeddings::open(tempfile::tempdir().unwrap().path()).unwrap().is_none());
    }
}
