//! Finding the nodes of a model that have to stay FP32, with few trials.

use std::collections::BTreeSet;

/// The most nodes that are looked for one by one; what else is needed is kept as one range.
const SINGLE: usize = 12;

/// Finds a small set of the nodes 0 to `count - 1` with which `passes` is true. `passes` is given the set; that it is
/// false for the empty one is known. The order of the nodes is that of the graph.
///
/// From the end of the graph to its start, each next node without which a longer set doesn't pass is found by bisection:
/// a node that stands alone in log2(`count`) + 2 trials, each of its neighbours in 2 more. `None`: not even the set of all
/// passes.
///
/// # Errors
/// Those of `passes`.
pub fn smallest_passing<E>(
    count: usize,
    mut passes: impl FnMut(&BTreeSet<usize>) -> Result<bool, E>,
) -> Result<Option<BTreeSet<usize>>, E> {
    let mut needed = BTreeSet::new();
    // The nodes before `open` and those that are needed pass together.
    let mut open = count;
    if count == 0 || !passes(&(0..count).collect())? {
        return Ok(None);
    }
    while needed.len() < SINGLE {
        if !needed.is_empty() && (open == 0 || passes(&needed)?) {
            return Ok(Some(needed));
        }
        let mut with = |first: usize| passes(&needed.iter().copied().chain(0..first).collect());
        let (mut fails, mut does) = (0, open);
        // The first node may be anywhere, the next one is probably near.
        if !needed.is_empty() {
            let mut step = 1;
            while step < open {
                if !with(open - step)? {
                    fails = open - step;
                    break;
                }
                does = open - step;
                step *= 2;
            }
        }
        while does - fails > 1 {
            let middle = fails + (does - fails) / 2;
            *(if with(middle)? { &mut does } else { &mut fails }) = middle;
        }
        open = fails;
        needed.insert(fails);
    }
    let (mut does, mut fails) = (0, open + 1);
    while fails - does > 1 {
        let middle = does + (fails - does) / 2;
        let set = needed.iter().copied().chain(middle..open).collect();
        *(if passes(&set)? { &mut does } else { &mut fails }) = middle;
    }
    Ok(Some(needed.into_iter().chain(does..open).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The set that is found where these nodes are needed, and the number of trials.
    fn find(count: usize, needed: &[usize]) -> (Vec<usize>, usize) {
        let mut trials = 0;
        let found = smallest_passing::<()>(count, |set| {
            trials += 1;
            Ok(needed.iter().all(|node| set.contains(node)))
        });
        (found.unwrap().unwrap().into_iter().collect(), trials)
    }

    #[test]
    fn a_node_that_stands_alone_takes_its_bisection() {
        for node in [0, 1, 499, 998, 999] {
            let (found, trials) = find(1000, &[node]);
            assert_eq!(found, [node]);
            assert!(trials <= 12, "{node}: {trials}");
        }
        assert_eq!(find(1, &[0]).0, [0]);
    }

    #[test]
    fn neighbours_and_groups_are_found_one_by_one() {
        let (found, trials) = find(1000, &[400, 401, 402]);
        assert_eq!(found, [400, 401, 402]);
        assert!(trials <= 16, "{trials}");
        let (found, trials) = find(1000, &[3, 400, 401, 990]);
        assert_eq!(found, [3, 400, 401, 990]);
        assert!(trials <= 60, "{trials}");
    }

    #[test]
    fn many_nodes_become_a_range() {
        let needed: Vec<usize> = (100..900).step_by(2).collect();
        let (found, trials) = find(1000, &needed);
        assert!(needed.iter().all(|node| found.contains(node)) && found.len() <= 800, "{}", found.len());
        assert!(trials <= 70, "{trials}");
    }

    /// Whatever the trials say, what is returned has passed.
    #[test]
    fn the_result_has_passed_also_where_trials_contradict_each_other() {
        for seed in 1..200_u64 {
            let mut passed: Vec<BTreeSet<usize>> = Vec::new();
            let mut state = seed;
            let found = smallest_passing::<()>(50, |set| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let passes = set.len() == 50 || state >> 63 == 1;
                if passes {
                    passed.push(set.clone());
                }
                Ok(passes)
            });
            assert!(passed.contains(&found.unwrap().unwrap()), "{seed}");
        }
    }

    #[test]
    fn without_a_set_that_passes_there_is_none() {
        let mut trials = 0;
        let found = smallest_passing::<()>(50, |_| {
            trials += 1;
            Ok(false)
        });
        assert_eq!((found, trials), (Ok(None), 1));
        assert_eq!(smallest_passing(50, |_| Err("broken")), Err("broken"));
        assert_eq!(smallest_passing::<()>(0, |_| Ok(true)), Ok(None));
    }
}
