//! The one language of routes.toml, minijinja tamed: `when` is a bare
//! [`Expression`], body shapes and `with` are [`Template`]s.
//!
//! A missing name is an error and never an empty text; `{{ x | default('') }}`
//! says otherwise. Every evaluation has a budget. What can be called stands in
//! two tables ([`FILTERS`], [`TESTS`]); there are no functions, macros or
//! includes.

mod names;
mod scan;
mod scope;
mod words;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::Value as Json;

use scan::{Piece, malformed};

pub use names::{advice, advice_in_template};
pub use scope::{ELEMENTS_MAX, Scope};
pub use words::{FILTERS, SPLIT_PARTS_MAX, TESTS, TEXT_BYTES_MAX};

/// The longest expression or template, in bytes.
pub const SOURCE_BYTES_MAX: usize = 64 << 10;

/// What one evaluation may cost, in minijinja's instructions.
pub const STEPS_MAX: u64 = 50_000;

/// A text that is no expression; `span` is the byte range in that text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Malformed {
    pub message: String,
    pub span: Range<usize>,
}

/// An evaluation that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{expression}`: {message}")]
pub struct Failed {
    pub expression: String,
    /// Names the missing name where that is the cause.
    pub message: String,
}

/// One path an expression read, and what it found there.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Looked {
    pub path: String,
    /// Absent where there was nothing.
    pub value: Option<Json>,
}

/// A bare expression, as in `when = "message.direction == 'incoming'"`.
pub struct Expression {
    text: String,
    /// The text with a guard behind every factor; what was compiled.
    guarded: String,
    compiled: minijinja::Expression<'static, 'static>,
    paths: Vec<String>,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

impl Expression {
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        check_length(text)?;
        let whole = 0..text.len();
        // The first compilation is for its errors: its spans are those of the text.
        let plain = BARE
            .compile_expression_owned(text.to_owned())
            .map_err(|error| syntax(&error, text))?;
        let mut paths: Vec<String> = plain.undeclared_variables(true).into_iter().collect();
        paths.sort_unstable();
        let names = plain.undeclared_variables(false);
        names::refuse_foreign(text, &whole)?;
        let guards = scan::guards(text, &whole)?;
        check_roots(text, &whole, names.iter().map(String::as_str))?;
        names::check(text, std::slice::from_ref(&whole), &paths)?;
        let guarded = scan::guarded(text, &whole, &guards);
        let compiled = if guards.is_empty() {
            plain
        } else {
            BARE.compile_expression_owned(guarded.clone())
                .map_err(|error| syntax(&error, text))?
        };
        Ok(Self {
            text: text.trim().to_owned(),
            guarded,
            compiled,
            paths,
        })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is true.
    pub fn holds(&self, scope: &Scope) -> Result<bool, Failed> {
        match self.evaluate(scope) {
            Some(value) => Ok(value.is_true()),
            None => Err(self.why_not(scope)),
        }
    }

    /// Whether it is true, where a failure counts as "no": what routing asks
    /// for every event, and so without the price of a reason.
    pub fn surely_holds(&self, scope: &Scope) -> bool {
        self.evaluate(scope).is_some_and(|value| value.is_true())
    }

    /// What it comes to, as JSON.
    pub fn value(&self, scope: &Scope) -> Result<Json, Failed> {
        let value = self.evaluate(scope).ok_or_else(|| self.why_not(scope))?;
        scope::to_json(&value).map_err(|error| self.blame(&error, scope))
    }

    /// Every path it reads, with the value in this scope.
    pub fn looked_at(&self, scope: &Scope) -> Vec<Looked> {
        let look = |path: &String| Looked {
            path: path.clone(),
            value: look_up(scope, path),
        };
        self.paths.iter().map(look).collect()
    }

    /// `None` where it fails or comes to nothing.
    fn evaluate(&self, scope: &Scope) -> Option<minijinja::Value> {
        self.compiled
            .eval(scope.root())
            .ok()
            .filter(|value| !value.is_undefined())
    }

    /// Evaluates once more, this time remembering where missing values came from.
    fn why_not(&self, scope: &Scope) -> Failed {
        let error = compile(format!("{{{{ {} }}}}", self.guarded), true)
            .and_then(|environment| render(&environment, scope));
        match error {
            Err(error) => self.blame(&error, scope),
            Ok(_) => self.failed("comes to nothing; give its `if` an `else`".to_owned()),
        }
    }

    /// Where the error does not name what is missing, the first path does that
    /// leads nowhere.
    fn blame(&self, error: &minijinja::Error, scope: &Scope) -> Failed {
        let nameless = error.kind() == ErrorKind::UndefinedError && error.detail().is_none();
        let missing = self
            .paths
            .iter()
            .find(|path| nameless && look_up(scope, path).is_none());
        self.failed(missing.map_or_else(|| reason_of(error), |path| missing_name(path)))
    }

