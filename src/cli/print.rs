//! How JSON looks to a person: cells, sheets that fit the terminal, attempts.

use std::io::IsTerminal;

use comfy_table::{ContentArrangement, Table, presets};
use ratatui::text::Span;
use serde_json::Value;

use super::{say, tame};

/// A table without lines, for the demo's totals.
pub(super) fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

/// A column of a [`Sheet`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    /// Where there is no room, the column with the largest goes first; those
    /// with 0 never go.
    spare: u8,
    /// It may be shortened to this many letters; `None`: to none.
    least: Option<usize>,
    right: bool,
}

impl Column {
    /// Text, shown whole or not at all.
    pub(super) const fn whole(title: &'static str, spare: u8) -> Self {
        Self {
            title,
            spare,
            least: None,
            right: false,
        }
    }

    /// Text that may be shortened to `least` letters.
    pub(super) const fn text(title: &'static str, spare: u8, least: usize) -> Self {
        Self {
            least: Some(least),
            ..Self::whole(title, spare)
        }
    }

    /// A number.
    pub(super) const fn number(title: &'static str, spare: u8) -> Self {
        Self {
            right: true,
            ..Self::whole(title, spare)
        }
    }
}

/// Rows for a person, fitted to the terminal; whole when piped or wide.
#[derive(Debug)]
pub(super) struct Sheet {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// Whether tables are cut to the terminal.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(super) struct Width {
    /// Show every column whole, however wide the terminal is
    #[arg(long)]
    wide: bool,
}

impl Width {
    /// Letters there are room for; `None`: as many as it takes.
    pub(super) fn room(self) -> Option<usize> {
        if self.wide || !std::io::stdout().is_terminal() {
            return None;
        }
        let (columns, _) = ratatui::crossterm::terminal::size().ok()?;
        Some(usize::from(columns)).filter(|columns| *columns > 0)
    }
}

/// Letters between two columns.
const GAP: usize = 2;

impl Sheet {
    pub(super) fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// One row, a cell for each column.
    pub(super) fn push(&mut self, row: impl IntoIterator<Item = String>) {
        self.rows.push(row.into_iter().collect());
    }

    pub(super) fn say(&self, width: Width) {
        say(&self.drawn(width.room()));
    }

    /// Title and rows, no line longer than `room`.
    pub(super) fn drawn(&self, room: Option<usize>) -> String {
        let widths = self.widths(room);
        let titles = self.columns.iter().map(|column| column.title.to_owned());
        let mut lines = vec![self.line(titles.collect(), &widths)];
        lines.extend(self.rows.iter().map(|row| self.line(row.clone(), &widths)));
        lines.join("\n")
    }

    fn line(&self, cells: Vec<String>, widths: &[Option<usize>]) -> String {
        let mut line = String::new();
        for ((cell, column), wide) in cells.iter().zip(&self.columns).zip(widths) {
            let Some(wide) = *wide else { continue };
            if !line.is_empty() {
                line.push_str(&" ".repeat(GAP));
            }
            line.push_str(&if column.right {
                pad_left(cell, wide)
            } else {
                pad(cell, wide)
            });
        }
        line.truncate(line.trim_end().len());
        line
    }

    /// How wide each column is; `None`: it is left out.
    fn widths(&self, room: Option<usize>) -> Vec<Option<usize>> {
        let wanted: Vec<usize> = (0..)
            .zip(&self.columns)
            .map(|(at, column)| {
                let cells = self.rows.iter().filter_map(|row| row.get(at));
                let widest = cells.map(|cell| width(cell)).max().unwrap_or(0);
                widest.max(width(column.title))
            })
            .collect();
        let mut widths: Vec<Option<usize>> = wanted.iter().copied().map(Some).collect();
        let Some(room) = room else {
            return widths;
        };
        let least = |at: usize| {
            let column = self.columns.get(at).copied();
            let wanted = wanted.get(at).copied().unwrap_or(0);
            column
                .and_then(|column| column.least)
                .map_or(wanted, |least| least.min(wanted))
        };
        // Columns go until the others fit at their least.
        loop {
            let kept = || widths.iter().enumerate().filter(|(_, wide)| wide.is_some());
            let needed: usize = kept().map(|(at, _)| least(at) + GAP).sum();
            if needed <= room + GAP {
                break;
            }
            let spare = |at: &usize| self.columns.get(*at).map_or(0, |column| column.spare);
            let last = kept()
                .map(|(at, _)| at)
                .filter(|at| spare(at) > 0)
                .max_by_key(spare);
            match last.and_then(|at| widths.get_mut(at)) {
                Some(wide) => *wide = None,
                None => break,
            }
        }
        shrink(&mut widths, least, room);
        widths
    }
}

