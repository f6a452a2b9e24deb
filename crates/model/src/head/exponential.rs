//! The exponential function of a head's values.

/// `e` to this power, computed in double precision and rounded. The GPU's kernels compute it in the same way, so that both
/// give the same number: functions of single precision differ between libraries in the last bit.
pub(super) fn exponential(value: f32) -> f32 {
    f64::from(value).exp() as f32
}
