//! A file as the rules see it: [`Token`]s with their lines, and the comments apart.
//!
//! The lexer knows just enough Rust never to mistake a comment, a string, a character or a lifetime for code.
//! Knows no rule.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// Every text file that the rules read.
#[derive(Debug)]
pub(crate) struct Tree {
    sources: Vec<Source>,
}

impl Tree {
    /// The repository that is being tested, read once for all rules.
    pub(crate) fn read() -> &'static Self {
        static TREE: OnceLock<Tree> = OnceLock::new();
        TREE.get_or_init(Self::read_anew)
    }

    fn read_anew() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut tree = Self { sources: Vec::new() };
        for folder in ["src", "tests", "benches", "examples", "scripts", ".ci", "flamegraphs"] {
            tree.add_folder(root, folder);
        }
        for file in ["Cargo.toml", "README.md", "CHANGELOG.md"] {
            tree.add_file(root, file);
        }
        tree.sources.sort_by(|one, other| one.path.cmp(&other.path));
        tree
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter()
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &Source> {
        self.sources().filter(|source| source.is_rust())
    }

    /// The file at `path`.
    ///
    /// # Panics
    ///
    /// Without it.
    pub(crate) fn file(&self, path: &str) -> &Source {
        self.sources().find(|source| source.path == path).unwrap_or_else(|| panic!("{path} is missing"))
    }

    fn add_folder(&mut self, root: &Path, folder: &str) {
        let Ok(entries) = fs::read_dir(root.join(folder)) else { return };
        for entry in entries {
            let entry = entry.expect("a folder of this repository can be listed");
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                self.add_folder(root, &path);
            } else {
                self.add_file(root, &path);
            }
        }
    }

    /// Leaves out what is not text: a fuzz corpus, a picture.
    fn add_file(&mut self, root: &Path, path: &str) {
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        let known = [".rs", ".md", ".sh", ".toml", ".py", ".lua"].iter().any(|ending| name.ends_with(ending));
        if !known && name.contains('.') {
            return;
        }
        if let Ok(text) = fs::read_to_string(root.join(path)) {
            self.sources.push(Source::new(path, &text));
        }
    }
}

/// One file.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the root of the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Of a Rust file: all code without comments; a string is the token `"`.
    pub(crate) tokens: Vec<Token>,
    /// Of a Rust file: line by line; of any other: every line.
    pub(crate) comments: Vec<Comment>,
    /// First and last line of each item under `#[cfg(test)]`.
    tests: Vec<(usize, usize)>,
}

/// A word, a punctuation mark, or `::`.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The text of a comment on one line, with its slashes.
#[derive(Debug)]
pub(crate) struct Comment {
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let mut source = Self {
            path: path.into(),
            text: text.into(),
            tokens: Vec::new(),
            comments: Vec::new(),
            tests: Vec::new(),
        };
        if source.is_rust() {
            (source.tokens, source.comments) = Lexer::new(text).run();
            source.tests = tested_items(&source.tokens);
        } else {
            source.comments =
                text.lines().zip(1..).map(|(text, line)| Comment { line, text: text.into() }).collect();
        }
        source
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(crate) fn is_under(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    /// Code that only tests see: under `#[cfg(test)]`, in a file `tests.rs`, or outside `src/`.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        !self.is_under("src/")
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
            || self.tests.iter().any(|&(first, last)| (first..=last).contains(&line))
    }

    /// The text of token `index`, or nothing past either end.
    pub(crate) fn word(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |token| &token.text)
    }

    pub(crate) fn complain(
        &self,
        line: usize,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Complaint {
        Complaint { path: self.path.clone(), line, what: what.into(), cure: cure.into() }
    }
}

/// What is wrong where, and what to do about it.
#[derive(Debug)]
pub(crate) struct Complaint {
    path: String,
    line: usize,
    what: String,
    cure: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}: {}", self.path, self.line, self.what, self.cure)
    }
}

/// The index of the token that closes the bracket at `open`.
pub(crate) fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index;
        }
    }
    tokens.len() - 1
}