/// Takes letters from the widest column that bears it, until all fit. What can
/// give nothing more is cut at the edge: no line is longer than the terminal.
fn shrink(widths: &mut [Option<usize>], least: impl Fn(usize) -> usize, room: usize) {
    loop {
        let shown = widths.iter().flatten().count();
        let needed = widths.iter().flatten().sum::<usize>() + GAP * shown.saturating_sub(1);
        if needed <= room {
            return;
        }
        let bears = widths
            .iter()
            .enumerate()
            .filter_map(|(at, wide)| Some((at, (*wide)?)))
            .filter(|(at, wide)| *wide > least(*at))
            .max_by_key(|(_, wide)| *wide)
            .or_else(|| {
                let all = widths.iter().enumerate();
                all.filter_map(|(at, wide)| Some((at, (*wide)?)))
                    .filter(|(_, wide)| *wide > 1)
                    .max_by_key(|(_, wide)| *wide)
            });
        match bears.and_then(|(at, _)| widths.get_mut(at)) {
            Some(Some(wide)) => *wide -= 1,
            _ => return,
        }
    }
}

/// How many letters of a terminal a text takes.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// A text on at most so many letters, with an ellipsis where it was cut.
pub(super) fn fit(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut left = room.saturating_sub(1);
    let mut letter = [0; 4];
    for one in text.chars() {
        let wide = width(one.encode_utf8(&mut letter));
        if wide > left {
            break;
        }
        left -= wide;
        kept.push(one);
    }
    if room > 0 {
        kept.push('…');
    }
    kept
}

/// Fitted, and filled up with spaces behind.
pub(super) fn pad(text: &str, room: usize) -> String {
    let text = fit(text, room);
    let left = room.saturating_sub(width(&text));
    format!("{text}{}", " ".repeat(left))
}

/// Fitted, and filled up with spaces in front.
pub(super) fn pad_left(text: &str, room: usize) -> String {
    let text = fit(text, room);
    let left = room.saturating_sub(width(&text));
    format!("{}{text}", " ".repeat(left))
}

/// A count in at most five letters: `999`, `12.3k`, `4.5M`.
pub(super) fn compact(count: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1_000_000_000_000, "T"),
        (1_000_000_000, "G"),
        (1_000_000, "M"),
        (1_000, "k"),
    ];
    scaled(count, &UNITS, "")
}

/// Bytes: `512 B`, `4.5 MiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1 << 40, " TiB"),
        (1 << 30, " GiB"),
        (1 << 20, " MiB"),
        (1 << 10, " KiB"),
    ];
    scaled(bytes, &UNITS, " B")
}

fn scaled(number: u64, units: &[(u64, &str)], alone: &str) -> String {
    match units.iter().find(|(scale, _)| number >= *scale) {
        None => format!("{number}{alone}"),
        // Tenths, cut off and not rounded: 999.99k must not become 1000k.
        Some((scale, unit)) => {
            let tenths = u128::from(number) * 10 / u128::from(*scale);
            if tenths >= 1000 {
                format!("{}{unit}", tenths / 10)
            } else {
                format!("{}.{}{unit}", tenths / 10, tenths % 10)
            }
        }
    }
}

/// A JSON value as a person reads it, on one line.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => tame(text, false),
        other => other.to_string(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let mut sheet = Sheet::new(&[
            Column::whole("id", 0),
            Column::text("destination", 0, 8),
            Column::number("attempts", 1),
            Column::text("detail", 2, 12),
        ]);
        let long = "the connection was refused by the very last of the addresses".to_owned();
        sheet.push([
            "4294971392".to_owned(),
            "a-long-destination".to_owned(),
            "12".to_owned(),
            long,
        ]);
        sheet.push([
            "7".to_owned(),
            "crm".to_owned(),
            "1".to_owned(),
            "müller 你好".to_owned(),
        ]);
        sheet
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_important_columns_stay() {
        for room in 1..140 {
            let drawn = sheet().drawn(Some(room));
            for line in drawn.lines() {
                assert!(width(line) <= room.max(2 + GAP), "{room}: {line:?}");
            }
        }
        let drawn = [80, 40, 22].map(|room| sheet().drawn(Some(room)));
        insta::assert_snapshot!("sheets", drawn.join("\n\n"));
    }

    #[test]
    fn what_is_piped_is_whole() {
        let drawn = sheet().drawn(None);
        assert!(drawn.contains("the very last of the addresses") && !drawn.contains('…'));
    }

    #[test]
    fn a_count_and_a_size_are_short() {
        for (count, shown) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1.0k"),
            (12_345, "12.3k"),
            (999_999, "999k"),
            (4_500_000, "4.5M"),
        ] {
            assert_eq!(compact(count), shown);
        }
        assert_eq!(size(512), "512 B");
        assert_eq!(size((9 << 20) / 2), "4.5 MiB");
    }

    #[test]
    fn a_text_is_cut_between_letters() {
        assert_eq!(fit("你好世界", 5), "你好…");
        assert_eq!(fit("short", 5), "short");
        assert_eq!(fit("shorter", 1), "…");
    }
}
