//! The sum of a row of values, in the order in which the kernels add it up, so that both get the same number.

/// Threads that share a row, as in classify.cu.
const THREADS: usize = 256;

/// Each thread adds the values at every 256th place; their sums are added in pairs.
pub(super) fn sum(row: impl Iterator<Item = f32>) -> f32 {
    let mut sums = [0.0; THREADS];
    for (place, value) in row.enumerate() {
        sums[place % THREADS] += value;
    }
    let mut left = sums.as_mut_slice();
    while left.len() > 1 {
        let (first, second) = left.split_at_mut(left.len() / 2);
        first.iter_mut().zip(second).for_each(|(a, b)| *a += *b);
        left = first;
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_counts_once() {
        assert_eq!(sum(std::iter::empty()), 0.0);
        for count in [1u16, 255, 256, 257, 1000] {
            let wanted = f32::from(count) * f32::from(count + 1) / 2.0;
            assert_eq!(sum((1..=count).map(f32::from)), wanted, "{count}");
        }
    }
}
