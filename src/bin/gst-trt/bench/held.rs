//! Finds how many cameras are held: the largest number of streams of which each keeps the clip's rate.

/// The search ends here.
const MOST: usize = 1024;

/// The largest number of streams, from 1, for which `holds` is true, to within a twentieth: it is doubled until it doesn't
/// hold, and then bisected. 0 if not even one is held.
///
/// # Errors
/// The first error of `holds`.
pub fn most_held<E>(mut holds: impl FnMut(usize) -> Result<bool, E>) -> Result<usize, E> {
    let (mut held, mut missed) = (0, 1);
    while missed <= MOST && holds(missed)? {
        (held, missed) = (missed, 2 * missed);
    }
    while missed - held > step(held) {
        let middle = held + (missed - held) / 2;
        if holds(middle)? {
            held = middle;
        } else {
            missed = middle;
        }
    }
    Ok(held)
}

/// How exactly a number of streams is known.
pub fn step(streams: usize) -> usize {
    (streams / 20).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_number_is_found_to_within_a_twentieth() {
        for most in [0, 1, 2, 3, 7, 16, 34, 90, 150, 500] {
            let mut asked = 0;
            let found = most_held(|streams| {
                asked += 1;
                Ok::<_, ()>(streams <= most)
            });
            let found = found.unwrap();
            assert!(found <= most && most - found < step(most).max(1) + 1, "{found} of {most}");
            assert!(asked <= 16, "{most}: {asked} runs");
        }
        assert_eq!(most_held(|streams| if streams < 3 { Ok(true) } else { Err("broken") }), Err("broken"));
    }
}
