//! The JSON Schema of the file, for editors: made of the description of the tables.

use super::Root;
use super::key::{Key, Kind, Shape, Table as _};
use super::read::quoted;

/// `{env:NAME}`, as a regular expression in JSON.
const VARIABLE: &str = r#""\\{env:[^}]+\\}""#;

/// The JSON Schema of the configuration file (draft 2020-12): what editors complete and check.
pub fn schema() -> String {
    let root = Root::shape();
    let mut json = String::from("{\n");
    json.push_str("  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n");
    json.push_str("  \"title\": \"kolk.toml\",\n");
    let object = object(&root, 1);
    // The members of the root stand beside its title.
    json.push_str(object.trim_start_matches("{\n"));
    json.push('\n');
    json
}

fn object(shape: &Shape, depth: usize) -> String {
    let keys: Vec<Key> = (shape.keys)().into_iter().filter(|key| !key.is_later).collect();
    let required: Vec<String> =
        keys.iter().filter(|key| key.must_be_there()).map(|key| quoted(key.name)).collect();
    let properties: Vec<(String, String)> =
        keys.iter().map(|key| (key.name.to_owned(), property(key, depth + 1))).collect();
    let mut members = vec![
        member("description", &quoted(&one_line(shape.doc))),
        member("type", "\"object\""),
        member("additionalProperties", "false"),
        member("properties", &braces(&properties, depth + 1)),
    ];
    if !required.is_empty() {
        members.push(member("required", &format!("[{}]", required.join(", "))));
    }
    braces(&members, depth)
}

fn property(key: &Key, depth: usize) -> String {
    let mut members = vec![member("description", &quoted(&one_line(key.doc)))];
    match &key.kind {
        kind @ (Kind::Table(_) | Kind::List(_) | Kind::Any(_)) => {
            members.push(member("anyOf", &brackets(&alternatives(kind, depth + 1), depth)));
        }
        kind => members.extend(plain(kind, depth)),
    }
    // What TOML writes for a default is JSON, too.
    if let Some(default) = key.default {
        members.push(member("default", default));
    }
    braces(&members, depth)
}

/// What may stand there, each as an object.
fn alternatives(kind: &Kind, depth: usize) -> Vec<String> {
    match kind {
        Kind::Table(shape) => {
            let short = shape.short.and_then(|name| (shape.keys)().into_iter().find(|key| key.name == name));
            let short = short.map(|key| alternatives(&key.kind, depth)).unwrap_or_default();
            std::iter::once(object(shape, depth)).chain(short).collect()
        }
        Kind::List(item) => {
            let items = brackets(&alternatives(item, depth + 2), depth + 2);
            let items = braces(&[member("anyOf", &items)], depth + 1);
            let list = braces(&[member("type", "\"array\""), member("items", &items)], depth);
            std::iter::once(list).chain(alternatives(item, depth)).collect()
        }
        Kind::Any(kinds) => kinds.iter().flat_map(|kind| alternatives(kind, depth)).collect(),
        kind => vec![braces(&plain(kind, depth), depth)],
    }
}

/// The members that describe a value of one kind.
fn plain(kind: &Kind, depth: usize) -> Vec<(String, String)> {
    let any_of = |kind: &Kind| {
        braces(&[member("anyOf", &brackets(&alternatives(kind, depth + 2), depth + 2))], depth + 1)
    };
    match kind {
        Kind::Text(_, example) => {
            vec![member("type", "\"string\""), member("examples", &format!("[{}]", quoted(example)))]
        }
        Kind::Boolean => vec![member("type", "\"boolean\"")],
        Kind::Integer(min, max) => {
            let mut members = vec![member("type", "\"integer\""), member("minimum", &min.to_string())];
            if *max != u64::MAX {
                members.push(member("maximum", &max.to_string()));
            }
            members
        }
        Kind::Numbers(numbers) => {
            let numbers: Vec<String> = numbers.iter().map(u16::to_string).collect();
            vec![member("type", "\"integer\""), member("enum", &format!("[{}]", numbers.join(", ")))]
        }
        Kind::Fraction => {
            vec![member("type", "\"number\""), member("minimum", "0"), member("maximum", "1")]
        }
        Kind::Words(words) => {
            let words = words.iter().filter(|word| !word.is_later).map(|word| quoted(word.text));
            let words = format!("[{}]", words.collect::<Vec<_>>().join(", "));
            // The value of a variable may be one of them.
            let either =
                [braces(&[member("enum", &words)], depth + 2), format!("{{ \"pattern\": {VARIABLE} }}")];
            vec![member("type", "\"string\""), member("anyOf", &brackets(&either, depth))]
        }
        Kind::Map(_, names, value) => {
            let names = names.map(|pattern| braces(&[member("pattern", &quoted(pattern))], depth + 1));
            let names = names.map(|names| member("propertyNames", &names));
            let members = [member("type", "\"object\""), member("additionalProperties", &any_of(value))];
            members.into_iter().chain(names).collect()
        }
        Kind::Tables(shape) => {
            vec![member("type", "\"array\""), member("items", &object(shape, depth + 1))]
        }
        Kind::Named(shape) => {
            let each = match shape.short {
                Some(_) => any_of(&Kind::Table(shape.clone())),
                None => object(shape, depth + 1),
            };
            vec![member("type", "\"object\""), member("additionalProperties", &each)]
        }
        Kind::List(_) | Kind::Any(_) | Kind::Table(_) => Vec::new(),
    }
}

fn member(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn braces(members: &[(String, String)], depth: usize) -> String {
    if members.is_empty() {
        return "{}".to_owned();
    }
    let (outer, inner) = ("  ".repeat(depth.saturating_sub(1)), "  ".repeat(depth));
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("{inner}{}: {value}", quoted(name))).collect();
    format!("{{\n{}\n{outer}}}", members.join(",\n"))
}

fn brackets(items: &[String], depth: usize) -> String {
    let (outer, inner) = ("  ".repeat(depth), "  ".repeat(depth + 1));
    let items: Vec<String> = items.iter().map(|item| format!("{inner}{item}")).collect();
    format!("[\n{}\n{outer}]", items.join(",\n"))
}

/// The lines of a doc comment as one.
pub(super) fn one_line(doc: &str) -> String {
    let lines: Vec<&str> = doc.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}