/// The lines of every item under `#[cfg(test)]` or `#[cfg(all(test, …))]`.
fn tested_items(tokens: &[Token]) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    for start in 0..tokens.len() {
        let word = |index: usize| tokens.get(start + index).map_or("", |token| token.text.as_str());
        let attribute = [word(0), word(1), word(2), word(3)] == ["#", "[", "cfg", "("];
        if !attribute || !(word(4) == "test" || (word(4) == "all" && word(6) == "test")) {
            continue;
        }
        let body = tokens.iter().enumerate().skip(closing(tokens, start + 1));
        let Some((open, found)) =
            body.into_iter().find(|(_, token)| matches!(token.text.as_str(), "{" | ";"))
        else {
            continue;
        };
        let last = if found.text == "{" { closing(tokens, open) } else { open };
        items.push((tokens[start].line, tokens[last].line));
    }
    items
}

/// One pass over a Rust file.
struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
    comments: Vec<Comment>,
}

impl Lexer {
    fn new(text: &str) -> Self {
        Self { chars: text.chars().collect(), at: 0, line: 1, tokens: Vec::new(), comments: Vec::new() }
    }

    fn run(mut self) -> (Vec<Token>, Vec<Comment>) {
        while let Some(next) = self.peek(0) {
            match (next, self.peek(1)) {
                ('/', Some('/')) => self.line_comment(),
                ('/', Some('*')) => self.block_comment(),
                ('"', _) => self.string(),
                ('\'', second) if second == Some('\\') || self.peek(2) == Some('\'') => self.character(),
                (':', Some(':')) => self.token(2),
                _ if is_word(next) => self.word(),
                _ if next.is_whitespace() => self.step(),
                _ => self.token(1),
            }
        }
        (self.tokens, self.comments)
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn step(&mut self) {
        if self.peek(0) == Some('\n') {
            self.line += 1;
        }
        self.at += 1;
    }

    fn token(&mut self, length: usize) {
        let text = self.chars[self.at..self.at + length].iter().collect();
        self.tokens.push(Token { line: self.line, text });
        self.at += length;
    }

    /// A name, a keyword or a number; or the prefix of a literal (`b"…"`, `r#"…"#`).
    fn word(&mut self) {
        let length = self.chars[self.at..].iter().take_while(|&&next| is_word(next)).count();
        let text: String = self.chars[self.at..self.at + length].iter().collect();
        let hashes = self.chars[self.at + length..].iter().take_while(|&&next| next == '#').count();
        if matches!(text.as_str(), "r" | "br" | "cr") && self.peek(length + hashes) == Some('"') {
            self.at += length;
            self.raw_string(hashes);
        } else {
            self.token(length);
        }
    }

    fn line_comment(&mut self) {
        let text: String = self.chars[self.at..].iter().take_while(|&&next| next != '\n').collect();
        self.at += text.chars().count();
        self.comments.push(Comment { line: self.line, text });
    }

    /// Block comments nest.
    fn block_comment(&mut self) {
        let (mut depth, mut text) = (0_usize, String::new());
        while let Some(next) = self.peek(0) {
            match (next, self.peek(1)) {
                ('/', Some('*')) => depth += 1,
                ('*', Some('/')) => depth -= 1,
                ('\n', _) => {
                    self.comments.push(Comment { line: self.line, text: std::mem::take(&mut text) });
                }
                _ => {}
            }
            text.push(next);
            self.step();
            if depth == 0 {
                self.step();
                break;
            }
        }
        self.comments.push(Comment { line: self.line, text });
    }

    fn string(&mut self) {
        self.token(1);
        while let Some(next) = self.peek(0) {
            if next == '\\' {
                self.step();
            }
            self.step();
            if next == '"' {
                break;
            }
        }
    }

    fn raw_string(&mut self, hashes: usize) {
        self.at += hashes;
        self.token(1);
        while self.at < self.chars.len() {
            let closed = self.peek(0) == Some('"') && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#'));
            self.step();
            if closed {
                self.at += hashes;
                break;
            }
        }
    }

    fn character(&mut self) {
        self.step();
        while let Some(next) = self.peek(0) {
            if next == '\\' {
                self.step();
            }
            self.step();
            if next == '\'' {
                break;
            }
        }
    }
}

fn is_word(next: char) -> bool {
    next.is_alphanumeric() || next == '_'
}
