//! Which track takes which observation: the assignment with the greatest total gain.
//!
//! A pair without gain is never assigned, so that rows and columns may stay alone. Most boxes overlap with one other
//! box only: such pairs are settled at once, and the Hungarian algorithm runs on what is left, cluster by cluster.

/// One row and one column that may be assigned to each other.
#[derive(Debug, Clone, Copy)]
struct Edge {
    row: u32,
    column: u32,
    gain: f32,
    cluster: u32,
}

/// The solver, with the memory that it reuses.
#[derive(Debug, Default)]
pub struct Assignment {
    edges: Vec<Edge>,
    /// A parent of each row, then of each column: a forest of clusters.
    parents: Vec<u32>,
    /// How many edges each row, then each column has.
    degrees: Vec<u32>,
    /// Index of a row or a column in its cluster.
    local: Vec<u32>,
    rows: Vec<u32>,
    columns: Vec<u32>,
    hungarian: Hungarian,
    pairs: Vec<(usize, usize)>,
}

impl Assignment {
    /// Pairs of row and column, in no particular order. `gain` is asked once for each pair; only positive gains count.
    pub fn solve(
        &mut self,
        rows: usize,
        columns: usize,
        mut gain: impl FnMut(usize, usize) -> f32,
    ) -> &[(usize, usize)] {
        self.pairs.clear();
        self.edges.clear();
        self.degrees.clear();
        self.degrees.resize(rows + columns, 0);
        for row in 0..rows {
            for column in 0..columns {
                let gain = gain(row, column);
                if gain > 0.0 {
                    self.degrees[row] += 1;
                    self.degrees[rows + column] += 1;
                    self.edges.push(Edge { row: row as u32, column: column as u32, gain, cluster: 0 });
                }
            }
        }
        let (degrees, pairs) = (&self.degrees, &mut self.pairs);
        self.edges.retain(|edge| {
            let (row, column) = (edge.row as usize, edge.column as usize);
            let alone = degrees[row] == 1 && degrees[rows + column] == 1;
            if alone {
                pairs.push((row, column));
            }
            !alone
        });
        if !self.edges.is_empty() {
            self.solve_clusters(rows, columns);
        }
        &self.pairs
    }

    fn solve_clusters(&mut self, rows: usize, columns: usize) {
        self.parents.clear();
        self.parents.extend(0..(rows + columns) as u32);
        for edge in &self.edges {
            let (a, b) = (root(&mut self.parents, edge.row), root(&mut self.parents, rows as u32 + edge.column));
            self.parents[a as usize] = b;
        }
        for edge in &mut self.edges {
            edge.cluster = root(&mut self.parents, edge.row);
        }
        // The order within a cluster is part of the key, so that equal gains are settled in the same way every time.
        self.edges.sort_unstable_by_key(|edge| (edge.cluster, edge.row, edge.column));
        self.local.clear();
        self.local.resize(rows + columns, u32::MAX);
        for cluster in self.edges.chunk_by(|a, b| a.cluster == b.cluster) {
            self.rows.clear();
            self.columns.clear();
            for edge in cluster {
                let places = [(edge.row, &mut self.rows, 0), (edge.column, &mut self.columns, rows)];
                for (index, list, offset) in places {
                    let local = &mut self.local[offset + index as usize];
                    if *local == u32::MAX {
                        *local = list.len() as u32;
                        list.push(index);
                    }
                }
            }
            let solver = &mut self.hungarian;
            solver.start(self.rows.len(), self.columns.len());
            for edge in cluster {
                let (row, column) = (self.local[edge.row as usize], self.local[rows + edge.column as usize]);
                solver.set(row as usize, column as usize, edge.gain);
            }
            for (row, column) in solver.solve() {
                self.pairs.push((self.rows[row] as usize, self.columns[column] as usize));
            }
        }
    }
}

fn root(parents: &mut [u32], mut node: u32) -> u32 {
    while parents[node as usize] != node {
        let grandparent = parents[parents[node as usize] as usize];
        parents[node as usize] = grandparent;
        node = grandparent;
    }
    node
}

/// The Hungarian algorithm by shortest augmenting paths, O(rows² · columns), with a column of gain 0 per row for rows
/// that stay alone. Indices of its arrays start at 1; 0 means none.
#[derive(Debug, Default)]
struct Hungarian {
    rows: usize,
    real_columns: usize,
    columns: usize,
    /// Negative gains, row by row.
    costs: Vec<f64>,
    row_potentials: Vec<f64>,
    column_potentials: Vec<f64>,
    row_of: Vec<usize>,
    previous: Vec<usize>,
    least: Vec<f64>,
    visited: Vec<bool>,
}

impl Hungarian {
    /// The cost of a pair that has no gain: worse than leaving both alone.
    const NEVER: f64 = 1e6;

