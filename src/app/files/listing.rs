//! [`Listing`]: what is in a folder, as a page or as JSON. Pure: entries in, text out.
//!
//! ```text
//!  Contents ─► what is served ─► folders first, in the order of the query ─► html | json
//! ```
//! Every reference is relative to the folder's own address, which ends with a slash, and begins with `./`,
//! `../` or `?`: no name can become another host or a script. The page has no script, and loads nothing.
//! Knows no file system and no request.

mod query;
mod text;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

use ::http::{HeaderValue, header};

pub(super) use query::{Format, Query};

use self::query::{Order, Sort, reference};
pub(crate) use self::text::push_json;
use self::text::{counted, date_and_time, grouped, push_escaped, push_segment, size};
use super::tree::is_hidden;
use crate::http::Response;
use crate::sys::folder::{Contents, Entry};

/// Nothing of a name becomes active content, even if the escaping had a hole.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("listing/page.css");

/// What is in a folder.
#[derive(Debug)]
pub(super) struct Listing<'l> {
    /// What the outermost folder is called: the host, say.
    pub(super) root: &'l str,
    /// The normalised path of the folder below the outermost one: `a/b/`, or nothing.
    pub(super) path: &'l str,
    /// What was found in it. What is not served is not shown.
    pub(super) contents: &'l Contents,
    /// The order.
    pub(super) query: Query,
    /// Whether names that begin with a dot are shown.
    pub(super) shows_hidden: bool,
    /// Whether it can be had as an archive: `?download=tar.gz`.
    pub(super) can_download: bool,
    /// Whether files can be put into it: a form is sent to its address, its field `file` perhaps repeated.
    pub(super) can_upload: bool,
}

