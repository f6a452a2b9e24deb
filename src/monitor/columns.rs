//! Text tables.

use comfy_table::{CellAlignment, ColumnConstraint, Table, Width, presets};

/// A table without rules between its columns. Each column has a title and a minimum width; a column whose content is
/// wider grows. The first `left` columns are texts, two spaces apart and left-aligned; the others are numbers.
pub fn columns(left: usize, columns: &[(&str, u16)]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(columns.iter().map(|(title, _)| *title));
    for (at, (column, (_, width))) in table.column_iter_mut().zip(columns).enumerate() {
        let (padding, alignment) = match at < left {
            true => ((0, if at + 1 < left { 2 } else { 0 }), CellAlignment::Left),
            false => ((1, 0), CellAlignment::Right),
        };
        column.set_padding(padding).set_cell_alignment(alignment);
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width + padding.0 + padding.1)));
    }
    table
}

/// The table's lines, without trailing spaces.
pub fn lines(table: &Table) -> impl Iterator<Item = String> {
    table.lines().map(|line| line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_have_to_be() {
        let mut table = columns(1, &[("NAME", 6), ("N", 3), ("fps", 4)]);
        table.add_row(["a", "1", "2.5"]).add_row(["日本", "12345", ""]);
        assert_eq!(lines(&table).collect::<Vec<_>>(), ["NAME       N  fps", "a          1  2.5", "日本   12345"]);
    }
}
