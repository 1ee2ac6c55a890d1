//! [`Said`]: which flags and variables somebody has said, and those among them that say nothing where a file
//! says everything.
//!
//! ```text
//!  counts beside a file    -w  -l  --log  --log-file  --user  --pid-file  -q  -v
//!  is said by the file     a flag ──────► refused, with the key of the file
//!                          a variable ──► a warning: it may be there for somebody else
//! ```
//! Knows what was said, not what it means.

use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use kolk::Origin;

/// What a file says instead, and where: `None` for what is about a folder alone.
const REPLACED: [(&str, Option<&str>); 29] = [
    ("tls", Some("`tls` in [[listen]], and [[tls.cert]]")),
    ("tls_client_ca", Some("`client_ca` in [tls]")),
    ("tls_client_ca_optional", Some("`client_ca` in [tls], and `client_auth = \"optional\"`")),
    ("hsts", Some("`hsts` in [[site]]")),
    ("redirect_to_https", Some("`redirect_to_https` in [[listen]]")),
    ("handshake_timeout", Some("`tls_handshake` in [server.timeouts]")),
    ("backlog", Some("`backlog` in [[listen]]")),
    ("keepalive", Some("`keepalive` in [server.timeouts]")),
    ("max_connections", Some("`max_connections` in [server]")),
    ("pin", Some("`pin` in [server]")),
    ("admin", Some("`admin` in [server]")),
    ("auth", Some("[auth.NAME], and `auth` in [[site]]")),
    ("cors", Some("`cors` in [[site]]")),
    ("upload", None),
    ("upload_max", None),
    ("index", Some("`index` in `static`")),
    ("no_listing", Some("`listing` in `static`")),
    ("spa", Some("`spa` in `static`")),
    ("clean_urls", Some("`clean_urls` in `static`")),
    ("not_found", Some("`not_found` in `static`")),
    ("links", Some("`links` in `static`")),
    ("hidden", Some("`hidden` in `static`")),
    ("cache_control", Some("`cache_control` in `static`")),
    ("media_type", Some("`media_types` in `static`")),
    ("content_etags", Some("`etags = \"content\"` in `static`")),
    ("no_compress", Some("`compress` in [[site]]")),
    ("file_cache", Some("`memory` in `static`")),
    ("open", None),
    ("qr", None),
];

/// How much a command says about itself: nothing else of the server's flags is for those that ask a file.
const OF_EVERY_COMMAND: [&str; 2] = ["quiet", "verbose"];

/// What somebody has said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said(Vec<Saying>);

/// A flag or a variable.
#[derive(Clone, Debug)]
struct Saying {
    id: String,
    /// `--workers`, `KOLK_WORKERS`.
    name: String,
    is_flag: bool,
    is_of_the_server: bool,
}

impl Said {
    /// What `matches` has of the command line and of the environment.
    pub(crate) fn of(command: &Command, matches: &ArgMatches) -> Self {
        let part = matches.subcommand().and_then(|(name, own)| Some((command.find_subcommand(name)?, own)));
        let (command, matches) = part.unwrap_or((command, matches));
        let sayings = command.get_arguments().filter_map(|argument| {
            let is_flag = match matches.value_source(argument.get_id().as_str())? {
                ValueSource::CommandLine => true,
                ValueSource::EnvVariable => false,
                _ => return None,
            };
            let name = match is_flag {
                true => format!("--{}", argument.get_long()?),
                false => argument.get_env()?.to_string_lossy().into_owned(),
            };
            let id = argument.get_id().to_string();
            Some(Saying { id, name, is_flag, is_of_the_server: argument.is_global_set() })
        });
        Self(sayings.collect())
    }

