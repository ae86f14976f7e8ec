//! Hyper-parameters that are fitted to a domain: what is tried, on how much, what goes on, and whether the best of it is better than
//! the defaults by more than chance.
//!
//! The search is successive halving (Jamieson & Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter
//! optimization", algorithm 1) over epochs. A trial begins anew in each rung: the learning rate falls to 0 over the epochs of its
//! rung, so a short training is no beginning of a longer one. The defaults are the first candidate and go through every rung.
//!
//! EWC, distillation and replay matter only where something old is there to be kept, so a trial is two updates in a row
//! ([`parts`]), and its score the mean of the shares of old and of new texts that are right after the second.

mod fit;
mod halving;
mod parts;
mod sample;
mod space;

pub use fit::{Asked, Fit, LEVEL, Score, fit, score};
pub use halving::{ETA, Next, Rung, epochs_in_all, next, rungs};
pub use parts::{PART_TEXTS_MIN, Part, Parts, PartsError, Place, Text, VALIDATION_TEXTS_MIN, parts};
pub use sample::candidates;
pub use space::{Key, Space, Values};
