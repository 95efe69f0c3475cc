//! What `top` looks like: the model into a buffer, whatever its size. Pure.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Sparkline, Wrap};

use super::model::{Deed, Line, Model, Over, Row, Sort};
use crate::cli::print::{compact, fit, size, width};
use crate::cli::status::age;

mod detail;
mod table;

/// The whole screen.
pub(super) fn whole(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let [head, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(area);
    header(model, frame, head);
    match model.selected_row().filter(|_| model.detail) {
        Some(row) => detail::draw(model, row, frame, body),
        None => list(model, frame, body),
    }
    footer(model, frame, foot);
    if model.over == Over::Help {
        help(model, frame, area);
    }
}

/// Who is looked at, and whether it is heard.
fn header(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let (word, style) = match &model.line {
        Line::Waiting => ("asking".to_owned(), Style::new()),
        Line::Live => ("live".to_owned(), Style::new()),
        Line::Polled => ("polled".to_owned(), Style::new()),
        Line::Lost(since, _) => {
            let silent = age((model.now - *since).as_secs());
            let said = format!("GONE for {silent}, trying again");
            (
                said,
                coloured(model, Color::Red).add_modifier(Modifier::BOLD),
            )
        }
    };
    let name = if area.width < 60 { "" } else { "hookfan " };
    let mut spans = vec![
        Span::styled(name, Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(format!("{} ", model.address)),
        Span::styled(word, style),
    ];
    match &model.line {
        Line::Lost(_, why) => spans.push(Span::raw(format!(": {why}"))),
        Line::Waiting => {}
        Line::Live | Line::Polled => spans.push(match &model.trouble {
            None => Span::raw(", ready"),
            Some(trouble) => {
                let style = coloured(model, Color::Red).add_modifier(Modifier::BOLD);
                Span::styled(format!(", NOT READY: {trouble}"), style)
            }
        }),
    }
    let left = Text::from(spans);
    let by = match model.sort {
        Sort::Name => "by name",
        Sort::Backlog => "by backlog",
        Sort::Oldest => "by oldest",
        Sort::Rate => "by rate",
    };
    let count = model.shown().len();
    let right = match model.filter.as_str() {
        "" => format!("{count} {by}"),
        filter => format!("{count} of {} with {filter:?} {by}", model.rows.len()),
    };
    let room = usize::from(area.width);
    let right_fits = left.width() + width(&right) + 2 <= room;
    frame.render_widget(Paragraph::new(left), area);
    if right_fits {
        frame.render_widget(Paragraph::new(right).alignment(Alignment::Right), area);
    }
}

/// Sources, what was delivered lately, and the destinations.
fn list(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let tall = area.height >= 14;
    let sources = sources(model, usize::from(area.width), if tall { 3 } else { 1 });
    let lines = u16::try_from(sources.len()).unwrap_or(1);
    let error = model
        .selected_row()
        .filter(|_| tall)
        .and_then(|row| row.error.as_ref());
    let [above, chart, _gap, rows, words] = Layout::vertical([
        Constraint::Length(lines),
        Constraint::Length(if tall { 2 } else { 1 }),
        Constraint::Length(u16::from(tall)),
        Constraint::Min(1),
        Constraint::Length(u16::from(error.is_some())),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(sources), above);
    delivered(model, frame, chart);
    table::draw(model, frame, rows);
    // There is seldom room for it in its row.
    if let Some([at, outcome, detail]) = error {
        let said = format!("{outcome} at {at}: {detail}");
        frame.render_widget(Paragraph::new(fit(&said, usize::from(words.width))), words);
    }
}

/// `in  qiscus 12/s  shop 0/s`, on as few lines as it takes; `most` at most.
fn sources(model: &Model, room: usize, most: usize) -> Vec<Text<'static>> {
    let mut lines = vec!["in  ".to_owned()];
    let mut left = model.sources.len();
    for source in &model.sources {
        let said = format!(" {} {}/s  ", source.name, rate(source.rate));
        let last = lines.len() == most;
        let full = lines
            .last()
            .is_some_and(|line| width(line) + width(&said) > room);
        if full && last {
            break;
        }
        if full {
            lines.push("    ".to_owned());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(&said);
        }
        left -= 1;
    }
    if left > 0
        && let Some(line) = lines.last_mut()
    {
        let more = format!(" and {left} more");
        *line = format!("{}{more}", fit(line, room.saturating_sub(width(&more))));
    }
    lines.into_iter().map(Text::from).collect()
}

/// `out 34/s` and a bar for each of the last seconds.
fn delivered(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let sum: f64 = model.rows.iter().map(|row| row.rate).sum();
    let said = format!("out  {}/s ", rate(sum));
    let [words, bars] =
        Layout::horizontal([Constraint::Length(14), Constraint::Min(0)]).areas(area);
    frame.render_widget(Paragraph::new(said), words);
    let seconds = model.delivered.last(usize::from(bars.width));
    chart(model, &seconds, frame, bars);
}

/// Bars that end at the right edge, with the newest.
fn chart(model: &Model, values: &[u64], frame: &mut Frame<'_>, area: Rect) {
    let room = usize::from(area.width);
    let mut bars = vec![0; room.saturating_sub(values.len())];
    bars.extend(values.iter().skip(values.len().saturating_sub(room)));
    let style = coloured(model, Color::Green);
    frame.render_widget(Sparkline::default().data(bars).style(style), area);
}

/// The question, the filter, what was just done, or the keys.
fn footer(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let line = match (&model.over, &model.said) {
        (Over::Confirm(Deed::Pause(name)), _) => Text::styled(
            format!("Pause {name}? Its events wait in the log. y/n"),
            bold,
        ),
        (Over::Confirm(Deed::Resume(name)), _) => Text::styled(format!("Resume {name}? y/n"), bold),
        (Over::Filter, _) => Text::from(vec![
            Span::styled("filter: ", bold),
            Span::raw(model.filter.clone()),
            Span::styled(" ", Style::new().add_modifier(Modifier::REVERSED)),
            Span::raw("  enter keeps it, esc clears it"),
        ]),
        (_, Some((_, said))) => Text::styled(said.clone(), bold),
        _ => {
            let all = if model.detail {
                "esc back  p pause  r resume  ? help  q quit"
            } else {
                "enter detail  p pause  r resume  s sort  f filter  l times  ? help  q quit"
            };
            let keys = if width(all) > usize::from(area.width) {
                "? help  q quit"
            } else {
                all
            };
            Text::styled(keys, Style::new().add_modifier(Modifier::DIM))
        }
    };
    frame.render_widget(Paragraph::new(line), area);
}

const HELP: &str = "\
j k  ↑ ↓   select
enter      one destination; esc back
p  r       pause, resume; asks first
s          sort: name, backlog,
           oldest, rate
f  /       show only what has this
           in name, kind or state
l          times of attempts: p50, p99
q  ctrl-c  quit
A pause holds a destination's events
in the log; nothing is lost.";

fn help(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let lines = u16::try_from(HELP.lines().count()).unwrap_or(u16::MAX);
    let wide = area.width.min(40);
    let high = area.height.min(lines + 2);
    let place = Rect {
        x: area.x + (area.width - wide) / 2,
        y: area.y + (area.height - high) / 2,
        width: wide,
        height: high,
    };
    frame.render_widget(Clear, place);
    let frame_style = coloured(model, Color::Cyan);
    let block = Block::bordered().title(" keys ").border_style(frame_style);
    let text = Paragraph::new(HELP).wrap(Wrap { trim: false });
    frame.render_widget(text.block(block), place);
}

/// A colour, unless nobody wants any.
fn coloured(model: &Model, colour: Color) -> Style {
    if model.plain {
        Style::new()
    } else {
        Style::new().fg(colour)
    }
}

/// A state always is a word; the colour only helps.
fn state_style(model: &Model, row: &Row) -> Style {
    match row.state.as_str() {
        "delivering" => coloured(model, Color::Green),
        "waiting" => coloured(model, Color::Cyan),
        "paused" => coloured(model, Color::Yellow),
        "failing" => coloured(model, Color::Red).add_modifier(Modifier::BOLD),
        _ => Style::new().add_modifier(Modifier::DIM),
    }
}

/// A rate in at most four letters, nearly always.
fn rate(per_second: f64) -> String {
    if per_second < 0.05 {
        "0".to_owned()
    } else if per_second < 9.95 {
        format!("{per_second:.1}")
    } else {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is rounded and more than nine"
        )]
        compact(per_second.round() as u64)
    }
}
