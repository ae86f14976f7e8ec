use super::MetricsError;

/// How far confidence is from accuracy: items are sorted into `bins` of equal width by confidence, and the gaps between
/// a bin's accuracy and its mean confidence are averaged, weighted by the bins' items (Guo et al. 2017, section 2; the
/// L1 norm of torchmetrics). As there, a bin holds its lower end and not its upper one, so certainty (1.0) has a bin of
/// its own. None without items.
///
/// # Errors
/// Lists of different lengths, or a confidence that is not in 0..=1.
pub fn expected_calibration_error(
    confidences: &[f64],
    right: &[bool],
    bins: usize,
) -> Result<Option<f64>, MetricsError> {
    if confidences.len() != right.len() {
        return Err(MetricsError::Lengths {
            expected: right.len(),
            predicted: confidences.len(),
        });
    }
    let mut sums = vec![(0.0, 0.0); bins + 1];
    for (item, (&confidence, &right)) in confidences.iter().zip(right).enumerate() {
        if !(0.0..=1.0).contains(&confidence) {
            return Err(MetricsError::Confidence { item, confidence });
        }
        let bin = &mut sums[((confidence * bins as f64) as usize).min(bins)];
        bin.0 += confidence;
        bin.1 += f64::from(u8::from(right));
    }
    let gaps: f64 = sums.iter().map(|(confidence, right)| (confidence - right).abs()).sum();
    Ok((!right.is_empty()).then(|| gaps / right.len() as f64))
}
