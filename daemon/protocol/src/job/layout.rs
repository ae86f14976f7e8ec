//! Paths inside a job directory.

/// The job.
pub const JOB: &str = "job.json";
/// Digests of the job and of its data files, in [`super::sums`]' form. A job that was made by hand may have none.
pub const SUMS: &str = "SHA256SUMS";
/// One [`super::Progress`] a line.
pub const PROGRESS: &str = "progress.jsonl";
/// The result.
pub const RESULT: &str = "result.json";
/// The digest of the result, in [`super::sums`]' form. It is there before the result.
pub const RESULT_SUM: &str = "result.sha256";
/// Adapter of the result as PEFT keeps it, or of method `bottleneck` as AdapterHub's library does. None where only a head was trained.
pub const ADAPTER: &str = "out/adapter";
/// `head.safetensors` and `labels.json`.
pub const HEAD: &str = "out/head";
/// Fisher and anchor of the result.
pub const FISHER: &str = "out/fisher.safetensors";
/// Class means and covariance of the result, and its head without the discriminant that is made of them. None where
/// [`super::Learning::discriminant_weight`] is 0.
pub const STATISTICS: &str = "out/statistics.safetensors";
/// `out/predictions/champion/NAME.safetensors`: tensor `logits`, F32 [n, parent's labels]. With a causal model instead the
/// tensor `answers`, F32 [answer tokens, 2]: the log-probability of the token, and 1 where it was the likeliest.
pub const CHAMPION: &str = "out/predictions/champion";
/// `out/predictions/anchor/NAME.safetensors`: tensor `logits`, F32 [n, anchor's labels], or `answers` likewise.
pub const ANCHOR: &str = "out/predictions/anchor";
/// The name of the prediction of [`super::Data::fresh`].
pub const FRESH: &str = "fresh";
/// `out/predictions/challenger/NAME.safetensors`: tensor `logits`, F32 [n, labels], or `answers` likewise.
pub const CHALLENGER: &str = "out/predictions/challenger";
/// `out/candidates.safetensors`: tensor `logits`, F32 [n, labels].
pub const CANDIDATES: &str = "out/candidates.safetensors";
