//! [`Changes`]: what a file says otherwise than before, and only a start can make so.
//!
//! ```text
//!  [[listen]]                             listeners: nobody can be heard elsewhere without a restart
//!  [server] workers, user, admin, …       fixed: they stay as they are until then
//!  [tls], [log.error]
//!  everything else                        takes effect while the server runs
//! ```
//! Values are compared as a file would say them: where something stands does not matter, nor do comments.

use super::Configuration;
use super::dump::Dump;
use super::key::{Table, Value};
use super::place::{Origin, Placed};
use super::problem::Problem;
use super::server::{Listen, ProxyProtocol, Server};

/// What differs between two configurations and does not change while a server runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    /// In where it listens.
    pub(crate) listeners: Vec<Problem>,
    /// In what else a start decides.
    pub(crate) fixed: Vec<Problem>,
}

impl Changes {
    /// What `after` says otherwise than `before`.
    pub(crate) fn between(before: &Configuration, after: &Configuration) -> Self {
        let mut changes = Self { listeners: listeners(before, after), fixed: Vec::new() };
        changes.look_at_server(&before.server, &after.server);
        let asks = |listen: &Listen| listen.proxy_protocol.value != ProxyProtocol::Off;
        let (old, new) = (&before.server.trust.proxies, &after.server.trust.proxies);
        if after.listen.iter().any(asks) && old.value.show() != new.value.show() {
            changes.note("`proxies`, for the PROXY protocol,", &new.origin);
        }
        changes.look_at_table("[tls]", &*before.tls, &*after.tls, &after.tls.origin);
        changes.look_at_table("[log.error]", &*before.log.error, &*after.log.error, &after.log.error.origin);
        changes
    }

    fn look_at_server(&mut self, old: &Server, new: &Server) {
        let table = &new.origin;
        self.look("workers", Some(&old.workers), Some(&new.workers), table);
        self.look("pin", Some(&old.pin), Some(&new.pin), table);
        let threads = [&old.blocking_threads, &new.blocking_threads].map(Some);
        self.look("blocking_threads", threads[0], threads[1], table);
        self.look("blocking_queue", Some(&old.blocking_queue), Some(&new.blocking_queue), table);
        self.look("user", old.user.as_ref(), new.user.as_ref(), table);
        self.look("max_connections", old.max_connections.as_ref(), new.max_connections.as_ref(), table);
        let each = [old, new].map(|server| server.max_connections_per_client.as_ref());
        self.look("max_connections_per_client", each[0], each[1], table);
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

/// Listeners that are new, and such as are gone.
fn listeners(before: &Configuration, after: &Configuration) -> Vec<Problem> {
    const ADVICE: &str = "restart kolk to listen elsewhere";
    let texts =
        |configuration: &Configuration| -> Vec<String> { configuration.listen.iter().map(text_of).collect() };
    let (old, new) = (texts(before), texts(after));
    let added = after.listen.iter().zip(&new).filter(|(_, text)| !old.contains(text));
    let added = added.map(|(listen, _)| {
        let message = format!("the listener on {} is new, or another one", listen.addr.value);
        Problem::at(&listen.addr.origin, message).help(ADVICE)
    });
    let gone = before.listen.iter().zip(&old).filter(|(_, text)| !new.contains(text));
    let is_nowhere = |listen: &Listen| after.listen.iter().all(|kept| kept.addr.value != listen.addr.value);
    let gone = gone.filter(|(listen, _)| is_nowhere(listen)).map(|(listen, _)| {
        let origin = &listen.addr.origin;
        let message = format!("the listener on {} was here before ({origin})", listen.addr.value);
        Problem::new(None, message).help(ADVICE)
    });
    added.chain(gone).collect()
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

    fn between(before: &str, after: &str) -> (Vec<String>, Vec<String>) {
        let [before, after] = [before, after].map(|text| Configuration::parse(text, "kolk.toml").unwrap());
        let changes = Changes::between(&before, &after);
        let told = |problems: &[Problem]| {
            let line = |problem: &Problem| match problem.place() {
                Some(place) => format!("{}: {}", place.line(), problem.message()),
                None => problem.message().to_owned(),
            };
            problems.iter().map(line).collect()
        };
        (told(&changes.listeners), told(&changes.fixed))
    }

    #[test]
    fn what_is_said_otherwise_and_means_the_same_is_no_change() {
        let after = "[[site]]\nhosts = [\"*\"]\nrespond = { status = 404 }\n# all else as before\n"
            .to_owned()
            + &BEFORE[..BEFORE.find("[[site]]").unwrap()].replace("workers = 2", "workers=2 # two");
        assert_eq!(between(BEFORE, &after), (Vec::new(), Vec::new()));
    }

    #[test]
    fn what_only_a_start_can_change_is_named_with_its_line() {
        let after = BEFORE
            .replace("workers = 2", "workers = 3")
            .replace("user = \"www\"", "server_name = \"other\"")
            .replace("stdout", "stderr")
            .replace("10.0.0.0/8", "10.1.0.0/16")
            + "[log.error]\nformat = \"json\"\n";
        let (listeners, fixed) = between(BEFORE, &after);
        assert_eq!(listeners, Vec::<String>::new());
        let all = [
            "3: `workers` takes effect at the next start",
            "2: `user` takes effect at the next start",
            "6: `proxies`, for the PROXY protocol, takes effect at the next start",
            "17: `[log.error]` takes effect at the next start",
        ];
        assert_eq!(fixed, all);
    }

    #[test]
    fn a_listener_that_comes_goes_or_is_another_is_told() {
        let after = BEFORE.replace("127.0.0.1:80\"", "127.0.0.1:90\"").replace("optional", "required");
        let (listeners, _) = between(BEFORE, &after);
        let all = [
            "8: the listener on http://127.0.0.1:90 is new, or another one",
            "10: the listener on http://127.0.0.1:81 is new, or another one",
            "the listener on http://127.0.0.1:80 was here before (kolk.toml:8)",
        ];
        assert_eq!(listeners, all);
    }
}
