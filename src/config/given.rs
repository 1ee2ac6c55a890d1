//! [`Given`]: what is said beside a file and counts instead of it: by flags, by variables.
//!
//! ```text
//!  the files as one tree ─► what is given, in its place ─► read and checked as if the file said it
//! ```
//! Each value keeps where it comes from. Knows no flags: whoever has some gives their names as [`Origin`].

use super::node::{Entry, Node, Raw};
use super::place::Origin;

/// What counts instead of a file.
///
/// ```
/// use kolk::{Configuration, Given, Origin};
///
/// let given = Given::default().value("server.workers", "3", Origin::Flag("--workers".into()));
/// let text = "[server]\nworkers = 2\n[[site]]\nhosts = \"*\"\nrespond = 404\n";
/// let configuration = Configuration::parse_given(text, "kolk.toml", &given)?;
/// assert!(configuration.dump().contains("# --workers of the command line\n"));
/// # Ok::<(), kolk::Errors>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Given {
    all: Vec<Change>,
}

/// A change of a tree.
#[derive(Clone, Debug)]
enum Change {
    /// Another value of one key.
    Value { path: String, node: Node },
    /// Other listeners; those stay that send visitors to https.
    Listen(Vec<Node>),
    /// A listener, if there is none.
    ListenByDefault(Node),
    /// Another place and form of every access log.
    Logs(Node),
}

impl Given {
    /// `text` for one key, with the tables that it is in before it: `server.workers`. Of those alone whose
    /// values are texts, or may be.
    #[must_use]
    pub fn value(mut self, key: &str, text: &str, origin: Origin) -> Self {
        self.all.push(Change::Value { path: key.to_owned(), node: text_of(text, &origin) });
        self
    }

    /// Listens at these addresses and nowhere else: with TLS where there is a certificate. Where the file
    /// sends visitors to https it listens still.
    #[must_use]
    pub fn listen(mut self, addresses: &[String], origin: &Origin) -> Self {
        self.all.push(Change::Listen(addresses.iter().map(|address| text_of(address, origin)).collect()));
        self
    }

    /// Listens at this address, if no file says where to listen.
    #[must_use]
    pub fn listen_by_default(mut self, address: &str, origin: &Origin) -> Self {
        self.all.push(Change::ListenByDefault(text_of(address, origin)));
        self
    }

    /// Writes requests down in this form, at one place, whatever their logs are called.
    #[must_use]
    pub fn access_log(mut self, format: (&str, Origin), to: (&str, Origin)) -> Self {
        let [format, to] = [("format", format), ("to", to)]
            .map(|(name, (text, origin))| entry(name, text_of(text, &origin)));
        self.all.push(Change::Logs(table(vec![to, format])));
        self
    }

    /// Has `tree` say all of it.
    pub(super) fn lay_over(&self, tree: &mut Node) {
        for change in &self.all {
            match change {
                Change::Value { path, node } => set(tree, path, node.clone()),
                Change::Listen(addresses) => listen(tree, addresses),
                Change::ListenByDefault(address) if tree.find("listen").is_none() => {
                    listen(tree, std::slice::from_ref(address));
                }
                Change::ListenByDefault(_) => {}
                Change::Logs(log) => log_in(tree, log),
            }
        }
    }
}

fn listen(tree: &mut Node, addresses: &[Node]) {
    let is_encrypted = tree.find("tls").is_some_and(|tls| tls.node.find("cert").is_some());
    let sends = |node: &Node| {
        node.find("redirect_to_https").is_some_and(|entry| matches!(entry.node.raw, Raw::Boolean(true)))
    };
    let mut all = match tree.find("listen").map(|entry| &entry.node.raw) {
        Some(Raw::List(former)) => former.iter().filter(|node| sends(node)).cloned().collect(),
        _ => Vec::new(),
    };
    all.extend(addresses.iter().map(|address| {
        let tls = Node { origin: address.origin.clone(), raw: Raw::Boolean(is_encrypted) };
        table(vec![entry("addr", address.clone()), entry("tls", tls)])
    }));
    set(tree, "listen", Node { origin: Origin::Default, raw: Raw::List(all) });
}

fn log_in(tree: &mut Node, log: &Node) {
    let known = tree.find("log").and_then(|entry| entry.node.find("access"));
    let mut names: Vec<String> = known.map_or_else(Vec::new, |access| {
        access.node.entries().iter().map(|entry| entry.name.clone()).collect()
    });
    if names.is_empty() {
        names.push("main".to_owned());
    }
    let logs = names.iter().map(|name| entry(name, log.clone())).collect();
    set(tree, "log.access", table(logs));
}

/// Has the key at `path` be `node`; what is no table on the way is wrong, and is told as that.
fn set(tree: &mut Node, path: &str, node: Node) {
    let Raw::Table(entries) = &mut tree.raw else { return };
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let known = entries.iter().position(|entry| entry.name == name).unwrap_or_else(|| {
        entries.push(entry(name, table(Vec::new())));
        entries.len() - 1
    });
    match rest {
        Some(rest) => set(&mut entries[known].node, rest, node),
        None => entries[known].node = node,
    }
}

