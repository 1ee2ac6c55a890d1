//! [`Problem`]: what is wrong with a configuration, where, and what would be right.
//!
//! ```text
//!  error: unknown key `bakclog` in `[[listen]]`
//!    --> kolk.toml:7:1
//!     |
//!   7 | bakclog = 100
//!     | ^^^^^^^ did you mean `backlog`?
//!     |
//!     = help: ...
//! ```
//! All problems of a configuration are told at once, in the order of the files.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::place::{Origin, Place};

/// Wider lines of a file are cut where they are shown, in columns.
const COLUMNS_MAX: usize = 110;

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    message: String,
    place: Option<Place>,
    label: String,
    /// Another place that has to do with it, and why.
    other: Option<(Place, String)>,
    help: Option<String>,
}

/// All that is wrong with a configuration.
#[derive(Clone, Debug)]
pub struct Errors(Vec<Problem>);

impl Problem {
    pub(crate) fn new(place: Option<&Place>, message: impl Into<String>) -> Self {
        Self { message: message.into(), place: place.cloned(), label: String::new(), other: None, help: None }
    }

    pub(crate) fn at(origin: &Origin, message: impl Into<String>) -> Self {
        Self::new(origin.place(), message)
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(super) fn other(mut self, place: Option<&Place>, label: impl Into<String>) -> Self {
        self.other = place.map(|place| (place.clone(), label.into()));
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where; `None` where no file can be shown.
    pub const fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The same with the excerpt of the file, with ANSI colours or without.
    pub fn render(&self, colour: bool) -> String {
        let mut group = Group::with_title(Level::ERROR.primary_title(&self.message));
        let mut snippets = Vec::new();
        if let Some(place) = &self.place {
            snippets.push(snippet(place));
            let main = AnnotationKind::Primary.span(shown(place));
            let main = if self.label.is_empty() { main } else { main.label(&self.label) };
            snippets[0] = snippets[0].clone().annotation(main);
        }
        if let Some((place, label)) = &self.other {
            let note = |place: &Place| AnnotationKind::Context.span(shown(place)).label(label.as_str());
            match self.place.as_ref().filter(|main| main.content().as_ptr() == place.content().as_ptr()) {
                Some(_) => snippets[0] = snippets[0].clone().annotation(note(place)),
                None => snippets.push(snippet(place).annotation(note(place))),
            }
        }
        group = group.elements(snippets);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.term_width(COLUMNS_MAX).render(&[group])
    }
}

impl Errors {
    /// In the order of the files and of what stands in them, each place with one problem.
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        let key = |problem: &Problem| {
            problem.place.as_ref().map(|place| (place.file().to_owned(), place.span().start))
        };
        problems.sort_by_cached_key(key);
        Self(problems)
    }

    /// Each of them.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }

    /// All of them as text, with ANSI colours or without.
    pub fn render(&self, colour: bool) -> String {
        let each: Vec<String> = self.0.iter().map(|problem| problem.render(colour)).collect();
        each.join("\n\n")
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Errors {}

fn snippet(place: &Place) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
    Snippet::source(place.content()).path(place.file().display().to_string())
}

/// The part of a place that is on its first line: more would hide what is meant.
fn shown(place: &Place) -> std::ops::Range<usize> {
    let span = place.span();
    let piece = place.content().get(span.clone()).unwrap_or_default();
    let length = piece.find('\n').unwrap_or(piece.len());
    span.start..span.start + length
}
