//! The reference page of the file, `docs/configuration.md`: made of the description of the tables.

use std::fmt::Write as _;

use super::Root;
use super::key::{Key, Kind, Shape, Table as _, Word};
use super::schema::one_line;

const PREAMBLE: &str = "\
# The configuration file

This page is made of the description that kolk itself reads files by: `UPDATE=1 cargo test --test config`
writes it anew.

The file is [TOML](https://toml.io). `kolk check` says whether it is right, and where it is not;
`kolk check --dump` says every value that counts, and where it comes from. `kolk schema` prints a JSON Schema
for editors.

* An unknown key is an error. So is a file that is not there, a name that nothing has, and a pair of routes
  of which none is the more specific one: what is accepted does what it says.
* Sizes have units of 1024 (`B`, `KiB`, `MiB`, `GiB`, `TiB`), times have `ms`, `s`, `m`, `h` or `d`.
* Where a list is expected, one value may stand without brackets.
* Paths of this machine are relative to the file that names them.
* `{env:NAME}` in any text is the value of that variable, and `{{env:` is `{env:`. In paths and in texts with
  placeholders `{{` and `}}` are braces.
* The order of tables, keys and files never matters. Of several routes that fit a request the most specific
  one counts: by its path first, then by the number of its conditions (`methods`, each of `header` and
  `query`, `client`). A route that does not fit is passed over, and a less specific one answers, at last what
  the site itself says (its `respond` or `redirect`). If nothing fits, the most specific path decides: 405 if
  its routes have other methods, else 404. OPTIONS that no route of the most specific path is for, kolk
  answers with their methods. `static` alone is for GET and HEAD.
* The file is read again on HUP, or when `kolk reload` says so. All of it takes effect then, for what comes
  from then on: listeners, too, may be added, given up, encrypted, or send visitors to https, and who waits in
  the queue of one is not lost. What waits for the next start is named then: `workers`, `pin`, `user`,
  `max_connections`, `admin`, `flight_recorder` and `pid_file` of `[server]`, and `[log.error]`.
* Over TLS a connection may ask for every host that has the certificate which it was shown: one certificate
  for two sites is fine for both. A host with another certificate is answered with 421, `route.misdirected`
  (RFC 9110 §7.4), and served on a connection of its own. A host that no site has is answered with 404, over
  TLS with 421, `route.site_tls`: there no other connection helps. A request of HTTP/1.0 without `Host` is
  for the site of `*`.
";

/// The reference page of the configuration file, as Markdown.
pub fn reference() -> String {
    let mut page = String::from(PREAMBLE);
    let mut seen = Vec::new();
    section(&Root::shape(), &mut seen, &mut page);
    page
}

fn section(shape: &Shape, seen: &mut Vec<&'static str>, page: &mut String) {
    if seen.contains(&shape.title) {
        return;
    }
    seen.push(shape.title);
    let keys = (shape.keys)();
    let title = if shape.title.starts_with('[') { format!("`{}`", shape.title) } else { "At the top".into() };
    let _ = write!(page, "\n## {title}\n\n{}\n", one_line(shape.doc));
    if let Some(short) = shape.short {
        let _ = write!(page, "\nA value instead of the table is its `{short}`.\n");
    }
    page.push_str("\n| key | takes | default | |\n| --- | --- | --- | --- |\n");
    for key in keys.iter().filter(|key| !key.is_later) {
        let default = match key.default {
            Some("{}") | None if !key.must_be_there() => String::new(),
            Some(default) => format!("`{default}`"),
            None => "must be there".to_owned(),
        };
        let (takes, doc) = (takes(&key.kind), one_line(key.doc));
        let _ = writeln!(page, "| `{}` | {} | {default} | {} |", key.name, cell(&takes), cell(&doc));
    }
    words(&keys, page);
    let later: Vec<String> =
        keys.iter().filter(|key| key.is_later).map(|key| format!("`{}`: {}", key.name, key.doc)).collect();
    if !later.is_empty() {
        let _ = write!(page, "\nNot in this version: {}.\n", later.join("; "));
    }
    for key in &keys {
        if let Kind::Table(inner) | Kind::Tables(inner) | Kind::Named(inner) = &key.kind {
            section(inner, seen, page);
        }
    }
}

/// What the words of a table's keys mean.
fn words(keys: &[Key], page: &mut String) {
    for key in keys {
        let known = words_of(&key.kind);
        if known.is_empty() {
            continue;
        }
        let _ = write!(page, "\n`{}`:\n\n", key.name);
        for word in known {
            let _ = writeln!(page, "* `\"{}\"`: {}", word.text, one_line(word.doc));
        }
    }
}

fn words_of(kind: &Kind) -> Vec<&'static Word> {
    match kind {
        Kind::Words(words) => words.iter().filter(|word| !word.is_later).collect(),
        Kind::List(item) => words_of(item),
        Kind::Any(kinds) => kinds.iter().flat_map(words_of).collect(),
        _ => Vec::new(),
    }
}

fn takes(kind: &Kind) -> String {
    match kind {
        Kind::Text(what, example) if what == example => (*what).to_owned(),
        Kind::Text(what, example) => format!("{what}: `\"{example}\"`"),
        Kind::Boolean => "`true` or `false`".to_owned(),
        Kind::Integer(min, max) if min == max => format!("{min}"),
        Kind::Integer(min, u64::MAX) => format!("a number from {min}"),
        Kind::Integer(min, max) if *max == u64::from(u32::MAX) => format!("a number from {min}"),
        Kind::Integer(min, max) => format!("a number from {min} to {max}"),
        Kind::Numbers(numbers) => numbers.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
        Kind::Fraction => "a number from 0.0 to 1.0".to_owned(),
        kind @ Kind::Words(_) => {
            let words: Vec<String> =
                words_of(kind).iter().map(|word| format!("`\"{}\"`", word.text)).collect();
            words.join(", ")
        }
        Kind::List(item) => format!("a list: {}", takes(item)),
        Kind::Map(name, _, value) => format!("a table: {name} = {}", takes(value)),
        Kind::Any(kinds) => kinds.iter().map(takes).collect::<Vec<_>>().join(", or "),
        Kind::Table(shape) => format!("a table, {}", link(shape)),
        Kind::Tables(shape) => format!("tables, {}", link(shape)),
        Kind::Named(shape) => format!("tables, {}", link(shape)),
    }
}

/// To the section of a table, as GitHub names it.
fn link(shape: &Shape) -> String {
    let is_kept = |char: &char| char.is_ascii_alphanumeric() || "-_".contains(*char);
    let anchor: String = shape.title.to_lowercase().chars().filter(is_kept).collect();
    format!("[`{}`](#{anchor})", shape.title)
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
