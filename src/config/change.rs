//! [`Changes`]: what a file says otherwise than before, and only a start can make so.
//!
//! ```text
//!  [server] workers, user, admin, …       they stay as they are until then (the reference lists them)
//!  [log.error]
//!  everything else                        takes effect while the server runs
//! ```
//! Values are compared as a file would say them: where something stands does not matter, nor do comments.

use super::Configuration;
use super::dump::Dump;
use super::key::{Table, Value};
use super::place::{Origin, Placed};
use super::problem::Problem;
use super::server::Server;

/// What differs between two configurations and does not change while a server runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    /// With the places where they are said.
    pub(crate) fixed: Vec<Problem>,
}

impl Changes {
    /// What `after` says otherwise than `before`.
    pub(crate) fn between(before: &Configuration, after: &Configuration) -> Self {
        let mut changes = Self::default();
        changes.look_at_server(&before.server, &after.server);
        changes.look_at_table("[log.error]", &*before.log.error, &*after.log.error, &after.log.error.origin);
        changes
    }

    fn look_at_server(&mut self, old: &Server, new: &Server) {
        let table = &new.origin;
        self.look("workers", Some(&old.workers), Some(&new.workers), table);
        self.look("pin", Some(&old.pin), Some(&new.pin), table);
        self.look("user", old.user.as_ref(), new.user.as_ref(), table);
        self.look("max_connections", old.max_connections.as_ref(), new.max_connections.as_ref(), table);
        self.look("admin", old.admin.as_ref(), new.admin.as_ref(), table);
        self.look("flight_recorder", Some(&old.flight_recorder), Some(&new.flight_recorder), table);
        self.look("pid_file", old.pid_file.as_ref(), new.pid_file.as_ref(), table);
    }

    fn look<T: Value>(
        &mut self,
        name: &str,
        old: Option<&Placed<T>>,
        new: Option<&Placed<T>>,
        table: &Origin,
    ) {
        if old.map(|old| old.value.show()) != new.map(|new| new.value.show()) {
            // What is not said any more has no place but that of its table.
            let said = new.map(|new| &new.origin).filter(|origin| origin.place().is_some());
            self.note(&format!("`{name}`"), said.unwrap_or(table));
        }
    }

    fn look_at_table(&mut self, title: &str, old: &impl Table, new: &impl Table, origin: &Origin) {
        if text_of(old) != text_of(new) {
            self.note(&format!("`{title}`"), origin);
        }
    }

    fn note(&mut self, what: &str, origin: &Origin) {
        self.fixed.push(Problem::at(origin, format!("{what} takes effect at the next start")));
    }
}

/// What `table` says, without where.
fn text_of(table: &impl Table) -> String {
    let mut dump = Dump::without_places();
    table.dump(&mut dump);
    dump.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "
        [server]
        workers = 2
        user = \"www\"
        [server.trust]
        proxies = [\"10.0.0.0/8\"]
        [[listen]]
        addr = \"127.0.0.1:80\"
        [[listen]]
        addr = \"127.0.0.1:81\"
        proxy_protocol = \"optional\"
        [log.access.main]
        to = \"stdout\"
        [[site]]
        hosts = \"*\"
        respond = 204
    ";

    fn between(before: &str, after: &str) -> Vec<String> {
        let [before, after] = [before, after].map(|text| Configuration::parse(text, "kolk.toml").unwrap());
        let changes = Changes::between(&before, &after);
        let line = |problem: &Problem| match problem.place() {
            Some(place) => format!("{}: {}", place.line(), problem.message()),
            None => problem.message().to_owned(),
        };
        changes.fixed.iter().map(line).collect()
    }

    #[test]
    fn what_is_said_otherwise_and_means_the_same_is_no_change() {
        let after = "[[site]]\nhosts = [\"*\"]\nrespond = { status = 404 }\n# all else as before\n"
            .to_owned()
            + &BEFORE[..BEFORE.find("[[site]]").unwrap()].replace("workers = 2", "workers=2 # two");
        assert_eq!(between(BEFORE, &after), Vec::<String>::new());
    }

    #[test]
    fn what_only_a_start_can_change_is_named_with_its_line() {
        let after = BEFORE
            .replace("workers = 2", "workers = 3")
            .replace("user = \"www\"", "server_name = \"other\"")
            .replace("stdout", "stderr")
            .replace("10.0.0.0/8", "10.1.0.0/16")
            + "[log.error]\nformat = \"json\"\n";
        let all = [
            "3: `workers` takes effect at the next start",
            "2: `user` takes effect at the next start",
            "17: `[log.error]` takes effect at the next start",
        ];
        assert_eq!(between(BEFORE, &after), all);
    }

    #[test]
    fn whatever_waits_for_a_start_is_listed() {
        let after = "
            [server]
            workers = 3
            pin = true
            blocking_threads = 2
            blocking_queue = 2
            user = \"other\"
            max_connections = 2
            max_connections_per_client = 2
            shutdown_delay = \"2s\"
            shutdown_grace = \"2s\"
            admin = \"127.0.0.1:82\"
            flight_recorder = \"2MiB\"
            server_name = \"other\"
            request_ids = \"any\"
            pid_file = \"other\"
            [server.limits]
            body = \"2MiB\"
            [server.timeouts]
            header = \"2s\"
            [log]
            level = \"debug\"
            [log.error]
            format = \"json\"
            [[site]]
            hosts = \"*\"
            respond = 204
        ";
        let waits = between(BEFORE, after);
        let names: Vec<&str> = waits.iter().filter_map(|line| line.split('`').nth(1)).collect();
        let all = ["workers", "pin", "user", "max_connections", "admin", "flight_recorder", "pid_file"];
        assert_eq!(names, [&all[..], &["[log.error]"]].concat());
        let page = crate::config::reference::reference();
        let listed = page.split_once("What waits for the next start is named then: ").unwrap().1;
        let listed = listed.split_once(".\n").unwrap().0;
        let listed: Vec<&str> =
            listed.split('`').skip(1).step_by(2).filter(|name| *name != "[server]").collect();
        assert_eq!(listed, names);
    }

    #[test]
    fn where_it_listens_and_how_is_not_for_the_next_start() {
        let after = BEFORE.replace("127.0.0.1:80\"", "127.0.0.1:90\"").replace("optional", "required");
        assert_eq!(between(BEFORE, &after.replace("10.0.0.0/8", "10.1.0.0/16")), Vec::<String>::new());
    }
}
