//! What a table of routes.toml may hold, as editors are told it. Whoever reads
//! keys lists them beside the code that does; a test holds the two together.

/// One key of a table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    pub shape: Shape,
    pub required: bool,
    /// What counts where the key is absent, as JSON.
    pub default: Option<&'static str>,
    /// A value somebody could write, where the shape alone gives none, as JSON.
    pub example: Option<&'static str>,
    /// One or two sentences.
    pub says: &'static str,
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Text,
    /// A text that is not blank.
    Filled,
    /// A text, or a list of texts.
    Texts,
    /// The same, at least one.
    SomeTexts,
    Flag,
    /// `"30s"`.
    Duration,
    /// A list of durations, or one: at least one, at most so many.
    Durations(usize),
    /// `"64MiB"`, or a number of bytes.
    Size,
    /// A whole number, and its bounds.
    Count(u64, u64),
    /// `"500/s"`.
    Rate,
    /// `{ env = "X" }` or `{ file = "…" }`.
    Secret,
    /// One to five of them.
    Secrets,
    /// One of these words.
    Word(&'static [&'static str]),
    Table(&'static [Key]),
    /// A list of tables, or one.
    Tables(&'static [Key]),
    /// Any of these.
    Either(&'static [Self]),
    /// A table whose keys depend on a word in it: the word's key, its words
    /// with their keys, and the keys that stand beside any of them.
    Tagged(
        &'static str,
        &'static [(&'static str, &'static [Key])],
        &'static [Key],
    ),
    /// A table with names of the operator's own, and what stands behind them.
    Map(&'static Self),
    /// A table of the operator's own.
    Free,
    /// Any value.
    Any,
}

/// As many as anybody may write.
pub const MANY: u64 = i64::MAX as u64;

impl Key {
    /// A key that may be absent.
    pub const fn new(name: &'static str, shape: Shape, says: &'static str) -> Self {
        Self {
            name,
            shape,
            required: false,
            default: None,
            example: None,
            says,
        }
    }

    /// It must be there.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// With what counts where it is absent, as JSON.
    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// With an example, as JSON.
    pub const fn such_as(mut self, example: &'static str) -> Self {
        self.example = Some(example);
        self
    }
}
