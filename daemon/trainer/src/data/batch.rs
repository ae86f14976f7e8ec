//! Which examples an optimizer step sees, and how they are padded.

use super::Limits;
use super::random::{Purpose, Stream};
use crate::error::TrainerError;
use crate::model::Batch;
use std::ops::Range;
use tch::Tensor;

/// Batches whose examples are sorted by length within one window of this many, so that little is padded and yet
/// the order stays random.
const WINDOW_BATCHES: usize = 16;

/// Lengths are padded to a multiple of this: oneDNN compiles a kernel for each shape and keeps it.
const LENGTH_MULTIPLE: usize = 8;

/// Rows of every batch of one epoch. The last batch may be smaller.
pub fn epoch_batches(lengths: &[usize], batch_size: usize, seed: u64, epoch: u64) -> Vec<Vec<usize>> {
    let mut stream = Stream::new(seed, Purpose::Shuffle, epoch);
    let mut rows = stream.permutation(lengths.len());
    let mut batches: Vec<Vec<usize>> = rows
        .chunks_mut(batch_size * WINDOW_BATCHES)
        .flat_map(|window| {
            window.sort_by_key(|&row| lengths[row]);
            window.chunks(batch_size).map(<[usize]>::to_vec).collect::<Vec<_>>()
        })
        .collect();
    stream.shuffle(&mut batches);
    batches
}

/// The draws of a step from the memory, which is gone through in random order, then again in another.
pub fn replay_rows(memory: usize, draws: Range<usize>, seed: u64) -> Vec<usize> {
    if memory == 0 {
        return Vec::new();
    }
    let mut round: Option<(usize, Vec<usize>)> = None;
    draws
        .map(|draw| {
            let index = draw / memory;
            if round.as_ref().is_none_or(|(current, _)| *current != index) {
                round = Some((
                    index,
                    Stream::new(seed, Purpose::Replay, index as u64).permutation(memory),
                ));
            }
            round.as_ref().map_or(0, |(_, rows)| rows[draw % memory])
        })
        .collect()
}

/// Splits a step's rows into at most `parts` micro-batches of nearly equal size, none of them empty.
pub fn micro_batches(rows: &[usize], parts: usize) -> Vec<&[usize]> {
    let parts = parts.clamp(1, rows.len().max(1));
    (0..parts)
        .map(|i| &rows[i * rows.len() / parts..(i + 1) * rows.len() / parts])
        .filter(|p| !p.is_empty())
        .collect()
}

/// Rows in chunks of like length, longest first (so that running out of memory shows at once), for passes whose
/// order does not matter.
pub fn by_length(lengths: &[usize], chunk: usize) -> Vec<Vec<usize>> {
    let mut rows: Vec<usize> = (0..lengths.len()).collect();
    rows.sort_by_key(|&row| (std::cmp::Reverse(lengths[row]), row));
    rows.chunks(chunk).map(<[usize]>::to_vec).collect()
}

/// Where a row's first token is in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line of the batch.
    pub line: usize,
    /// The column.
    pub begin: usize,
}

/// How rows become lines of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// One row a line, padded.
    OneRow,
    /// As many rows, each with its virtual tokens, as fit into lines as wide as the longest row, which do not see each other
    /// (Krell et al. 2021).
    Packed,
}

/// A place for each row, the number of lines and their width.
pub fn arrange(lengths: &[usize], lines: Lines, limits: &Limits) -> (Vec<Place>, usize, usize) {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let width = longest
        .next_multiple_of(LENGTH_MULTIPLE)
        .min(limits.max_tokens.max(longest));
    let mut places = vec![Place { line: 0, begin: 0 }; lengths.len()];
    // Columns of each line that are taken, and how many rows have taken them.
    let mut filled: Vec<(usize, usize)> = Vec::new();
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    if lines == Lines::Packed {
        // First fit, longest first: at most 11/9 of the fewest lines, and one more (Johnson 1973).
        order.sort_by_key(|&row| std::cmp::Reverse(lengths[row]));
    }
    for row in order {
        let length = lengths[row];
        // The first row's virtual tokens come on top of the width in every line.
        let fits = |(used, rows): &(usize, usize)| {
            lines == Lines::Packed && used + length + rows * limits.virtual_tokens <= width
        };
        let line = filled.iter().position(fits).unwrap_or_else(|| {
            filled.push((0, 0));
            filled.len() - 1
        });
        let (used, rows) = &mut filled[line];
        places[row] = Place { line, begin: *used };
        *used += length;
        *rows += 1;
    }
    (places, filled.len(), width)
}