impl Listing<'_> {
    /// The answer to whoever may see it.
    pub(super) fn answer(&self, format: Format) -> Response {
        let mut response = match format {
            Format::Html => Response::html(self.html()),
            Format::Json => Response::json(self.json()),
        };
        response.append(&header::VARY, &HeaderValue::from_static("Accept"));
        response.append(&header::X_CONTENT_TYPE_OPTIONS, &HeaderValue::from_static("nosniff"));
        if format == Format::Html {
            response.append(&header::CONTENT_SECURITY_POLICY, &HeaderValue::from_static(POLICY));
        }
        response
    }

    /// The page, in UTF-8.
    pub(super) fn html(&self) -> String {
        let entries = self.sorted();
        let crumbs = self.crumbs();
        let mut page = String::with_capacity(STYLE.len() + 4_096 + entries.len() * 400);
        page.push_str(concat!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
            "<meta name=\"color-scheme\" content=\"light dark\">\n<title>"
        ));
        push_escaped(&mut page, crumbs.last().map_or("", |crumb| crumb).as_bytes());
        page.push_str("</title>\n<link rel=\"icon\" href=\"");
        page.push_str(include_str!("listing/icon.txt").trim_end());
        page.push_str("\">\n<style>\n");
        page.push_str(STYLE);
        page.push_str("</style>\n</head>\n<body>\n<header>\n");
        self.push_crumbs(&mut page, &crumbs);
        if self.can_download {
            page.push_str(
                "<a class=\"get\" href=\"?download=tar.gz\" download>Download <b>.tar.gz</b></a>\n",
            );
        }
        page.push_str("</header>\n<main>\n");
        self.push_table(&mut page, &entries, crumbs.len() > 1);
        if self.can_upload {
            page.push_str(FORM);
        }
        page.push_str("</main>\n");
        self.push_footer(&mut page, &entries);
        page.push_str("</body>\n</html>\n");
        page
    }

    /// An array of objects: `name`, `type` (`file` or `directory`), `size` in bytes (`null` for a directory),
    /// `modified` in UTC.
    pub(super) fn json(&self) -> String {
        let entries = self.sorted();
        let mut array = String::with_capacity(16 + entries.len() * 120);
        array.push('[');
        for (place, entry) in entries.iter().enumerate() {
            array.push_str(if place == 0 { "\n{\"name\":" } else { ",\n{\"name\":" });
            push_json(&mut array, entry.name.as_bytes());
            if entry.kind.is_folder() {
                array.push_str(",\"type\":\"directory\",\"size\":null");
            } else {
                push(&mut array, format_args!(",\"type\":\"file\",\"size\":{}", entry.length));
            }
            let [date, time] = date_and_time(entry.modified);
            push(&mut array, format_args!(",\"modified\":\"{date}T{time}Z\"}}"));
        }
        array.push_str(if entries.is_empty() { "]\n" } else { "\n]\n" });
        array
    }

    /// What is shown, in order.
    fn sorted(&self) -> Vec<&Entry> {
        let shown = self.contents.entries.iter().filter(|entry| {
            (entry.kind.is_file() || entry.kind.is_folder())
                && (self.shows_hidden || !is_hidden(entry.name.as_bytes()))
        });
        let mut keyed: Vec<(String, &Entry)> =
            shown.map(|entry| (entry.name.to_string_lossy().to_lowercase(), entry)).collect();
        let by_name = |one: &(String, &Entry), other: &(String, &Entry)| {
            natural(one.0.as_bytes(), other.0.as_bytes()).then_with(|| one.1.name.cmp(&other.1.name))
        };
        keyed.sort_by(|one, other| {
            let (a, b) = (one.1, other.1);
            let ascending = match self.query.sort {
                Sort::Name => by_name(one, other),
                Sort::Size => a.length.cmp(&b.length),
                Sort::Date => a.modified.cmp(&b.modified),
            };
            let wanted = match self.query.order {
                Order::Ascending => ascending,
                Order::Descending => ascending.reverse(),
            };
            // What is equal stands in the order of its names, either way.
            b.kind.is_folder().cmp(&a.kind.is_folder()).then(wanted).then_with(|| by_name(one, other))
        });
        keyed.into_iter().map(|(_, entry)| entry).collect()
    }

    /// The names of the folders from the outermost one to this one.
    fn crumbs(&self) -> Vec<Cow<'_, str>> {
        let below = self.path.split('/').filter(|segment| !segment.is_empty());
        // A normalised path keeps the escape of `%`.
        let below = below.map(|segment| segment.replace("%25", "%").into());
        std::iter::once(self.root.into()).chain(below).collect()
    }

    fn push_crumbs(&self, page: &mut String, crumbs: &[Cow<'_, str>]) {
        let order = self.query.for_links();
        page.push_str("<nav aria-label=\"Folders\"><ol>\n");
        for (place, crumb) in crumbs.iter().enumerate() {
            let up = crumbs.len() - 1 - place;
            if up > 0 {
                push(page, format_args!("<li><a href=\"{}{order}\">", "../".repeat(up)));
            } else {
                page.push_str("<li aria-current=\"page\"><h1>");
            }
            push_escaped(page, crumb.as_bytes());
            page.push_str(if up > 0 { "</a></li>\n" } else { "</h1></li>\n" });
        }
        page.push_str("</ol></nav>\n");
    }

    fn push_table(&self, page: &mut String, entries: &[&Entry], has_parent: bool) {
        page.push_str("<table>\n");
        if !entries.is_empty() {
            self.push_columns(page);
        }
        page.push_str("<tbody>\n");
        let order = self.query.for_links();
        if has_parent {
            push(page, format_args!("<tr class=\"up\"><th scope=\"row\"><a href=\"../{order}\">"));
            page.push_str("the folder above</a></th><td></td><td></td></tr>\n");
        }
        for entry in entries {
            push_row(page, entry, &order);
        }
        if entries.is_empty() {
            page.push_str(
                "<tr class=\"empty\"><td colspan=\"3\">There is nothing in this folder.</td></tr>\n",
            );
        }
        page.push_str("</tbody>\n</table>\n");
    }

    fn push_columns(&self, page: &mut String) {
        page.push_str("<thead><tr>");
        for (sort, title, first) in [
            (Sort::Name, "Name", Order::Ascending),
            (Sort::Size, "Size", Order::Descending),
            (Sort::Date, "Modified", Order::Descending),
        ] {
            let is_current = sort == self.query.sort;
            let next = if is_current { self.query.order.reversed() } else { first };
            let state = match (is_current, self.query.order) {
                (false, _) => "",
                (true, Order::Ascending) => " aria-sort=\"ascending\"",
                (true, Order::Descending) => " aria-sort=\"descending\"",
            };
            let reference = reference(sort, next);
            push(page, format_args!("<th scope=\"col\"{state}><a href=\"{reference}\">{title}</a></th>"));
        }
        page.push_str("</tr></thead>\n");
    }

    fn push_footer(&self, page: &mut String, entries: &[&Entry]) {
        let folders = entries.iter().filter(|entry| entry.kind.is_folder()).count();
        let total = entries.iter().fold(0_u64, |total, entry| total.saturating_add(entry.length));
        push(
            page,
            format_args!(
                "<footer><p>{}, {}, <span title=\"{} bytes\">{}</span>{}</p><p>times in UTC</p></footer>\n",
                counted(folders, "folder", "folders"),
                counted(entries.len() - folders, "file", "files"),
                grouped(total),
                size(total),
                if self.contents.is_cut { "; <strong>and more, which are not shown</strong>" } else { "" },
            ),
        );
    }
}