    fn start(&mut self, rows: usize, columns: usize) {
        self.rows = rows;
        self.real_columns = columns;
        self.columns = columns + rows;
        self.costs.clear();
        self.costs.resize(rows * self.columns, 0.0);
        for row in self.costs.chunks_mut(self.columns) {
            row[..columns].fill(Self::NEVER);
        }
    }

    fn set(&mut self, row: usize, column: usize, gain: f32) {
        self.costs[row * self.columns + column] = -f64::from(gain);
    }

    fn solve(&mut self) -> impl Iterator<Item = (usize, usize)> {
        fn renew<T: Clone>(list: &mut Vec<T>, length: usize, value: T) {
            list.clear();
            list.resize(length, value);
        }
        renew(&mut self.row_potentials, self.rows + 1, 0.0);
        renew(&mut self.column_potentials, self.columns + 1, 0.0);
        renew(&mut self.row_of, self.columns + 1, 0);
        renew(&mut self.previous, self.columns + 1, 0);
        for row in 1..=self.rows {
            renew(&mut self.least, self.columns + 1, f64::INFINITY);
            renew(&mut self.visited, self.columns + 1, false);
            self.row_of[0] = row;
            let mut column = 0;
            while self.row_of[column] != 0 {
                self.visited[column] = true;
                column = self.nearest(column);
            }
            while column != 0 {
                let previous = self.previous[column];
                self.row_of[column] = self.row_of[previous];
                column = previous;
            }
        }
        let pairs = self.row_of[1..=self.real_columns].iter().enumerate();
        pairs.filter(|(_, row)| **row != 0).map(|(column, row)| (*row - 1, column))
    }

    /// Grows the tree of alternating paths from `from` to the nearest column that isn't in it.
    fn nearest(&mut self, from: usize) -> usize {
        let row = self.row_of[from];
        let costs = &self.costs[(row - 1) * self.columns..row * self.columns];
        let (mut delta, mut next) = (f64::INFINITY, 0);
        for column in 1..=self.columns {
            if self.visited[column] {
                continue;
            }
            let reduced = costs[column - 1] - self.row_potentials[row] - self.column_potentials[column];
            if reduced < self.least[column] {
                self.least[column] = reduced;
                self.previous[column] = from;
            }
            if self.least[column] < delta {
                (delta, next) = (self.least[column], column);
            }
        }
        for column in 0..=self.columns {
            if self.visited[column] {
                self.row_potentials[self.row_of[column]] += delta;
                self.column_potentials[column] -= delta;
            } else {
                self.least[column] -= delta;
            }
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The greatest total by trying everything.
    fn best(gains: &[Vec<f32>], row: usize, taken: &mut Vec<bool>) -> f32 {
        let Some(columns) = gains.get(row) else { return 0.0 };
        let mut greatest = best(gains, row + 1, taken);
        for (column, gain) in columns.iter().enumerate() {
            if *gain > 0.0 && !taken[column] {
                taken[column] = true;
                greatest = greatest.max(gain + best(gains, row + 1, taken));
                taken[column] = false;
            }
        }
        greatest
    }

    proptest! {
        #[test]
        fn the_total_is_the_greatest(
            gains in (1..6usize).prop_flat_map(|columns| proptest::collection::vec(
                proptest::collection::vec(prop_oneof![Just(-1.0f32), 0.01..1.0f32], columns), 1..6))
        ) {
            let columns = gains[0].len();
            let mut solver = Assignment::default();
            // A second run reuses the memory of the first.
            for _ in 0..2 {
                let pairs = solver.solve(gains.len(), columns, |row, column| gains[row][column]).to_vec();
                let total: f32 = pairs.iter().map(|(row, column)| gains[*row][*column]).sum();
                prop_assert!(pairs.iter().all(|(row, column)| gains[*row][*column] > 0.0));
                let unique = |side: fn(&(usize, usize)) -> usize| {
                    let mut list: Vec<_> = pairs.iter().map(side).collect();
                    list.sort_unstable();
                    list.dedup();
                    list.len() == pairs.len()
                };
                prop_assert!(unique(|pair| pair.0) && unique(|pair| pair.1));
                let wanted = best(&gains, 0, &mut vec![false; columns]);
                prop_assert!((total - wanted).abs() < 1e-4, "{total} instead of {wanted}: {pairs:?}");
            }
        }
    }

    #[test]
    fn nothing_to_assign() {
        let mut solver = Assignment::default();
        assert!(solver.solve(0, 3, |_, _| 1.0).is_empty());
        assert!(solver.solve(3, 0, |_, _| 1.0).is_empty());
        assert!(solver.solve(2, 2, |_, _| 0.0).is_empty());
    }
}