/// Token rows at their places. Padding is id 0, which the mask takes out; the rows of a line are numbered from 1.
pub fn fill(rows: &[&[i64]], places: &[Place], lines: usize, width: usize) -> Result<Batch, TrainerError> {
    let mut ids = vec![0i64; lines * width];
    let mut mask = vec![0i64; lines * width];
    let mut numbers = vec![0; lines];
    for (row, place) in rows.iter().zip(places) {
        let begin = place.line * width + place.begin;
        numbers[place.line] += 1;
        ids[begin..][..row.len()].copy_from_slice(row);
        mask[begin..][..row.len()].fill(numbers[place.line]);
    }
    let shape = [lines as i64, width as i64];
    Ok(Batch {
        ids: Tensor::f_from_slice(&ids)?.f_reshape(shape)?,
        mask: Tensor::f_from_slice(&mask)?.f_reshape(shape)?,
        items: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_holds_every_row_once_in_batches_of_like_length() {
        let lengths: Vec<usize> = (0..1000).map(|i| 1 + (i * 37) % 100).collect();
        let batches = epoch_batches(&lengths, 10, 3, 0);
        assert_eq!(batches.len(), 100);
        let mut rows: Vec<usize> = batches.concat();
        rows.sort_unstable();
        assert!(rows.into_iter().eq(0..1000));
        let padded: usize = batches
            .iter()
            .map(|b| b.len() * b.iter().map(|&r| lengths[r]).max().unwrap())
            .sum();
        let tokens: usize = lengths.iter().sum();
        assert!(padded as f64 <= 1.15 * tokens as f64, "{padded} for {tokens}");
        assert_ne!(batches, epoch_batches(&lengths, 10, 3, 1));
        assert_eq!(batches, epoch_batches(&lengths, 10, 3, 0));
    }

    #[test]
    fn replay_goes_through_the_memory_evenly_whatever_step_it_is_asked_for() {
        let draws: Vec<usize> = (0..14)
            .flat_map(|step| replay_rows(7, 3 * step..3 * step + 3, 5))
            .collect();
        for round in draws.chunks(7) {
            let mut round = round.to_vec();
            round.sort_unstable();
            assert_eq!(round, [0, 1, 2, 3, 4, 5, 6]);
        }
        assert_eq!(replay_rows(7, 27..30, 5), draws[27..30]);
        assert_eq!(replay_rows(2, 0..5, 5).len(), 5);
        assert!(replay_rows(0, 0..5, 5).is_empty());
    }

    #[test]
    fn micro_batches_cover_the_step() {
        let rows: Vec<usize> = (0..10).collect();
        let parts = micro_batches(&rows, 4);
        assert_eq!(parts.iter().map(|p| p.len()).collect::<Vec<_>>(), [2, 3, 2, 3]);
        assert_eq!(parts.concat(), rows);
        assert_eq!(micro_batches(&rows[..2], 4).len(), 2);
        assert!(micro_batches(&[], 4).is_empty());
    }

    fn limits(max_tokens: usize, virtual_tokens: usize) -> Limits {
        Limits {
            task: wengu_protocol::job::Task::CausalLm,
            vocab_size: 100,
            max_tokens,
            virtual_tokens,
            labels: 0,
            teacher_labels: 0,
        }
    }

    fn batch(rows: &[&[i64]], lines: Lines, longest_allowed: usize) -> Batch {
        let lengths: Vec<usize> = rows.iter().map(|row| row.len()).collect();
        let (places, lines, width) = arrange(&lengths, lines, &limits(longest_allowed, 0));
        fill(rows, &places, lines, width).unwrap()
    }

    #[test]
    fn padding_is_masked_and_kept_under_the_position_limit() {
        let padded = batch(&[&[5, 6, 7], &[8]], Lines::OneRow, 512);
        assert_eq!(padded.ids.size(), [2, 8]);
        assert_eq!(
            Vec::<i64>::try_from(padded.mask.sum_dim_intlist(1, false, tch::Kind::Int64)).unwrap(),
            [3, 1]
        );
        assert_eq!(batch(&[&[1; 9]], Lines::OneRow, 10).ids.size(), [1, 10]);
    }

    #[test]
    fn a_line_has_room_for_the_virtual_tokens_of_every_row_but_the_first() {
        let lines = |lengths: &[usize], virtual_tokens| arrange(lengths, Lines::Packed, &limits(512, virtual_tokens)).1;
        assert_eq!([lines(&[8, 4, 4], 0), lines(&[8, 4, 4], 1)], [2, 3]);
        assert_eq!([lines(&[8, 4, 2], 2), lines(&[8, 4, 2], 3)], [2, 3]);
    }

    #[test]
    fn packed_rows_share_lines_and_are_numbered() {
        let packed = batch(&[&[1, 1], &[2; 6], &[3; 8], &[4]], Lines::Packed, 512);
        let rows = |tensor: &Tensor| Vec::<Vec<i64>>::try_from(tensor).unwrap();
        assert_eq!(
            rows(&packed.ids),
            [vec![3; 8], vec![2, 2, 2, 2, 2, 2, 1, 1], vec![4, 0, 0, 0, 0, 0, 0, 0]]
        );
        assert_eq!(
            rows(&packed.mask),
            [vec![1; 8], vec![2, 2, 2, 2, 2, 2, 1, 1], vec![1, 0, 0, 0, 0, 0, 0, 0]]
        );
    }
}
