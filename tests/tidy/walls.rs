//! The walls between the rooms: the table in the doc comment of `src/lib.rs`, held to every path in `src/`.
//!
//! A row is `| layer | room | what lives there | may import | never |`. Names in backticks count: under
//! *may import* rooms of ours and crates (`::http` is the crate beside our room of that name), under *never*
//! any path. A cell that says `all` without backticks allows everything.

use crate::source::{Complaint, Source, Token, Tree, closing};

/// Who may import whom.
#[derive(Debug)]
pub(crate) struct Table {
    rooms: Vec<Room>,
    /// Crates of `Cargo.toml`, as paths write them.
    crates: Vec<String>,
}

#[derive(Debug)]
struct Room {
    name: String,
    imports_all: bool,
    imports: Vec<String>,
    never: Vec<String>,
}

impl Table {
    pub(crate) fn of(tree: &Tree) -> Self {
        Self::parse(&tree.file("src/lib.rs").text, &tree.file("Cargo.toml").text)
    }

    pub(crate) fn parse(lib: &str, manifest: &str) -> Self {
        let rows = lib.lines().filter_map(|line| line.strip_prefix("//! |"));
        let rooms: Vec<Room> = rows.filter_map(Room::parse).collect();
        assert!(
            !rooms.is_empty(),
            "src/lib.rs: no table of rooms: `//! | layer | room | … | may import | never |`"
        );
        let dependencies = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
        let crates = dependencies
            .take_while(|line| !line.starts_with('['))
            .filter_map(|line| Some(line.split_once(" = ")?.0.replace('-', "_")))
            .collect();
        Self { rooms, crates }
    }

    /// `main.rs` is the hall of `cli`; the front door `lib.rs` belongs to no room.
    fn room_of(&self, path: &str) -> Option<&Room> {
        let name = path.strip_prefix("src/")?.split(['/', '.']).next()?;
        self.room(if name == "main" { "cli" } else { name })
    }

    fn room(&self, name: &str) -> Option<&Room> {
        self.rooms.iter().find(|room| room.name == name)
    }
}

impl Room {
    fn parse(row: &str) -> Option<Self> {
        let cells: Vec<&str> = row.split('|').collect();
        let [_, name, _, imports, never, ..] = cells[..] else { return None };
        Some(Self {
            name: quoted(name).next()?,
            imports_all: imports.trim() == "all",
            imports: quoted(imports).collect(),
            never: quoted(never).collect(),
        })
    }

    fn may_import(&self, name: &str) -> bool {
        self.imports_all || self.name == name || self.imports.iter().any(|import| import == name)
    }
}

