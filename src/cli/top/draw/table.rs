//! The destinations as rows, in as many columns as there is room for.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::Paragraph;

use super::{age, coloured, compact, fit, rate, state_style, width};
use crate::cli::print::{pad, pad_left};
use crate::cli::top::model::{Line, Model, Row};

/// What a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Name,
    State,
    Rate,
    Bar,
    Waiting,
    Oldest,
    InFlight,
    Median,
    Slow,
    Error,
}

/// The narrowest column of errors worth having.
const ERROR_MIN: usize = 12;

/// The columns that fit, and their widths.
fn columns(model: &Model, room: usize) -> Vec<(Column, usize)> {
    let names = model.shown().iter().map(|row| width(&row.name)).max();
    let name = names.unwrap_or(0).clamp(11, (room / 3).clamp(11, 28));
    // In the order of their worth.
    let mut worth = vec![
        (Column::Name, name),
        (Column::State, 10),
        (Column::Waiting, 7),
        (Column::Oldest, 6),
    ];
    if model.latency {
        worth.extend([(Column::Slow, 7), (Column::Median, 7)]);
    }
    worth.extend([(Column::Rate, 6), (Column::InFlight, 6), (Column::Bar, 8)]);
    // A mark in front of each row, and one letter between columns.
    let mut left = room.saturating_sub(2);
    let mut chosen: Vec<(Column, usize)> = Vec::new();
    for (column, wide) in worth {
        if left < wide + 1 {
            break;
        }
        left -= wide + 1;
        chosen.push((column, wide));
    }
    if left >= ERROR_MIN {
        chosen.push((Column::Error, left));
    }
    chosen.sort_by_key(|(column, _)| *column as usize);
    chosen
}

/// Title and rows; the selected one is always among those that fit.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let columns = columns(model, usize::from(area.width));
    let titles: Vec<String> = columns
        .iter()
        .map(|(column, wide)| {
            let title = match column {
                Column::Name => "destination",
                Column::State => "state",
                Column::Rate => "rate/s",
                Column::Bar => "",
                Column::Waiting => "waiting",
                Column::Oldest => "oldest",
                Column::InFlight => "flying",
                Column::Median => "p50 ms",
                Column::Slow => "p99 ms",
                Column::Error => "last error",
            };
            match column {
                Column::Name | Column::State | Column::Bar | Column::Error => pad(title, *wide),
                _ => pad_left(title, *wide),
            }
        })
        .collect();
    let title = format!("  {}", titles.join(" "));
    let mut lines = vec![Text::styled(
        title,
        Style::new().add_modifier(Modifier::UNDERLINED),
    )];
    let rows = model.shown();
    let selected = model.selected();
    let fitting = usize::from(area.height).saturating_sub(1).max(1);
    let first = (selected + 1).saturating_sub(fitting);
    let most = rows.iter().map(|row| row.pending).max().unwrap_or(0);
    for (place, row) in rows.iter().enumerate().skip(first).take(fitting) {
        lines.push(one(model, row, &columns, place == selected, most));
    }
    if rows.is_empty() {
        lines.push(Text::from(match (&model.line, model.filter.as_str()) {
            (Line::Waiting, _) => "  asking the gateway …".to_owned(),
            (_, "") => "  no destination is known".to_owned(),
            (_, filter) => format!("  nothing has {filter:?}; esc clears the filter"),
        }));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn one(
    model: &Model,
    row: &Row,
    columns: &[(Column, usize)],
    selected: bool,
    most: u64,
) -> Text<'static> {
    let mark = if selected { "▶ " } else { "  " };
    let mut spans = vec![Span::raw(mark)];
    let times = model
        .histories
        .get(&row.name)
        .and_then(|history| history.answer.as_ref()?.as_ref().ok())
        .and_then(|samples| samples.iter().rev().find_map(|sample| sample.attempt_ms));
    let millis = |of: fn((f64, f64)) -> f64| times.map_or("-".to_owned(), |both| rate(of(both)));
    for (column, wide) in columns {
        let right = |text: &str| Span::raw(pad_left(text, *wide));
        spans.push(match column {
            Column::Name => Span::raw(pad(&row.name, *wide)),
            Column::State => Span::styled(pad(&row.state, *wide), state_style(model, row)),
            Column::Rate => right(&rate(row.rate)),
            Column::Bar => Span::styled(
                bar(row.pending, most, *wide),
                coloured(
                    model,
                    if row.state == "failing" {
                        Color::Red
                    } else {
                        Color::Cyan
                    },
                ),
            ),
            Column::Waiting => right(&compact(row.pending)),
            Column::Oldest => right(&row.oldest.map_or("-".to_owned(), age)),
            Column::InFlight => right(&compact(row.in_flight)),
            Column::Median => right(&millis(|(median, _)| median)),
            Column::Slow => right(&millis(|(_, slow)| slow)),
            Column::Error => Span::raw(pad(&fit(&error(row), *wide), *wide)),
        });
        spans.push(Span::raw(" "));
    }
    let line = Text::from(spans);
    if selected {
        line.style(Style::new().add_modifier(Modifier::BOLD))
    } else {
        line
    }
}

/// What went wrong last, in one line: the outcome first, then its words.
fn error(row: &Row) -> String {
    match &row.error {
        None => String::new(),
        Some([_, outcome, detail]) => format!("{outcome} {detail}"),
    }
}

/// How much of the largest backlog this is, in eighths of a letter. What waits
/// is never drawn as nothing.
fn bar(pending: u64, most: u64, wide: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if pending == 0 || most == 0 {
        return " ".repeat(wide);
    }
    let room = u64::try_from(wide).unwrap_or(0) * 8;
    let eighths = u128::from(pending) * u128::from(room) / u128::from(most);
    let eighths = usize::try_from(eighths).unwrap_or(0).max(1);
    let part = EIGHTHS.get(eighths % 8).copied().unwrap_or_default();
    pad(&format!("{}{part}", "█".repeat(eighths / 8)), wide)
}