    fn failed(&self, message: String) -> Failed {
        Failed {
            expression: self.text.clone(),
            message,
        }
    }
}

/// A text with `{{ … }}` in it; a lone `{{ expr }}` keeps its JSON type.
#[derive(Debug)]
pub struct Template(Form);

enum Form {
    /// Nothing to fill in.
    Text(String),
    Lone(Box<Expression>),
    Mixed(Box<Mixed>),
}

struct Mixed {
    environment: Environment<'static>,
    /// What was compiled.
    guarded: String,
    /// Where each expression stands in `guarded`, and how it was written.
    written: Vec<(Range<usize>, String)>,
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Self::Lone(expression) => f.debug_tuple("Lone").field(expression).finish(),
            Self::Mixed(mixed) => f.debug_tuple("Mixed").field(&mixed.guarded).finish(),
        }
    }
}

impl Template {
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        check_length(text)?;
        let pieces = scan::pieces(text)?;
        match pieces.as_slice() {
            [] => Ok(Self(Form::Text(String::new()))),
            [Piece::Text(_)] => Ok(Self(Form::Text(text.to_owned()))),
            [Piece::Value { inner, .. }] => {
                let expression = parse_inside(text, inner)?;
                Ok(Self(Form::Lone(Box::new(expression))))
            }
            _ => Mixed::parse(text, &pieces).map(|mixed| Self(Form::Mixed(Box::new(mixed)))),
        }
    }

    /// The text itself, where there is nothing to fill in.
    pub fn literal(&self) -> Option<&str> {
        match &self.0 {
            Form::Text(text) => Some(text),
            Form::Lone(_) | Form::Mixed(_) => None,
        }
    }

    /// The JSON it comes to: of any type for a lone expression, else a text.
    pub fn render(&self, scope: &Scope) -> Result<Json, Failed> {
        match &self.0 {
            Form::Lone(expression) => expression.value(scope),
            Form::Text(_) | Form::Mixed(_) => self.render_text(scope).map(Json::String),
        }
    }

    /// The text it comes to. Values that are no texts are written as JSON.
    pub fn render_text(&self, scope: &Scope) -> Result<String, Failed> {
        match &self.0 {
            Form::Text(text) => Ok(text.clone()),
            Form::Lone(expression) => match expression.value(scope)? {
                Json::String(text) => Ok(text),
                other => Ok(other.to_string()),
            },
            Form::Mixed(mixed) => mixed.render(scope),
        }
    }
}

impl Mixed {
    fn parse(text: &str, pieces: &[Piece]) -> Result<Self, Malformed> {
        let plain = compile(text.to_owned(), false).map_err(|error| syntax(&error, text))?;
        let mut guarded = String::with_capacity(text.len());
        let mut written = Vec::new();
        let mut from = 0;
        let mut inners = Vec::new();
        for piece in pieces {
            let inner = match piece {
                Piece::Text(_) | Piece::Comment => continue,
                Piece::Value { inner, .. } => inner,
                Piece::Tag { inner } => {
                    scan::check_tag(text, inner)?;
                    inner
                }
            };
            names::refuse_foreign(text, inner)?;
            let guards = scan::guards(text, inner)?;
            guarded.push_str(text.get(from..inner.start).unwrap_or_default());
            let start = guarded.len();
            guarded.push_str(&scan::guarded(text, inner, &guards));
            from = inner.end;
            written.push((
                start..guarded.len(),
                text.get(inner.clone())
                    .unwrap_or_default()
                    .trim()
                    .to_owned(),
            ));
            inners.push(inner.clone());
        }
        guarded.push_str(text.get(from..).unwrap_or_default());
        let names = plain
            .get_template(NAME)
            .map(|template| template.undeclared_variables(false))
            .unwrap_or_default();
        for name in &names {
            let inner = inners
                .iter()
                .find(|inner| scan::find_word(text, inner, name).is_some());
            check_roots(text, inner.unwrap_or(&(0..text.len())), [name.as_str()])?;
        }
        let paths = plain
            .get_template(NAME)
            .map(|template| template.undeclared_variables(true))
            .unwrap_or_default();
        names::check(text, &inners, &paths)?;
        let environment = if guarded == text {
            plain
        } else {
            compile(guarded.clone(), false).map_err(|error| syntax(&error, text))?
        };
        Ok(Self {
            environment,
            guarded,
            written,
        })
    }

    fn render(&self, scope: &Scope) -> Result<String, Failed> {
        render(&self.environment, scope).map_err(|plain| {
            let traced = compile(self.guarded.clone(), true)
                .and_then(|environment| render(&environment, scope));
            let error = traced.err().unwrap_or(plain);
            let at = error.range().map_or(0, |range| range.start);
            let found = self
                .written
                .iter()
                .find(|(range, _)| range.contains(&at) || range.end == at);
            let expression = found.map_or_else(|| cut(&self.guarded), |(_, text)| text.clone());
            Failed {
                expression,
                message: reason_of(&error),
            }
        })
    }
}

