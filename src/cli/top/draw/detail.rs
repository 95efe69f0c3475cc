//! One destination on the whole screen: its totals, its last error in full,
//! and its last hour.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Paragraph, Wrap};

use super::{age, chart, compact, rate, size, state_style, width};
use crate::cli::top::model::{Model, Row, Sample};

pub(super) fn draw(model: &Model, row: &Row, frame: &mut Frame<'_>, area: Rect) {
    let facts = facts(model, row);
    // Long words of an error wrap: each such line takes as many as it needs.
    let room = usize::from(area.width).max(1);
    let lines: usize = facts
        .iter()
        .map(|line| line.width().div_ceil(room).max(1))
        .sum();
    let lines = u16::try_from(lines + 1).unwrap_or(u16::MAX);
    let [above, below] = Layout::vertical([
        Constraint::Length(lines.min(area.height)),
        Constraint::Min(0),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(facts).wrap(Wrap { trim: false }), above);
    hour(model, row, frame, below);
}

fn facts(model: &Model, row: &Row) -> Vec<Text<'static>> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let said = |name: &str, text: String| Text::from(format!("{name:10} {text}"));
    let mut state = vec![
        Span::raw(format!("{:10} ", "state")),
        Span::styled(row.state.clone(), state_style(model, row)),
    ];
    if let Some(by) = &row.paused_by {
        let who = match by.as_str() {
            "file" => "by the file: paused = true".to_owned(),
            "operator" => "by an operator: r resumes".to_owned(),
            "gone" => "after a 410: r resumes".to_owned(),
            other => format!("by {other}"),
        };
        state.push(Span::raw(format!(", {who}")));
    }
    let retrying = row
        .retrying
        .filter(|count| *count > 0)
        .map_or(String::new(), |count| {
            format!(", {} of them for a retry's time", compact(count))
        });
    let oldest = row.oldest.map_or(String::new(), |seconds| {
        format!(", oldest {}", age(seconds))
    });
    let failing = row
        .failed_rate
        .filter(|failed| *failed > 0.0)
        .map_or(String::new(), |failed| {
            format!(", {} attempts/s fail", rate(failed))
        });
    let mut lines = vec![
        Text::styled(format!("{}  {}  {}", row.name, row.kind, row.target), bold),
        Text::from(state),
        said(
            "settled",
            format!(
                "{} delivered, {} dead, {} dropped",
                row.delivered, row.dead, row.dropped
            ),
        ),
        said(
            "letters",
            format!(
                "{} kept: hookfan dead list --destination {}",
                row.dead_letters, row.name
            ),
        ),
        said(
            "waiting",
            format!(
                "{} ({}){retrying}{oldest}",
                row.pending,
                size(row.pending_bytes)
            ),
        ),
        said("in flight", row.in_flight.to_string()),
        said("rate", format!("{}/s{failing}", rate(row.rate))),
    ];
    match &row.error {
        None => lines.push(said("last error", "none since the start".to_owned())),
        Some([at, outcome, detail]) => {
            lines.push(said("last error", format!("{outcome} at {at}")));
            lines.push(Text::from(detail.clone()));
        }
    }
    lines
}

/// Charts of what was delivered and what waited, newest at the right.
fn hour(model: &Model, row: &Row, frame: &mut Frame<'_>, area: Rect) {
    let answer = model
        .histories
        .get(&row.name)
        .and_then(|history| history.answer.as_ref());
    let samples = match answer {
        None => return frame.render_widget(Paragraph::new("history    asking …"), area),
        Some(Err(why)) => {
            let said = format!("history    not to be had: {why}");
            let paragraph = Paragraph::new(said).wrap(Wrap { trim: false });
            return frame.render_widget(paragraph, area);
        }
        Some(Ok(samples)) => samples,
    };
    let high = (area.height.saturating_sub(3) / 2).min(4);
    if high == 0 {
        return;
    }
    let [title, delivered, second, waiting, times] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(high),
        Constraint::Length(1),
        Constraint::Length(high),
        Constraint::Length(1),
    ])
    .areas(area);
    let seconds: u64 = samples.iter().map(|sample| sample.seconds).sum();
    let peak = samples.iter().map(Sample::rate).fold(0.0, f64::max);
    let failed: u64 = samples.iter().map(|sample| sample.failed).sum();
    let said = format!(
        "delivered, the last {}: at most {}/s; {} attempts failed",
        age(seconds),
        rate(peak),
        compact(failed)
    );
    let room = usize::from(area.width);
    let bars = |of: fn(&Sample) -> u64| squeezed(&samples.iter().map(of).collect::<Vec<_>>(), room);
    frame.render_widget(Paragraph::new(said), title);
    chart(model, &bars(|sample| sample.delivered), frame, delivered);
    let most = samples
        .iter()
        .map(|sample| sample.pending)
        .max()
        .unwrap_or(0);
    frame.render_widget(
        Paragraph::new(format!("waiting: at most {}", compact(most))),
        second,
    );
    chart(model, &bars(|sample| sample.pending), frame, waiting);
    if let Some((median, slow)) = samples.iter().rev().find_map(|sample| sample.attempt_ms) {
        let said = format!("attempts   p50 {} ms, p99 {} ms", rate(median), rate(slow));
        debug_assert!(width(&said) < 80);
        frame.render_widget(Paragraph::new(said), times);
    }
}

/// As many values as there is room for: of neighbours the largest counts, so
/// that no peak is hidden.
fn squeezed(values: &[u64], room: usize) -> Vec<u64> {
    let each = values.len().div_ceil(room.max(1)).max(1);
    // The newest group is always whole; the oldest may be short.
    let mut groups: Vec<u64> = values
        .rchunks(each)
        .map(|group| group.iter().copied().max().unwrap_or(0))
        .collect();
    groups.reverse();
    groups
}
