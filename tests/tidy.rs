//! The architecture as a test: the rooms keep to their walls, and every file keeps the house rules.
//!
//! ```text
//!  source   one pass over a file: tokens with their lines, comments apart      knows no rule
//!  walls    the table of rooms in `src/lib.rs` against every path in `src/`
//!  code     `unsafe`, front pages, names, forgotten work
//!  size     ceilings for files, functions and lines; a ratchet of exceptions
//!  prose    citations, the example of the README, golden titles, scripts
//! ```
//! A complaint reads `file:line: what is wrong: what to do`. A rule that no longer bites is caught too: below
//! the rules, each is shown a text that breaks it.

#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/prose.rs"]
mod prose;
#[path = "tidy/size.rs"]
mod size;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/walls.rs"]
mod walls;

use source::{Complaint, Source, Tree};

#[test]
fn rooms_import_only_what_the_table_allows() {
    let tree = Tree::read();
    let table = walls::Table::of(tree);
    none(
        tree.rust()
            .filter(|source| source.is_under("src/"))
            .flat_map(|source| walls::breaches(&table, source)),
    );
}

#[test]
fn every_room_has_a_row_and_every_row_a_room() {
    let tree = Tree::read();
    none(walls::strangers(&walls::Table::of(tree), tree));
}

#[test]
fn only_sys_speaks_to_the_operating_system() {
    none(Tree::read().rust().flat_map(code::systems_outside_sys));
}

#[test]
fn every_unsafe_says_why_it_is_sound() {
    none(Tree::read().rust().flat_map(code::unsafe_without_a_reason));
}

#[test]
fn every_file_has_a_front_page() {
    none(Tree::read().rust().flat_map(code::missing_front_page));
}

#[test]
fn no_work_is_left_lying_about() {
    none(Tree::read().rust().flat_map(code::forgotten_work));
}

#[test]
fn names_say_something() {
    none(Tree::read().rust().flat_map(code::empty_names));
}

#[test]
fn files_and_functions_stay_small() {
    none(size::complaints(Tree::read().rust()));
}

#[test]
fn the_standards_are_cited_in_one_form() {
    none(Tree::read().sources().flat_map(prose::citations));
}

#[test]
fn the_readme_shows_the_tested_example() {
    none(prose::examples_that_differ(Tree::read()));
}

#[test]
fn every_golden_file_has_a_title() {
    none(Tree::read().sources().flat_map(prose::golden_without_title));
}

#[test]
fn every_script_explains_itself_and_stops_at_the_first_error() {
    none(Tree::read().sources().flat_map(prose::unexplained_scripts));
}

#[test]
fn nothing_depends_on_one_machine() {
    none(Tree::read().sources().flat_map(prose::machine_paths));
}

/// Fails with all complaints at once, so that one run shows everything there is to do.
#[track_caller]
fn none(complaints: impl IntoIterator<Item = Complaint>) {
    let complaints: Vec<String> = complaints.into_iter().map(|complaint| complaint.to_string()).collect();
    assert!(complaints.is_empty(), "\n\n{}\n", complaints.join("\n"));
}

mod the_rules_bite {
    //! Each rule complains about a text that breaks it, and not about its repaired twin.

    use super::*;

    #[track_caller]
    fn bites<C>(rule: fn(&Source) -> C, path: &str, wrong: &str, right: &str)
    where
        C: IntoIterator<Item = Complaint>,
    {
        let said = rule(&Source::new(path, wrong)).into_iter().count();
        assert!(said > 0, "nothing said about {path}:\n{wrong}");
        none(rule(&Source::new(path, right)));
    }

