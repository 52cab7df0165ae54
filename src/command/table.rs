//! Tables as kubectl prints them: columns apart by blanks, no lines.

use comfy_table::Table;
use comfy_table::presets::NOTHING;

/// Blanks between two columns.
const GAP: u16 = 3;

/// The rows below their header, in columns.
pub(super) fn render(header: impl IntoIterator<Item = String>, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.into_iter().collect::<Vec<_>>()).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    table.trim_fmt()
}