    /// What says nothing beside the file at `path`: of variables a line for each.
    ///
    /// # Errors
    /// The first flag of them.
    pub(crate) fn beside(&self, path: &Path) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        for Saying { id, name, is_flag, .. } in &self.0 {
            let Some((_, key)) = REPLACED.iter().find(|(replaced, _)| replaced == id) else { continue };
            let instead = match key {
                Some(key) => format!("write {key} there"),
                None => "it is for a folder".to_owned(),
            };
            let line = format!("{name} says nothing beside {}: {instead}", path.display());
            if *is_flag {
                return Err(line);
            }
            lines.push(line);
        }
        Ok(lines)
    }

    /// Whether a file for the access log is named where none is written: a line if a variable does it, which
    /// may be there for another time.
    ///
    /// # Errors
    /// A flag does it.
    pub(crate) fn log_file_alone(&self) -> Result<Option<String>, String> {
        let Some(saying) = self.0.iter().find(|saying| saying.id == "log_file") else { return Ok(None) };
        let line = format!("{} says nothing without --log: add it, as in --log json", saying.name);
        match saying.is_flag {
            true => Err(line),
            // Whoever says `--log off` knows it.
            false => Ok(Some(line).filter(|_| self.origin("log").is_none())),
        }
    }

    /// Who has said the value with this id, if anybody has.
    pub(crate) fn origin(&self, id: &str) -> Option<Origin> {
        let saying = self.0.iter().find(|saying| saying.id == id)?;
        Some(match saying.is_flag {
            true => Origin::Flag(saying.name.clone()),
            false => Origin::Variable(saying.name.clone()),
        })
    }

    /// Whether a flag of the server is there that says nothing to who asks a file alone: the first of them.
    pub(crate) fn idle_flag(&self) -> Option<&str> {
        let mut flags = self.0.iter().filter(|saying| saying.is_flag && saying.is_of_the_server);
        flags.find(|saying| !OF_EVERY_COMMAND.contains(&&*saying.id)).map(|saying| &*saying.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::super::args::Args;
    use super::*;

    fn said(line: &str) -> Said {
        let mut command = Args::command();
        let matches = command.try_get_matches_from_mut(line.split_whitespace()).unwrap();
        Said::of(&command, &matches)
    }

    #[test]
    fn every_flag_of_a_server_counts_beside_a_file_or_is_said_there() {
        let counts = [
            "dir", "config", "workers", "listen", "log", "log_file", "user", "pid_file", "quiet", "verbose",
            "help", "version",
        ];
        let mut command = Args::command();
        command.build();
        let serve = command.find_subcommand("serve").unwrap();
        let known: BTreeSet<&str> = REPLACED.iter().map(|(id, _)| *id).chain(counts).collect();
        for argument in serve.get_arguments() {
            assert!(known.contains(argument.get_id().as_str()), "{}", argument.get_id());
        }
    }

    #[test]
    fn flags_that_a_file_replaces_are_refused_wherever_they_stand() {
        let path = Path::new("a.toml");
        for (line, refused) in [
            ("kolk serve -c a -w 1 -l :1 --log json --user a --pid-file b -q", None),
            (
                "kolk serve -c a --pin",
                Some("--pin says nothing beside a.toml: write `pin` in [server] there"),
            ),
            (
                "kolk --keepalive 1s serve",
                Some("--keepalive says nothing beside a.toml: write `keepalive` in"),
            ),
            ("kolk serve --open", Some("--open says nothing beside a.toml: it is for a folder")),
        ] {
            let result = said(line).beside(path);
            match refused {
                Some(sentence) => assert!(result.unwrap_err().starts_with(sentence), "{line}"),
                None => assert_eq!(result, Ok(Vec::new()), "{line}"),
            }
        }
    }

    #[test]
    fn a_file_for_a_log_that_is_not_written_is_refused() {
        let refused = said("kolk serve --log-file a.log").log_file_alone().unwrap_err();
        assert!(refused.starts_with("--log-file says nothing without --log"), "{refused}");
        assert_eq!(said("kolk serve").log_file_alone(), Ok(None));
        let variable = |id: &str, name: &str| Saying {
            id: id.to_owned(),
            name: name.to_owned(),
            is_flag: false,
            is_of_the_server: true,
        };
        let file = variable("log_file", "KOLK_LOG_FILE");
        let warned = Said(vec![file.clone()]).log_file_alone().unwrap().unwrap();
        assert!(warned.starts_with("KOLK_LOG_FILE says nothing without --log"), "{warned}");
        assert_eq!(Said(vec![file, variable("log", "KOLK_LOG")]).log_file_alone(), Ok(None));
    }

    #[test]
    fn what_a_command_has_itself_is_not_of_the_server() {
        assert_eq!(said("kolk explain GET / -c a -q --client 127.0.0.1").idle_flag(), None);
        assert_eq!(said("kolk -w 1 explain GET /").idle_flag(), Some("--workers"));
    }
}
