//! The batch sizes to prepare.

/// The batch sizes from `min` to `max`: 1, 2, 3, 4, 6, 8, 12, 16, … Each is at most half again as large as the previous
/// one, so at most a third of the slots of a launch are empty.
pub fn batch_sizes_between(min: usize, max: usize) -> Vec<usize> {
    let (min, max) = (min.max(1), max.max(1));
    let powers = std::iter::successors(Some(1_usize), |power| power.checked_mul(2));
    let steps = powers.flat_map(|power| if power < 2 { [power, power] } else { [power, power + power / 2] });
    let mut sizes: Vec<_> = steps.take_while(|&size| size < max).filter(|&size| size > min).collect();
    sizes.extend([min.min(max), max]);
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_and_large_ranges() {
        assert_eq!(batch_sizes_between(1, 16), [1, 2, 3, 4, 6, 8, 12, 16]);
        assert_eq!(batch_sizes_between(1, 1), [1]);
        assert_eq!(batch_sizes_between(1, 20), [1, 2, 3, 4, 6, 8, 12, 16, 20]);
        assert_eq!(batch_sizes_between(4, 4), [4], "a fixed batch");
        assert_eq!(batch_sizes_between(5, 9), [5, 6, 8, 9], "a profile that another program chose");
        assert_eq!(batch_sizes_between(0, 0), [1]);
        assert_eq!(batch_sizes_between(9, 4), [4], "no such range");
    }

    proptest! {
        #[test]
        fn every_batch_has_a_rung_that_is_at_most_half_empty(min in 1_usize..40, more in 0_usize..1024, part in 0.0..=1.0) {
            let max = min + more;
            let sizes = batch_sizes_between(min, max);
            prop_assert!(sizes.is_sorted() && sizes[0] == min && sizes[sizes.len() - 1] == max);
            let batch = min + (more as f64 * part) as usize;
            let rung = *sizes.iter().find(|&&size| size >= batch).unwrap();
            prop_assert!(rung * 2 <= batch * 3, "{} runs as {}", batch, rung);
        }
    }
}