fn quoted(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// Every path of `source` that its room may not write.
pub(crate) fn breaches(table: &Table, source: &Source) -> Vec<Complaint> {
    let Some(room) = table.room_of(&source.path) else { return Vec::new() };
    let mut breaches = Vec::new();
    for index in 0..source.tokens.len() {
        breaches.extend(
            rooms_named(&source.tokens, index)
                .iter()
                .filter_map(|&place| inner_wall(table, room, source, place)),
        );
        breaches.extend(outer_wall(table, room, source, index));
        breaches.extend(never(room, source, index));
        breaches.extend(over_the_roof(source, index));
    }
    breaches
}

/// Rooms without a row, and rows without a room.
pub(crate) fn strangers(table: &Table, tree: &Tree) -> Vec<Complaint> {
    let lib = tree.file("src/lib.rs");
    let missing = tree
        .rust()
        .filter(|source| {
            source.is_under("src/") && source.path != "src/lib.rs" && table.room_of(&source.path).is_none()
        })
        .map(|source| {
            source.complain(
                1,
                "this room is not in the table of `src/lib.rs`",
                "give it a row: what may it import?",
            )
        });
    let empty = table
        .rooms
        .iter()
        .filter(|room| {
            !tree.rust().any(|source| table.room_of(&source.path).is_some_and(|home| home.name == room.name))
        })
        .map(|room| {
            lib.complain(1, format!("the table has a room `{}` without files", room.name), "remove its row")
        });
    missing.chain(empty).collect()
}

/// The places of the names after `crate::` or `kolk::`: one, or the first of each path in braces.
fn rooms_named(tokens: &[Token], index: usize) -> Vec<usize> {
    let word = |index: usize| tokens.get(index).map_or("", |token| token.text.as_str());
    if !matches!(word(index), "crate" | "kolk") || word(index + 1) != "::" {
        return Vec::new();
    }
    if word(index + 2) != "{" {
        return if index + 2 < tokens.len() { vec![index + 2] } else { Vec::new() };
    }
    let (mut names, mut at, end) = (Vec::new(), index + 3, closing(tokens, index + 2));
    while at < end {
        names.push(at);
        while at < end && word(at) != "," {
            at = if word(at) == "{" { closing(tokens, at) } else { at } + 1;
        }
        at += 1;
    }
    names
}

fn inner_wall(table: &Table, room: &Room, source: &Source, place: usize) -> Option<Complaint> {
    let token = &source.tokens[place];
    let name = &token.text;
    if room.name == "cli" {
        // The program is the library's first user: it enters by the front door.
        return (name != "cli" && table.room(name).is_some()).then(|| {
            source.complain(
                token.line,
                format!("the program reaches into the room `{name}`"),
                "use what `kolk::` itself exports",
            )
        });
    }
    if table.room(name).is_none() {
        let what = format!("`crate::{name}` hides the room it comes from");
        return Some(source.complain(token.line, what, "name the room: `crate::ROOM::…`"));
    }
    // A row may open one file of a room instead of the whole: `sys::vector`.
    let file = (source.word(place + 1) == "::").then(|| format!("{name}::{}", source.word(place + 2)));
    (!room.may_import(name) && !file.is_some_and(|file| room.may_import(&file))).then(|| {
        let what = format!("`{}` may not import `{name}`", room.name);
        source.complain(
            token.line,
            what,
            "turn the dependency round, or change the table in `src/lib.rs` and say why",
        )
    })
}

fn outer_wall(table: &Table, room: &Room, source: &Source, index: usize) -> Option<Complaint> {
    let name = source.word(index);
    if source.word(index + 1) != "::" || !table.crates.iter().any(|known| known == name) {
        return None;
    }
    let rooted = index > 0 && source.word(index - 1) == "::";
    let inside_a_path = rooted && index > 1 && is_path_segment(source.word(index - 2));
    // Where a room of ours has the crate's name, only a leading `::` means the crate.
    let ours = table.room(name).is_some();
    if inside_a_path || (ours && !rooted) {
        return None;
    }
    let import = if ours { format!("::{name}") } else { name.to_owned() };
    (!room.may_import(&import)).then(|| {
        let what = format!("`{}` may not import the crate `{import}`", room.name);
        source.complain(
            source.tokens[index].line,
            what,
            "leave it to a room that may, or change the table in `src/lib.rs` and say why",
        )
    })
}

fn is_path_segment(word: &str) -> bool {
    let starts_a_path =
        ["use", "as", "return", "in", "mut", "dyn", "impl", "for", "where", "match", "if", "else"];
    word == ">"
        || (word.starts_with(|first: char| first.is_alphabetic() || first == '_')
            && !starts_a_path.contains(&word))
}

fn never(room: &Room, source: &Source, index: usize) -> Option<Complaint> {
    let line = source.tokens[index].line;
    let begins_here = |path: &&String| {
        path.split("::").enumerate().all(|(step, segment)| {
            source.word(index + 2 * step) == segment
                && (step == 0 || source.word(index + 2 * step - 1) == "::")
        })
    };
    let path = room.never.iter().find(begins_here).filter(|_| !source.is_test(line))?;
    Some(source.complain(
        line,
        format!("`{}` never uses `{path}`", room.name),
        "take it as an argument, or leave it to another room",
    ))
}

/// `super::super::…` that leaves the room where the table cannot see it.
fn over_the_roof(source: &Source, index: usize) -> Option<Complaint> {
    let first = source.word(index) == "super" && (index == 0 || source.word(index - 1) != "::");
    if !first {
        return None;
    }
    let climbs = (0..)
        .take_while(|step| {
            source.word(index + 2 * step) == "super" && source.word(index + 2 * step + 1) == "::"
        })
        .count();
    let module = source.path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    let blocks = source.tokens[..index]
        .windows(3)
        .filter(|three| three[0].text == "mod" && three[2].text == "{")
        .count();
    let depth = module.split('/').count() + blocks.min(1);
    (climbs >= depth).then(|| {
        source.complain(
            source.tokens[index].line,
            "`super::` climbs out of the room",
            "write `crate::ROOM::…`, so that the wall can see it",
        )
    })
}