    #[test]
    fn walls() {
        let table = walls::Table::parse(
            "//! | layer | room | what | may import | never |\n\
             //! | 0 | `base` | | `std`, `slab` | |\n\
             //! | 1 | `http` | | `base`, `::http` | `std::net` |\n\
             //! | 3 | `server` | | all | |\n\
             //! | | `cli` | | `kolk` | the rooms |\n",
            "[dependencies]\nslab = \"1\"\nhttp = \"1\"\nmio = { version = \"1\" }\n[features]\n",
        );
        let breaches = |path: &str, text: &str| walls::breaches(&table, &Source::new(path, text)).len();

        assert_eq!(breaches("src/http/head.rs", "use crate::base::Tick; use crate::http::Span;"), 0);
        assert_eq!(breaches("src/base/tick.rs", "use crate::http::Head;"), 1);
        assert_eq!(
            breaches("src/base/tick.rs", "use crate::{base::Key, http::Head,\n server::{Shard, Worker}};"),
            2
        );
        assert_eq!(breaches("src/base/tick.rs", "fn f() { crate::http::parse() } // crate::server::f()"), 1);
        assert_eq!(breaches("src/http/head.rs", "use crate::Response;"), 1, "through the front door");
        assert_eq!(breaches("src/http/head.rs", "use super::super::wire::Input;"), 1, "over the roof");
        assert_eq!(breaches("src/http/head.rs", "mod tests { use super::super::Span; }"), 0);
        assert_eq!(breaches("src/http/head.rs", "use mio::Token;"), 1);
        assert_eq!(breaches("src/http/head.rs", "use ::http::HeaderName;"), 0);
        assert_eq!(breaches("src/base/tick.rs", "use ::http::HeaderName;"), 1);
        assert_eq!(breaches("src/http/head.rs", "use std::net::IpAddr;"), 1);
        assert_eq!(breaches("src/server/worker.rs", "use crate::http::Head; use mio::Token;"), 0);
        assert_eq!(breaches("src/main.rs", "use kolk::server::Shard;"), 1);
        assert_eq!(breaches("src/main.rs", "use kolk::Server; mod cli; use crate::cli::Args;"), 0);
    }

    #[test]
    fn code() {
        bites(
            code::systems_outside_sys,
            "src/net/tcp.rs",
            "fn f() { unsafe { g() } }",
            "/// unsafe\nfn f() {}",
        );
        bites(
            code::systems_outside_sys,
            "src/net/tcp.rs",
            "use libc::c_int;",
            "const NAME: &str = \"libc::c_int\";",
        );
        bites(
            code::systems_outside_sys,
            "src/net/tcp.rs",
            "#[cfg(target_os = \"linux\")] fn f() {}",
            "#[cfg(mio_unsupported_force_poll_poll)] fn f() {}",
        );
        bites(
            code::unsafe_without_a_reason,
            "src/sys/fd.rs",
            "fn f() {\n    unsafe { g() }\n}",
            "fn f() {\n    // SAFETY: g asks for nothing.\n    unsafe { g() }\n}",
        );
        bites(code::missing_front_page, "src/base/a.rs", "use std::fmt;", "//! What it is.\nuse std::fmt;");
        bites(code::forgotten_work, "src/base/a.rs", concat!("// TO", "DO: more"), "// Done.");
        bites(code::forgotten_work, "src/base/a.rs", "fn f() { todo!() }", "fn todo() { let xs = todo; }");
        assert_eq!(code::empty_names(&Source::new("src/base/socket_util.rs", "")).len(), 1);
        bites(code::empty_names, "src/base/a.rs", "struct PoolManager;", "struct Pool; enum Event { Data }");
    }

    #[test]
    fn size() {
        let long_function = format!("//! A.\nfn f() {{\n{}}}\n", "    g();\n".repeat(70));
        let long_file = "//! A.\n".repeat(601);
        let tested =
            format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "//! A.\n".repeat(500), "// .\n".repeat(300));
        let wide = format!("// {}\n", "x".repeat(110));
        let over = |text: &str| size::over(&Source::new("src/base/a.rs", text)).len();
        assert_eq!([over(&long_function), over(&long_file), over(&tested), over(&wide)], [1, 1, 0, 1]);
    }

    #[test]
    fn prose() {
        for wrong in
            ["RFC9112 §6.3", "RFC 9112 section 6.3", "RFC 9112, Section 6.3", "rfc 9112", "RFC 9112 § 6.3"]
        {
            bites(
                prose::citations,
                "src/a.rs",
                &format!("// {wrong}: framing."),
                "// RFC 9112 §6.3: framing.",
            );
        }
        bites(
            prose::citations,
            "README.md",
            "as RFC-9110 says",
            "RFC 9110, 9112; the RFCs; rfc-editor.org/rfc/rfc9110",
        );
        bites(prose::golden_without_title, "tests/golden/h1/a.md", "GET / HTTP/1.1", "# Request line\n");
        bites(
            prose::unexplained_scripts,
            "scripts/a.sh",
            "#!/usr/bin/env bash\necho\n",
            "#!/usr/bin/env bash\n# Says nothing, often.\nset -euo pipefail\n[[ ${1-} != --help ]] || help\n",
        );
        bites(prose::machine_paths, "README.md", concat!("see /ro", "ot/x"), "see ./x");
    }
}
