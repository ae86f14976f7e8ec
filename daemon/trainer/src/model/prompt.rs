//! Puts a prompt's virtual tokens into a batch: directly before each example, so that padding on either side, and other examples
//! in the same line, change no answer. (PEFT puts them before padding on the left; without any it is the same.)

use super::{Batch, TrainedRows};
use crate::error::TrainerError;
use tch::{Kind, Tensor};

/// A line of a batch with its prompts.
#[derive(Default)]
struct Line {
    ids: Vec<i64>,
    mask: Vec<i64>,
    /// The new column of each old one.
    columns: Vec<i64>,
}

impl Line {
    fn new(ids: &[i64], mask: &[i64], prompt: &TrainedRows) -> Line {
        let mut line = Line::default();
        let mut before = 0;
        for (&id, &number) in ids.iter().zip(mask) {
            if number != 0 && number != before {
                line.ids.extend(prompt.ids());
                line.mask.resize(line.ids.len(), number);
            }
            line.columns.push(line.ids.len() as i64);
            line.ids.push(id);
            line.mask.push(number);
            before = number;
        }
        line
    }

    /// Columns up to the last token.
    fn used(&self) -> usize {
        self.mask.iter().rposition(|&number| number != 0).map_or(0, |at| at + 1)
    }
}

/// The batch with the prompt's ids before each example: ids and mask I64 [b, t + virtual tokens], or wider where a line of
/// several examples needs it. Items are the same tokens as before; where none were named, all tokens of the text.
pub fn prepended(batch: &Batch, prompt: &TrainedRows) -> Result<Batch, TrainerError> {
    let size = batch.ids.size();
    let (lines, tokens) = (size[0], size[1] as usize);
    let flat = |tensor: &Tensor| -> Result<Vec<i64>, TrainerError> {
        Ok(Vec::try_from(tensor.f_to_kind(Kind::Int64)?.f_flatten(0, -1)?)?)
    };
    let (ids, mask) = (flat(&batch.ids)?, flat(&batch.mask)?);
    let grown: Vec<Line> = ids
        .chunks(tokens)
        .zip(mask.chunks(tokens))
        .map(|(ids, mask)| Line::new(ids, mask, prompt))
        .collect();
    // Packed lines have padding to spare, which is cut off unless it is asked for too.
    let needed = |line: &Line| match batch.items {
        Some(_) => line.used(),
        None => line.ids.len(),
    };
    let longest = grown.iter().map(needed).max().unwrap_or(0);
    let width = longest.max(tokens + prompt.count() as usize);
    let matrix = |part: fn(&Line) -> &[i64]| -> Result<Tensor, TrainerError> {
        let mut all = vec![0; grown.len() * width];
        for (line, row) in grown.iter().zip(all.chunks_mut(width)) {
            let kept = part(line).len().min(width);
            row[..kept].copy_from_slice(&part(line)[..kept]);
        }
        Ok(Tensor::f_from_slice(&all)?.f_reshape([lines, width as i64])?)
    };
    let places = grown.iter().zip((0..).step_by(width));
    let places: Vec<i64> = places
        .flat_map(|(line, begin)| line.columns.iter().map(move |column| begin + column))
        .collect();
    let places = Tensor::f_from_slice(&places)?;
    let items = match &batch.items {
        Some(items) => places.f_index_select(0, &items.f_to_device(places.device())?)?,
        None => places,
    };
    Ok(Batch {
        ids: matrix(|line| &line.ids)?,
        mask: matrix(|line| &line.mask)?,
        items: Some(items),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(tensor: &Tensor) -> Vec<Vec<i64>> {
        Vec::try_from(tensor).unwrap()
    }

    fn prepend(ids: &[&[i64]], mask: &[&[i64]], items: Option<&[i64]>) -> Batch {
        let rows = Tensor::zeros([2, 4], (Kind::Float, tch::Device::Cpu));
        let batch = Batch {
            ids: Tensor::from_slice2(ids),
            mask: Tensor::from_slice2(mask),
            items: items.map(Tensor::from_slice),
        };
        prepended(&batch, &TrainedRows { first: 90, rows }).unwrap()
    }

    #[test]
    fn the_prompt_stands_before_the_text_on_whichever_side_the_padding_is() {
        let batch = prepend(
            &[&[5, 6, 7], &[8, 0, 0], &[0, 0, 9]],
            &[&[1, 1, 1], &[1, 0, 0], &[0, 0, 1]],
            None,
        );
        assert_eq!(
            matrix(&batch.ids),
            [[90, 91, 5, 6, 7], [90, 91, 8, 0, 0], [0, 0, 90, 91, 9]]
        );
        assert_eq!(matrix(&batch.mask), [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 1, 1, 1]]);
        let places = Vec::<i64>::try_from(batch.items.unwrap()).unwrap();
        assert_eq!(places, [2, 3, 4, 7, 8, 9, 10, 11, 14]);
    }

    #[test]
    fn each_packed_example_has_a_prompt_of_its_own_and_spare_padding_goes() {
        let batch = prepend(
            &[&[5, 6, 7, 8, 0, 0, 0, 0]],
            &[&[1, 1, 2, 3, 0, 0, 0, 0]],
            Some(&[3, 0, 2]),
        );
        assert_eq!(matrix(&batch.ids), [[90, 91, 5, 6, 90, 91, 7, 90, 91, 8]]);
        assert_eq!(matrix(&batch.mask), [[1, 1, 1, 1, 2, 2, 2, 3, 3, 3]]);
        let places = Vec::<i64>::try_from(batch.items.unwrap()).unwrap();
        assert_eq!(places, [9, 2, 6]);
    }
}