/// A template taken apart, for those who treat each value on its own (URLs).
#[derive(Debug)]
pub enum Part {
    Text(Range<usize>),
    Value {
        outer: Range<usize>,
        expression: Expression,
    },
}

/// Cuts a template into texts and expressions; tags and comments are refused.
pub fn parts(text: &str) -> Result<Vec<Part>, Malformed> {
    check_length(text)?;
    scan::pieces(text)?
        .into_iter()
        .map(|piece| match piece {
            Piece::Text(range) => Ok(Part::Text(range)),
            Piece::Value { outer, inner } => Ok(Part::Value {
                outer,
                expression: parse_inside(text, &inner)?,
            }),
            Piece::Tag { inner } => Err(malformed("only `{{ … }}` is possible here", inner)),
            Piece::Comment => Err(malformed("only `{{ … }}` is possible here", 0..text.len())),
        })
        .collect()
}

fn parse_inside(text: &str, inner: &Range<usize>) -> Result<Expression, Malformed> {
    Expression::parse(text.get(inner.clone()).unwrap_or_default()).map_err(|error| {
        let span = inner.start + error.span.start..inner.start + error.span.end;
        Malformed {
            message: error.message,
            span,
        }
    })
}

const NAME: &str = "template";

/// For bare expressions, and what every template's environment is cloned from.
static BARE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(STEPS_MAX));
    environment.set_debug(false);
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_formatter(|out, _, value| match value.as_str() {
        Some(text) => Ok(out.write_str(text)?),
        // Only an `if` without an `else` gets here undefined.
        None if value.is_undefined() => Ok(()),
        None => Ok(out.write_str(&scope::text_of(value)?)?),
    });
    words::install(&mut environment);
    environment
});

fn compile(text: String, traced: bool) -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = BARE.clone();
    environment.set_debug(traced);
    environment.add_template_owned(NAME, text)?;
    Ok(environment)
}

fn render(environment: &Environment<'static>, scope: &Scope) -> Result<String, minijinja::Error> {
    let mut out = Capped(Vec::new());
    environment
        .get_template(NAME)?
        .render_captured_to(scope.root(), &mut out)?;
    Ok(String::from_utf8_lossy(&out.0).into_owned())
}

/// Takes so much and no more.
struct Capped(Vec<u8>);

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > TEXT_BYTES_MAX {
            return Err(io::Error::from(io::ErrorKind::WriteZero));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn look_up(scope: &Scope, path: &str) -> Option<Json> {
    let found = path
        .split('.')
        .try_fold(scope.root(), |value, part| value.get_attr(part).ok())?;
    if found.is_undefined() {
        None
    } else {
        scope::to_json(&found).ok()
    }
}

fn check_length(text: &str) -> Result<(), Malformed> {
    if text.len() > SOURCE_BYTES_MAX {
        return Err(malformed(
            &format!("is longer than {SOURCE_BYTES_MAX} bytes"),
            0..text.len(),
        ));
    }
    Ok(())
}

fn check_roots<'n>(
    text: &str,
    inner: &Range<usize>,
    names: impl IntoIterator<Item = &'n str>,
) -> Result<(), Malformed> {
    let mut unknown: Vec<&str> = names
        .into_iter()
        .filter(|name| !scope::names().contains(name))
        .collect();
    unknown.sort_unstable();
    let Some(name) = unknown.first() else {
        return Ok(());
    };
    let span = scan::find_word(text, inner, name).unwrap_or_else(|| inner.clone());
    Err(malformed(&names::no_root(name), span))
}

fn syntax(error: &minijinja::Error, text: &str) -> Malformed {
    let range = error.range().unwrap_or(0..text.len());
    // minijinja counts a byte where it stumbles; never point inside a character.
    let start = (0..=range.start.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or_default();
    let end = (range.end.max(start)..text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    Malformed {
        message: reason_of(error),
        span: start..end,
    }
}

fn missing_name(name: &str) -> String {
    format!("`{name}` is missing; `| default('')` would allow that")
}

/// The error for an operator: what is missing, or what went wrong.
fn reason_of(error: &minijinja::Error) -> String {
    let detail = error.detail().unwrap_or_default();
    match error.kind() {
        ErrorKind::OutOfFuel => format!("takes more than {STEPS_MAX} steps"),
        ErrorKind::WriteFailure => format!("makes a text of more than {TEXT_BYTES_MAX} bytes"),
        ErrorKind::UndefinedError => match detail.split('`').nth(1) {
            Some(name) => missing_name(name),
            None => "a name is missing; `| default('')` would allow that".to_owned(),
        },
        kind if detail.is_empty() => kind.to_string(),
        _ => cut(detail),
    }
}

/// Evidence must not be longer than a line or two.
fn cut(text: &str) -> String {
    text.chars().take(300).collect()
}