/// Sent to the address of the folder itself.
const FORM: &str = concat!(
    "<form method=\"post\" enctype=\"multipart/form-data\" action=\"./\">\n",
    "<label for=\"file\">Add files to this folder</label>\n",
    "<input id=\"file\" type=\"file\" name=\"file\" multiple required>\n",
    "<button>Upload</button>\n</form>\n"
);

fn push_row(page: &mut String, entry: &Entry, order: &str) {
    let is_folder = entry.kind.is_folder();
    let class = match (is_folder, entry.kind.is_link()) {
        (true, false) => "dir",
        (true, true) => "dir link",
        (false, false) => "file",
        (false, true) => "file link",
    };
    push(page, format_args!("<tr class=\"{class}\"><th scope=\"row\"><a href=\"./"));
    push_segment(page, entry.name.as_bytes());
    if is_folder {
        push(page, format_args!("/{order}"));
    }
    page.push_str("\">");
    push_escaped(page, entry.name.as_bytes());
    page.push_str("</a></th>");
    if is_folder {
        page.push_str("<td></td>");
    } else {
        let (exact, short) = (grouped(entry.length), size(entry.length));
        push(page, format_args!("<td title=\"{exact} bytes\">{short}</td>"));
    }
    let [date, time] = date_and_time(entry.modified);
    push(page, format_args!("<td><time datetime=\"{date}T{time}Z\" title=\"{date} {time} UTC\">"));
    push(page, format_args!("{date}<span> {}</span></time></td></tr>\n", &time[..5]));
}

/// As people count: `a2` before `a10`. The names are in lower case.
fn natural(mut one: &[u8], mut other: &[u8]) -> Ordering {
    loop {
        let numbers = (number(one), number(other));
        if let (Some((a, rest_of_one)), Some((b, rest_of_other))) = numbers {
            match a.len().cmp(&b.len()).then_with(|| a.cmp(b)) {
                Ordering::Equal => (one, other) = (rest_of_one, rest_of_other),
                unequal => return unequal,
            }
            continue;
        }
        match (one.split_first(), other.split_first()) {
            (Some((a, rest_of_one)), Some((b, rest_of_other))) if a == b => {
                (one, other) = (rest_of_one, rest_of_other);
            }
            (one, other) => return one.map(|(first, _)| first).cmp(&other.map(|(first, _)| first)),
        }
    }
}

