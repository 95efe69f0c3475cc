//! How JSON looks to a person: cells, tables, attempts.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use super::tame;

/// A table without lines that fits the terminal.
pub(super) fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

/// Letters of one cell, at most.
const CELL_MAX: usize = 80;

/// A JSON value as a person reads it, on one line.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => tame(text, false),
        other => other.to_string(),
    }
}

/// The same, cut to what a table bears.
pub(super) fn cell(value: &Value) -> String {
    let text = text(value);
    match text.char_indices().nth(CELL_MAX) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text,
    }
}

/// The same as [`text`], with its lines, for what stands alone.
pub(super) fn whole(value: &Value) -> String {
    match value {
        Value::String(text) => tame(text, true),
        other => text(other),
    }
}

/// One line per attempt.
pub(super) fn attempts(list: &Value) -> Vec<String> {
    let line = |attempt: &Value| {
        format!(
            "   {:>3}. {} {} {} ms {}",
            text(&attempt["number"]),
            text(&attempt["at"]),
            text(&attempt["outcome"]),
            text(&attempt["took_ms"]),
            text(&attempt["detail"])
        )
    };
    list.as_array().into_iter().flatten().map(line).collect()
}