fn text_of(text: &str, origin: &Origin) -> Node {
    Node { origin: origin.clone(), raw: Raw::Text(text.to_owned()) }
}

const fn table(entries: Vec<Entry>) -> Node {
    Node { origin: Origin::Default, raw: Raw::Table(entries) }
}

fn entry(name: &str, node: Node) -> Entry {
    Entry { name: name.to_owned(), place: None, node }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Configuration;

    const FILE: &str = "
        [server]
        workers = 2
        [[listen]]
        addr = \"127.0.0.1:81\"
        [log.access.a]
        to = \"stderr\"
        [[site]]
        hosts = \"*\"
        access_log = \"a\"
        respond = 404
    ";

    fn flag(name: &str) -> Origin {
        Origin::Flag(name.to_owned())
    }

    fn dumped(given: &Given) -> String {
        let dump = Configuration::parse_given(FILE, "kolk.toml", given).unwrap().dump();
        dump.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
    }

    #[test]
    fn what_is_given_counts_and_keeps_where_it_comes_from() {
        let variable = Origin::Variable("KOLK_USER".to_owned());
        let given = Given::default()
            .value("server.workers", "3", flag("--workers"))
            .value("server.user", "www", variable)
            .listen(&[":80".to_owned(), "unix:/run/k".to_owned()], &flag("--listen"))
            .access_log(("pretty", flag("--log")), ("stdout", flag("--log")));
        let dump = dumped(&given);
        for line in [
            "workers = 3 # --workers of the command line\n",
            "user = \"www\" # KOLK_USER of the environment\n",
            "[[listen]]\naddr = \":80\" # --listen of the command line\ntls = false # --listen of the",
            "addr = \"unix:/run/k\" # --listen of the command line\n",
            "[log.access.a]\nto = \"stdout\" # --log of the command line\nformat = \"pretty\" # --log of the",
            "access_log = \"a\" # kolk.toml:10\n",
        ] {
            assert!(dump.contains(line), "{line:?} is missing in:\n{dump}");
        }
        assert!(!dump.contains(":81"), "{dump}");
        assert_eq!(dumped(&Given::default()).matches("of the command line").count(), 0);
    }

    #[test]
    fn what_is_given_is_checked() {
        for (key, text, why) in [
            ("server.workers", "many", "`many` is not a number of workers"),
            ("server.wrkers", "3", "unknown key `wrkers` in [server]"),
            ("log.level", "loud", "`loud` is not known here"),
        ] {
            let given = Given::default().value(key, text, flag("--x"));
            let errors = Configuration::parse_given(FILE, "kolk.toml", &given).unwrap_err().to_string();
            assert!(errors.contains(why), "{errors}");
        }
    }

    #[test]
    fn a_default_yields_to_a_file_that_says_where_to_listen() {
        let given = Given::default().listen_by_default("127.0.0.1:3000", &flag("PORT"));
        assert!(!dumped(&given).contains("3000"));
        let (before, behind) = FILE.split_once("[[listen]]").unwrap();
        let file = before.to_owned() + &behind.replace("addr = \"127.0.0.1:81\"", "");
        let dump = Configuration::parse_given(&file, "kolk.toml", &given).unwrap().dump();
        assert!(dump.contains("addr = \"127.0.0.1:3000\""), "{dump}");
    }

    #[test]
    fn one_log_for_all_is_not_two_in_one_file() {
        let log = |to: &str| Given::default().access_log(("json", flag("--log")), (to, flag("--log-file")));
        let file = FILE
            .replace("[[site]]", "[log.access.b]\nto = \"stdout\"\n[log.error]\nto = \"e.log\"\n[[site]]");
        let read = |given: &Given| Configuration::parse_given(&file, "kolk.toml", given);
        let dump = read(&log("a.log")).unwrap().dump();
        assert_eq!(dump.matches("to = \"a.log\"").count(), 2, "{dump}");
        let clash = read(&log("e.log")).unwrap_err().to_string();
        assert!(clash.contains("the file `e.log` is there twice"), "{clash}");
    }

    #[test]
    fn who_sends_to_https_listens_on() {
        let mut tree = Node::of_default(
            "{ tls = { cert = [{}] }, \
               listen = [{ addr = \":1\", redirect_to_https = true }, { addr = \":2\" }] }",
        );
        Given::default().listen(&[":3".to_owned()], &flag("-l")).lay_over(&mut tree);
        let Raw::List(all) = &tree.find("listen").unwrap().node.raw else { panic!("{tree:?}") };
        let shown = format!("{all:?}");
        assert_eq!(all.len(), 2);
        assert!(shown.contains(":1") && shown.contains(":3") && !shown.contains(":2"), "{shown}");
        assert!(matches!(all[1].find("tls").unwrap().node.raw, Raw::Boolean(true)));
    }
}