/// The digits at the beginning without zeros before them, and what follows.
fn number(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = name.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(name.len());
    let (digits, rest) = name.split_at(end);
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    (end > 0).then(|| (&digits[zeros..], rest))
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use crate::sys::folder::Kind;

    fn entry(name: impl AsRef<OsStr>, kind: Kind, length: u64, modified: i64) -> Entry {
        Entry { name: name.as_ref().to_owned(), kind, length, modified }
    }

    fn listing<'l>(path: &'l str, contents: &'l Contents, query: &str) -> Listing<'l> {
        Listing {
            root: "example.org",
            path,
            contents,
            shows_hidden: false,
            query: Query::parse(Some(query)),
            can_download: false,
            can_upload: false,
        }
    }

    fn contents(entries: Vec<Entry>) -> Contents {
        Contents { entries, is_cut: false }
    }

    /// The names on the page, as they are shown.
    fn names(contents: &Contents, query: &str) -> Vec<String> {
        let json = listing("", contents, query).json();
        let names = json.lines().filter_map(|line| line.strip_prefix("{\"name\":\""));
        names.map(|line| line.split('"').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn folders_stand_first_and_numbers_count() {
        let files = ["b10.txt", "B2.txt", "b02.txt", "a", "b", "ab", "Z", "9", "10", "é"];
        let mut entries: Vec<_> = files.iter().map(|name| entry(name, Kind::File, 1, 0)).collect();
        entries.extend(["y", "X"].map(|name| entry(name, Kind::Folder, 0, 0)));
        entries.push(entry("w", Kind::LinkToFolder, 0, 0));
        let contents = contents(entries);
        let ascending = ["w", "X", "y", "9", "10", "a", "ab", "b", "B2.txt", "b02.txt", "b10.txt", "Z", "é"];
        assert_eq!(names(&contents, ""), ascending);
        let descending = ["y", "X", "w", "é", "Z", "b10.txt", "b02.txt", "B2.txt", "b", "ab", "a", "10", "9"];
        assert_eq!(names(&contents, "order=desc"), descending);
        assert_eq!(names(&contents, "sort=size&order=desc"), ascending, "equal ones keep the order of names");
    }

    #[test]
    fn by_size_and_by_date() {
        let contents = contents(vec![
            entry("small-new", Kind::File, 1, 300),
            entry("large-old", Kind::LinkToFile, 5_000, 100),
            entry("folder", Kind::Folder, 0, 200),
            entry("middle", Kind::File, 70, 200),
        ]);
        for (query, order) in [
            ("sort=size", ["folder", "small-new", "middle", "large-old"]),
            ("sort=size&order=desc", ["folder", "large-old", "middle", "small-new"]),
            ("sort=date", ["folder", "large-old", "middle", "small-new"]),
            ("sort=date&order=desc", ["folder", "small-new", "middle", "large-old"]),
        ] {
            assert_eq!(names(&contents, query), order, "{query}");
        }
    }

    #[test]
    fn what_is_not_served_is_not_shown() {
        let contents = contents(vec![
            entry(".htpasswd", Kind::File, 1, 0),
            entry(".git", Kind::Folder, 0, 0),
            entry(".well-known", Kind::Folder, 0, 0),
            entry("pipe", Kind::Other, 0, 0),
        ]);
        assert_eq!(names(&contents, ""), [".well-known"]);
        let page = listing("", &contents, "").html();
        assert!(page.contains("<p>1 folder, 0 files, <span title=\"0 bytes\">0 B</span></p>"), "{page}");
    }

    #[test]
    fn no_name_leaves_its_place() {
        for name in [
            &b"<script>alert(1)</script>"[..],
            b"\"onmouseover=\"alert(1)",
            b"'><img src=x>",
            b"javascript:alert(1)",
            b"&lt;",
            b"?download=tar.gz",
            b"#x",
            b"a\\b",
            b"100%",
            b"not \xFF UTF-8",
            b"two\nlines",
        ] {
            let contents = contents(vec![
                entry(OsStr::from_bytes(name), Kind::File, 1, 0),
                entry(OsStr::from_bytes(name), Kind::Folder, 0, 0),
            ]);
            let hostile = String::from_utf8_lossy(name).replace('%', "%25");
            let listing = Listing { root: &hostile, ..listing(&hostile, &contents, "") };
            let page = listing.html();
            let page = page.split_once("</style>").unwrap().1;
            for reference in page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
                assert!(["./", "../", "?"].iter().any(|start| reference.starts_with(start)), "{reference}");
                assert!(reference.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>'\\:".contains(&byte)));
                assert!(reference.matches('?').count() <= 1);
            }
            let tags = ["<script", "<img", "onmouseover=\"", "\n lines", "two\nlines"];
            assert!(tags.iter().all(|tag| !page.contains(tag)), "{page}");
            let json = listing.json();
            assert_eq!(json.lines().count(), 4, "{json}");
        }
        let contents = contents(vec![entry("//host", Kind::File, 1, 0), entry("é x", Kind::Folder, 0, 0)]);
        let page = listing("", &contents, "sort=date").html();
        assert!(page.contains("<a href=\"./%2F%2Fhost\">//host</a>"));
        assert!(page.contains("<a href=\"./%C3%A9%20x/?sort=date&amp;order=asc\">é x</a>"));
    }

    #[test]
    fn the_way_back() {
        let empty = contents(Vec::new());
        let page = listing("a b/100%25/<c>/", &empty, "sort=size&order=desc").html();
        for part in [
            "<title>&lt;c&gt;</title>",
            "<li><a href=\"../../../?sort=size&amp;order=desc\">example.org</a></li>",
            "<li><a href=\"../../?sort=size&amp;order=desc\">a b</a></li>",
            "<li><a href=\"../?sort=size&amp;order=desc\">100%</a></li>",
            "<li aria-current=\"page\"><h1>&lt;c&gt;</h1></li>",
            "<tr class=\"up\"><th scope=\"row\"><a href=\"../?sort=size&amp;order=desc\">",
            "There is nothing in this folder.",
        ] {
            assert!(page.contains(part), "no {part} in {page}");
        }
        let page = listing("", &empty, "").html();
        assert!(page.contains("<h1>example.org</h1>") && page.contains("nothing in this folder"));
        assert!(!page.contains("../") && !page.contains("<thead"), "{page}");
    }

    #[test]
    fn the_columns_say_how_they_are_sorted_and_turn() {
        let contents = contents(vec![entry("x", Kind::File, 1_234_567, 784_111_777)]);
        for (query, head) in [
            (
                "",
                "<th scope=\"col\" aria-sort=\"ascending\"><a href=\"?sort=name&amp;order=desc\">Name</a></th>\
                 <th scope=\"col\"><a href=\"?sort=size&amp;order=desc\">Size</a></th>",
            ),
            (
                "sort=size&order=desc",
                "<th scope=\"col\"><a href=\"?sort=name&amp;order=asc\">Name</a></th>\
                 <th scope=\"col\" aria-sort=\"descending\"><a href=\"?sort=size&amp;order=asc\">Size</a></th>",
            ),
        ] {
            let page = listing("", &contents, query).html();
            assert!(page.contains(head), "{query}: {page}");
        }
        let page = listing("", &contents, "").html();
        assert!(page.contains(concat!(
            "<td title=\"1,234,567 bytes\">1.2 MiB</td><td><time datetime=\"1994-11-06T08:49:37Z\" ",
            "title=\"1994-11-06 08:49:37 UTC\">1994-11-06<span> 08:49</span></time></td>"
        )));
    }

    #[test]
    fn each_format_has_its_fields() {
        let nothing = Contents::default();
        for (format, content_type, has_policy) in
            [(Format::Html, "text/html; charset=utf-8", true), (Format::Json, "application/json", false)]
        {
            let answer = listing("", &nothing, "").answer(format);
            assert_eq!((answer.status().as_u16(), answer.content_type()), (200, Some(content_type)));
            assert_eq!(answer.fields().get("vary"), Some(&b"Accept"[..]));
            assert_eq!(answer.fields().get("content-security-policy").is_some(), has_policy);
        }
    }

    #[test]
    fn what_may_be_done_is_offered() {
        let contents = Contents { entries: vec![entry("x", Kind::File, 1, 0)], is_cut: true };
        let plain = listing("", &contents, "");
        let all = Listing { can_download: true, can_upload: true, ..listing("", &contents, "") };
        for (offer, part) in [("download", "href=\"?download=tar.gz\""), ("upload", "<form method=\"post\"")]
        {
            assert!(all.html().contains(part) && !plain.html().contains(part), "{offer}");
        }
        assert!(plain.html().contains("and more, which are not shown"));
        let words = ["<script", "javascript:", "http:", "https:", "url(http"];
        assert!(words.iter().all(|word| !all.html().to_lowercase().contains(word)), "asks for something");
    }

    #[test]
    fn rfc_8259_the_same_as_json() {
        let contents = contents(vec![
            entry("a\"b", Kind::File, 5, 784_111_777),
            entry("sub", Kind::LinkToFolder, 0, -1),
        ]);
        assert_eq!(
            listing("", &contents, "").json(),
            concat!(
                "[\n",
                r#"{"name":"sub","type":"directory","size":null,"modified":"1969-12-31T23:59:59Z"},"#,
                "\n",
                r#"{"name":"a\"b","type":"file","size":5,"modified":"1994-11-06T08:49:37Z"}"#,
                "\n]\n"
            )
        );
        let nothing = Contents::default();
        assert_eq!(listing("", &nothing, "").json(), "[]\n");
    }
}
