//! Complaints for people (in rustc's look) and for programs (JSON).

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::json;

use super::Complaints;
use super::mask::{Masked, masks};
use crate::decode::{Complaint, Severity};

/// Every complaint with its line, then how many there are.
pub(super) fn draw(complaints: &Complaints, colour: bool) -> String {
    let shown: Vec<Masked> = complaints
        .texts
        .iter()
        .enumerate()
        .map(|(file, (_, text))| shown(complaints, file, text))
        .collect();
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut drawn = String::new();
    for complaint in &complaints.complaints {
        let (path, text) = source(complaints, complaint);
        let (line, column) = place(text, complaint.span.start);
        let _ = write!(drawn, "{path}:{line}:{column}: ");
        drawn.push_str(&one(&renderer, complaint, shown.get(complaint.file), line));
        drawn.push_str("\n\n");
    }
    drawn.push_str(&sum(complaints));
    drawn
}

/// `{complaints:[{severity, file, line, column, message, help}]}`.
pub(super) fn to_json(complaints: &Complaints) -> serde_json::Value {
    let list: Vec<_> = complaints
        .complaints
        .iter()
        .map(|complaint| {
            let (path, text) = source(complaints, complaint);
            let (line, column) = place(text, complaint.span.start);
            json!({
                "severity": complaint.severity,
                "file": path,
                "line": line,
                "column": column,
                "message": complaint.message,
                "help": complaint.help,
            })
        })
        .collect();
    json!({ "complaints": list })
}

fn source<'c>(complaints: &'c Complaints, complaint: &Complaint) -> (String, &'c str) {
    match complaints.texts.get(complaint.file) {
        Some((path, text)) => (path.display().to_string(), text),
        None => (String::new(), ""),
    }
}

/// A file's text without what was typed into it and belongs elsewhere.
fn shown(complaints: &Complaints, file: usize, text: &str) -> Masked {
    let typed = complaints
        .complaints
        .iter()
        .filter(|complaint| complaint.file == file && complaint.hides_source());
    Masked::new(
        text,
        &masks(
            text,
            typed.map(|complaint| complaint.span.clone()).collect(),
        ),
    )
}

/// Line and column of a byte, both from 1; the column counts characters.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..floor(text, at)).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    (
        line,
        before.get(start..).unwrap_or_default().chars().count() + 1,
    )
}

fn one(renderer: &Renderer, complaint: &Complaint, shown: Option<&Masked>, line: usize) -> String {
    let level = match complaint.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(complaint.message.as_str());
    let cut = shown
        .filter(|shown| !shown.text.is_empty())
        .map(|shown| lines(&shown.text, shown.place(&complaint.span)));
    let mut group = match cut {
        Some((text, span)) => {
            let snippet = Snippet::source(text)
                .line_start(line)
                .annotation(AnnotationKind::Primary.span(span));
            title.element(snippet)
        }
        None => Group::with_title(title),
    };
    if let Some(help) = &complaint.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// The whole lines a span touches, at most a few, and the span in them.
fn lines(text: &str, span: Range<usize>) -> (&str, Range<usize>) {
    const LINES_MAX: usize = 6;
    let start = floor(text, span.start);
    let first = text
        .get(..start)
        .unwrap_or_default()
        .rfind('\n')
        .map_or(0, |newline| newline + 1);
    let end = floor(text, span.end.max(start));
    let last = text
        .get(end..)
        .and_then(|after| after.find('\n'))
        .map_or(text.len(), |newline| end + newline);
    let last = text
        .get(first..last)
        .unwrap_or_default()
        .match_indices('\n')
        .nth(LINES_MAX - 1)
        .map_or(last, |(newline, _)| first + newline);
    let cut = text
        .get(first..last)
        .unwrap_or_default()
        .trim_end_matches('\r');
    (
        cut,
        (start - first).min(cut.len())..(end - first).min(cut.len()),
    )
}

/// The nearest character boundary at or before a byte.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn sum(complaints: &Complaints) -> String {
    let count = |severity| {
        complaints
            .complaints
            .iter()
            .filter(|complaint| complaint.severity == severity)
            .count()
    };
    let said = |number: usize, what: &str| {
        format!("{number} {what}{}", if number == 1 { "" } else { "s" })
    };
    match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => String::new(),
        (errors, 0) => format!("{}\n", said(errors, "error")),
        (0, warnings) => format!("{}\n", said(warnings, "warning")),
        (errors, warnings) => format!("{}, {}\n", said(errors, "error"), said(warnings, "warning")),
    }
}
