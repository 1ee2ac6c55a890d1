//! [`Args`]: the command line, its environment and its defaults.
//!
//! Precedence: flag, then environment, then default. Knows no server: values are checked for their
//! form only, and an address is text until the library parses it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::{
    ArgAction, Args as ClapArgs, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum,
};
use clap_complete::Shell;
#[cfg(feature = "tls")]
use kolk::ClientAuth;
use kolk::units::duration;

use super::access::Access;
#[cfg(feature = "tls")]
use super::certificates::{Given, OWN};
use super::configured;
use super::explain::Explain;
use super::files::Files;
use super::password::Algorithm;
use super::said::Said;

const ABOUT: &str = "A web server that is one turning point: one event loop per core, \
every connection a small state machine";

const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nHTTP/1.0, HTTP/1.1 and HTTP/2, TLS 1.2 and 1.3, edge-triggered event loops on mio",
    "\nlicense ",
    env!("CARGO_PKG_LICENSE"),
);

pub(crate) const AFTER_HELP: &str = "\
Examples:
  kolk                              your own request, taken apart: http://127.0.0.1:8080
  kolk -w 2 -l :8080                two workers, all addresses
  kolk serve public                 the files of ./public
  kolk serve --tls chain.pem,key.pem -l :8443 --redirect-to-https :8080
  kolk serve public --tls           https://localhost:8080 with a certificate of kolk's own
  kolk -l unix:/run/kolk.sock       a Unix socket
  kolk -l fd:3                      a socket that whoever starts kolk has opened (systemd: by itself)
  kolk -l 127.0.0.1:8080 -l '[::1]:8080' --log pretty
  kolk check --dump                 every value of kolk.toml, and where it comes from
  kolk explain GET https://example.com/a    who would answer that, and which lines say so
  kolk why 4bf92f3577b34da6a3ce929d0e0e4736 --admin :9090    what became of a request
  kolk reload -c kolk.toml          have the server of this file read it again: did it take effect?
  kolk doctor                       is this machine ready for many connections?

Environment:
  Every flag has a variable: KOLK_WORKERS, KOLK_LISTEN (a list with commas), ... A flag wins over
  its variable. PORT=3000 is short for KOLK_LISTEN=127.0.0.1:3000, but where a file says where to
  listen, that counts. NO_COLOR switches colours off.

Signals:
  TERM, INT, QUIT   drain: finish what is under way (30 s, or what a file says); a second one stops at once
  USR1              reopen the access log
  HUP               read the certificates again, and the file of -c: a wrong one changes nothing

Exit codes:
  0 fine   1 failed while running   2 usage   3 bad configuration   4 cannot bind";

/// Where `kolk` listens unless it is told otherwise.
const LISTEN: &str = "127.0.0.1:8080";

/// The whole command line.
#[derive(Clone, Debug, Parser)]
#[command(name = "kolk", version, long_version = LONG_VERSION, about = ABOUT, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// What to serve.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// How to serve it.
    #[command(flatten)]
    pub(crate) serving: Serving,
    /// Variables that say nothing: a line for each.
    #[arg(skip)]
    pub(crate) warnings: Vec<String>,
    /// Who has said what.
    #[arg(skip)]
    pub(crate) said: Said,
}

/// What to serve; without a command, the built-in site.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// Serve the files of a directory
    Serve(Box<Directory>),
    /// Ask a server for one page: exit code 0 if it answers with 2xx or 3xx within 2 s, else 1
    Healthcheck {
        /// What to ask: http://HOST:PORT/PATH, https://... or unix:PATH [default: where kolk would listen;
        /// there any answer but 5xx will do]
        url: Option<String>,
        /// With https: trust these authorities, PEM, and nobody else. Without it only this machine can be
        /// asked, and its certificate is not looked at
        #[cfg(feature = "tls")]
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
    },
    /// Print the hash of a password, for --auth: asks for it on a terminal, else reads one line
    HashPassword {
        /// How it is made
        #[arg(long, value_name = "NAME", default_value = "argon2")]
        algorithm: Algorithm,
    },
    /// Print a new random token, and the line for a file of tokens
    Token {
        /// Whose it is
        name: String,
    },
    /// Look at this machine with a server's eyes: exit code 1 if something deserves attention
    Doctor {
        /// Look at the limits of this process instead of one's own
        #[arg(long, value_name = "N")]
        pid: Option<u32>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Watch a running server: requests, connections, workers, durations, reasons
    #[cfg(feature = "top")]
    Top {
        /// Its admin listener: HOST:PORT or unix:PATH [default: that of --admin, or of its file]
        address: Option<String>,
        /// Its file, which says where that is [default: ./kolk.toml]
        #[arg(short, long, env = "KOLK_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        /// How often
        #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
        interval: Duration,
        /// Look once, and print that as text; so also where standard output is no terminal
        #[arg(long)]
        once: bool,
    },
    /// Tell what became of a request of a running server, whose admin listener is at --admin, or where its
    /// file says: exit code 1 if it is not remembered
    Why {
        /// The request's X-Request-Id, or the id in the access log [default: a line for each of the last
        /// requests]
        id: Option<String>,
        /// The server's file [default: ./kolk.toml]
        #[arg(short, long, env = "KOLK_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have a running server read its file again, and tell what became of it: exit code 3 if it is refused,
    /// and what was served before still is. The server's admin listener is at --admin, or its --pid-file is
    /// named; then its log tells
    Reload {
        /// The server's file, which says where both are [default: ./kolk.toml, if none of them is named]
        #[arg(short, long, env = "KOLK_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        /// How long to wait for what becomes of it
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
        wait: Duration,
    },
    /// Check a configuration file, with the flags that count beside it: exit code 3 if something is wrong
    Check {
        /// The file
        #[arg(short, long, env = "KOLK_CONFIG", value_name = "FILE", default_value = "kolk.toml")]
        config: PathBuf,
        /// Print every value that counts, and where it comes from
        #[arg(long)]
        dump: bool,
    },
    /// Tell what would become of a request, and which lines of a configuration file say so
    Explain(Box<Explain>),
    /// Print the JSON Schema of configuration files, for editors
    Schema,
    /// Print the completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the man page
    Man,
}

/// A directory to serve, and who is told.
#[derive(Clone, Debug, PartialEq, Eq, ClapArgs)]
pub(crate) struct Directory {
    /// The directory [default: ./kolk.toml, if there is such a file, else .]
    #[arg(env = "KOLK_DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// Serve what this configuration file says, and nothing else; of the flags -w, -l, --log, --log-file,
    /// --user and --pid-file count instead of it, and those that it replaces are refused
    #[arg(short, long, env = "KOLK_CONFIG", value_name = "FILE", conflicts_with = "dir")]
    pub(crate) config: Option<PathBuf>,

    /// Open it in the browser
    #[arg(long, env = "KOLK_OPEN", value_parser = BoolishValueParser::new())]
    pub(crate) open: bool,

    /// Print its URL as a QR code: the first that another device can reach, or this one
    #[arg(long, env = "KOLK_QR", value_name = "URL", num_args = 0..=1, require_equals = true,
          default_missing_value = "")]
    pub(crate) qr: Option<String>,

    /// How files are found and sent
    #[command(flatten)]
    pub(crate) files: Files,

    /// Who may read and who may store
    #[command(flatten)]
    pub(crate) access: Access,
}

/// The flags of every serving command.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Serving {
    /// How many workers (threads, each with its own event loop); auto: one per CPU that is ours
    #[arg(short, long, global = true, env = "KOLK_WORKERS", value_name = "N|auto", default_value = "auto",
          value_parser = count)]
    pub(crate) workers: Count,

    /// Where to listen: 127.0.0.1:8080, :8080 (all addresses), [::1]:8080, unix:PATH, fd:3 or fd:NAME (a
    /// socket that was passed: systemd.socket(5)); repeatable [default: the sockets that were passed, else
    /// 127.0.0.1:8080]
    #[arg(short, long, global = true, env = "KOLK_LISTEN", value_name = "ADDR", value_delimiter = ',')]
    pub(crate) listen: Vec<String>,

    /// Encrypt all connections but those of --admin and --redirect-to-https: a certificate with the chain
    /// behind it, and its key, both PEM. They are watched, and replaced while kolk runs. Repeatable (in the
    /// variable: with semicolons): each client gets the one with the name that it asks for, else the first.
    /// Alone, as the last flag, or before another (in the variable: a comma): with a certificate for
    /// localhost that kolk makes and keeps
    #[cfg(feature = "tls")]
    #[arg(long, global = true, env = "KOLK_TLS", value_name = "CERT,KEY", value_delimiter = ';',
          num_args = 0..=1, default_missing_value = OWN, value_parser = Given::parse)]
    pub(crate) tls: Vec<Given>,

    /// Let in only clients that show a certificate of one of these authorities, PEM; watched like --tls
    #[cfg(feature = "tls")]
    #[arg(
        long,
        global = true,
        env = "KOLK_TLS_CLIENT_CA",
        value_name = "FILE",
        conflicts_with = "tls_client_ca_optional"
    )]
    pub(crate) tls_client_ca: Option<PathBuf>,

    /// The same, and clients that show none, too: a library's handlers tell them apart
    #[cfg(feature = "tls")]
    #[arg(long, global = true, env = "KOLK_TLS_CLIENT_CA_OPTIONAL", value_name = "FILE")]
    pub(crate) tls_client_ca_optional: Option<PathBuf>,

    /// Have browsers come over TLS for so long, once they have (Strict-Transport-Security): 1h, 365d;
    /// 0s takes it back
    #[cfg(feature = "tls")]
    #[arg(long, global = true, env = "KOLK_HSTS", value_name = "TIME", value_parser = duration)]
    pub(crate) hsts: Option<Duration>,

    /// Listen here, too, in the clear, and send everybody to the same place with https
    #[cfg(feature = "tls")]
    #[arg(long, global = true, env = "KOLK_REDIRECT_TO_HTTPS", value_name = "ADDR")]
    pub(crate) redirect_to_https: Option<String>,

    /// How long a whole handshake of TLS may take, from the accept: 500ms, 10s [default: 10s]
    #[cfg(feature = "tls")]
    #[arg(long, global = true, env = "KOLK_HANDSHAKE_TIMEOUT", value_name = "TIME",
          value_parser = duration)]
    pub(crate) handshake_timeout: Option<Duration>,

    /// Connections that may wait to be accepted, per worker and listener
    #[arg(long, global = true, env = "KOLK_BACKLOG", value_name = "N", default_value_t = 4096,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) backlog: u32,

    /// How long an idle connection is kept: 500ms, 75s, 2m
    #[arg(long, global = true, env = "KOLK_KEEPALIVE", value_name = "TIME", default_value = "75s",
          value_parser = duration)]
    pub(crate) keepalive: Duration,

    /// Connections at the same time, all workers together [default: what the file limit allows]
    #[arg(long, global = true, env = "KOLK_MAX_CONNECTIONS", value_name = "N", value_parser = at_least_one)]
    pub(crate) max_connections: Option<usize>,

    /// Pin each worker to a CPU of its own
    #[arg(long, global = true, env = "KOLK_PIN", value_parser = BoolishValueParser::new())]
    pub(crate) pin: bool,

    /// The access log
    #[arg(long, global = true, env = "KOLK_LOG", value_name = "FORMAT", default_value = "off")]
    pub(crate) log: Log,

    /// Append the access log to a file instead of writing it to standard output
    #[arg(long, global = true, env = "KOLK_LOG_FILE", value_name = "PATH")]
    pub(crate) log_file: Option<PathBuf>,

    /// Metrics on a listener of their own: http://ADDR/_kolk/metrics
    #[arg(long, global = true, env = "KOLK_ADMIN", value_name = "ADDR")]
    pub(crate) admin: Option<String>,

    /// Write the process's number to a file, as long as it runs
    #[arg(long, global = true, env = "KOLK_PID_FILE", value_name = "PATH")]
    pub(crate) pid_file: Option<PathBuf>,

    /// Become this user once the sockets are open (names or numbers); needs root
    #[arg(long, global = true, env = "KOLK_USER", value_name = "NAME[:GROUP]")]
    pub(crate) user: Option<String>,

    /// Print nothing but errors, whatever -v says
    #[arg(short, long, global = true, env = "KOLK_QUIET", value_parser = BoolishValueParser::new())]
    pub(crate) quiet: bool,

    /// Say more; -vv and -vvv say still more
    #[arg(short, long, global = true, env = "KOLK_VERBOSE", action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// What `PORT` says, beside a file: where to listen if nobody else says it.
    #[arg(skip)]
    pub(crate) port: Option<String>,
}

impl Serving {
    /// Which of these flags `command` makes something of, by their ids; `None`: of all.
    fn of_command(command: &str) -> Option<&'static [&'static str]> {
        match command {
            "serve" => None,
            "check" => {
                Some(&["workers", "listen", "log", "log_file", "user", "pid_file", "quiet", "verbose"])
            }
            "reload" => Some(&["admin", "pid_file", "quiet", "verbose"]),
            "top" | "why" => Some(&["admin", "quiet", "verbose"]),
            "healthcheck" => Some(&["listen", "tls", "quiet", "verbose"]),
            "doctor" => Some(&["backlog", "quiet", "verbose"]),
            _ => Some(&["quiet", "verbose"]),
        }
    }

    /// Whether flags are there that say nothing without `--tls`: the first of them.
    #[cfg(feature = "tls")]
    pub(crate) fn idle_without_tls(&self) -> Option<&'static str> {
        let flags = [
            (self.tls_client_ca.is_some(), "--tls-client-ca"),
            (self.tls_client_ca_optional.is_some(), "--tls-client-ca-optional"),
            (self.hsts.is_some(), "--hsts"),
            (self.redirect_to_https.is_some(), "--redirect-to-https"),
            (self.handshake_timeout.is_some(), "--handshake-timeout"),
        ];
        flags.iter().find(|(is_given, _)| *is_given && self.tls.is_empty()).map(|(_, flag)| *flag)
    }

    /// The file with the authorities of clients, and what is asked of these.
    #[cfg(feature = "tls")]
    pub(crate) fn clients(&self) -> Option<(&Path, ClientAuth)> {
        match (&self.tls_client_ca, &self.tls_client_ca_optional) {
            (Some(file), _) => Some((file, ClientAuth::Required)),
            (None, Some(file)) => Some((file, ClientAuth::Optional)),
            (None, None) => None,
        }
    }

    /// Whether clients must speak TLS.
    pub(crate) const fn is_encrypted(&self) -> bool {
        #[cfg(feature = "tls")]
        return !self.tls.is_empty();
        #[cfg(not(feature = "tls"))]
        false
    }
}

/// How many workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// As many as there are CPUs.
    Auto,
    /// So many.
    Exactly(usize),
}

/// The format of the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Log {
    /// For people: aligned, with the four stages' times
    Pretty,
    /// One JSON object per line
    Json,
    /// The format of Apache and nginx
    Combined,
    /// None
    Off,
}

impl Args {
    /// The definition of the command line. Every command takes every flag of [`Serving`], and its help, the
    /// man page and the completions name those that it makes something of.
    pub(crate) fn line() -> clap::Command {
        let mut line = Self::command();
        line.build();
        line.mut_subcommands(|command| {
            let counts = Serving::of_command(command.get_name());
            command.mut_args(|flag| {
                let is_idle =
                    flag.is_global_set() && counts.is_some_and(|ids| !ids.contains(&flag.get_id().as_str()));
                if is_idle { flag.hide(true) } else { flag }
            })
        })
    }

    /// The arguments and the environment of this process, which was `activated` if it was given sockets.
    ///
    /// # Errors
    /// clap's, which also carries `--help` and `--version`.
    pub(crate) fn from_process(activated: bool) -> Result<Self, clap::Error> {
        let mut command = Self::line();
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        let mut args = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        args.said = Said::of(&command, &matches);
        let said = &args.said;
        let file = match &args.command {
            Some(Command::Serve(directory)) => configured::file(Some(directory)),
            Some(Command::Check { config, .. }) => Some(config.clone()),
            Some(Command::Explain(_)) => {
                let idle = said.idle_flag().map(|flag| format!("{flag} says nothing to `kolk explain`"));
                return idle.map_or(Ok(args), |sentence| Err(conflict(sentence)));
            }
            _ => None,
        };
        let serves = matches!(args.command, None | Some(Command::Serve(_) | Command::Check { .. }));
        if serves && args.serving.log == Log::Off {
            args.warnings.extend(said.log_file_alone().map_err(conflict)?);
        }
        let port = std::env::var("PORT").ok().filter(|port| !port.is_empty());
        if let Some(file) = file {
            args.warnings.extend(said.beside(&file).map_err(conflict)?);
            args.serving.port = port;
            return Ok(args);
        }
        args.serving.resolve_listen(port.as_deref(), activated)?;
        Ok(args)
    }

    /// The file with the authorities that `kolk healthcheck` trusts.
    pub(crate) fn ca(&self) -> Option<&Path> {
        match &self.command {
            #[cfg(feature = "tls")]
            Some(Command::Healthcheck { ca, .. }) => ca.as_deref(),
            _ => None,
        }
    }
}

impl Serving {
    /// Fills in where to listen if neither flag nor variable nor a passed socket says so: the platform
    /// convention `PORT`, else the default. The address stays loopback: a port is no wish to be public.
    fn resolve_listen(&mut self, port: Option<&str>, activated: bool) -> Result<(), clap::Error> {
        if !self.listen.is_empty() || activated {
            return Ok(());
        }
        let address = match port {
            None => LISTEN.to_owned(),
            Some(port) if port.parse::<u16>().is_ok() => address_of(port),
            Some(port) => {
                let sentence =
                    format!("invalid value '{port}' for the environment variable PORT: not a port\n");
                return Err(clap::Error::raw(ErrorKind::InvalidValue, sentence));
            }
        };
        self.listen.push(address);
        Ok(())
    }
}

/// Where `PORT` means.
pub(super) fn address_of(port: &str) -> String {
    format!("127.0.0.1:{port}")
}

/// What is said on the command line and has no place there.
fn conflict(sentence: String) -> clap::Error {
    clap::Error::raw(ErrorKind::ArgumentConflict, sentence + "\n")
}

/// `auto` or a number from 1.
fn count(text: &str) -> Result<Count, String> {
    match text {
        "auto" => Ok(Count::Auto),
        _ => match text.parse() {
            Ok(workers @ 1..=1024) => Ok(Count::Exactly(workers)),
            _ => Err("neither `auto` nor a number from 1 to 1024".into()),
        },
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&number| number > 0).ok_or_else(|| "not a number from 1 up".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Args {
        Args::try_parse_from(line.split_whitespace()).unwrap()
    }

    fn refuse(line: &str) -> String {
        let error = Args::try_parse_from(line.split_whitespace()).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        error.to_string()
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_defaults() {
        let Args { command, serving, .. } = parse("kolk");
        assert_eq!(command, None);
        assert_eq!(serving.workers, Count::Auto);
        assert_eq!(serving.backlog, 4096);
        assert_eq!(serving.keepalive, Duration::from_secs(75));
        assert_eq!(serving.max_connections, None);
        assert_eq!(serving.log, Log::Off);
        assert!(!serving.pin && !serving.quiet && serving.verbose == 0);
    }

    #[test]
    fn the_flags_of_the_harness() {
        let serving = parse("kolk -q -w 1 -l 127.0.0.1:9000").serving;
        assert!(serving.quiet);
        assert_eq!(serving.workers, Count::Exactly(1));
        assert_eq!(serving.listen, ["127.0.0.1:9000"]);
    }

    #[test]
    fn flags_stand_before_or_behind_the_command() {
        for line in ["kolk -w 3 --log json serve public -l :1", "kolk serve public -w 3 -l :1 --log json"] {
            let Args { command, serving, .. } = parse(line);
            assert!(
                matches!(command, Some(Command::Serve(directory)) if directory.dir.as_deref() == Some(Path::new("public"))),
                "{line}"
            );
            assert_eq!(serving.workers, Count::Exactly(3), "{line}");
            assert_eq!(serving.listen, [":1"], "{line}");
            assert_eq!(serving.log, Log::Json, "{line}");
        }
    }

    #[test]
    fn a_url_for_the_code_is_no_directory() {
        let qr = |line| match parse(line).command {
            Some(Command::Serve(directory)) => (directory.dir, directory.qr),
            other => panic!("{other:?}"),
        };
        assert_eq!(qr("kolk serve --qr public"), (Some("public".into()), Some(String::new())));
        assert_eq!(qr("kolk serve --qr=http://a public"), (Some("public".into()), Some("http://a".into())));
    }

    #[cfg(feature = "self-signed")]
    #[test]
    fn a_folder_is_no_certificate_and_no_certificate_is_one_of_our_own() {
        let tls = |line| match parse(line) {
            Args { command: Some(Command::Serve(directory)), serving, .. } => (directory.dir, serving.tls),
            Args { serving, .. } => (None, serving.tls),
        };
        let pair = |chain: &str, key: &str| Given::Pair(chain.into(), key.into());
        assert_eq!(tls("kolk --tls"), (None, vec![Given::Own]));
        assert_eq!(tls("kolk serve public --tls"), (Some("public".into()), vec![Given::Own]));
        assert_eq!(tls("kolk serve --tls -q public"), (Some("public".into()), vec![Given::Own]));
        assert_eq!(tls("kolk serve --tls a,b public"), (Some("public".into()), vec![pair("a", "b")]));
        assert_eq!(tls("kolk serve --tls a,b;c,d"), (None, vec![pair("a", "b"), pair("c", "d")]));
        assert_eq!(tls("kolk serve --tls a,b --tls=c,d --tls").1[1..], [pair("c", "d"), Given::Own]);
        let said = refuse("kolk serve --tls public");
        assert!(said.contains("two files, as in: --tls chain.pem,key.pem; or nothing"), "{said}");
        refuse("kolk --tls serve public");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn flags_that_need_a_certificate_are_told_from_others() {
        let idle = |line| parse(line).serving.idle_without_tls();
        assert_eq!(idle("kolk --hsts 1d"), Some("--hsts"));
        assert_eq!(idle("kolk serve --redirect-to-https :80"), Some("--redirect-to-https"));
        assert_eq!(idle("kolk --tls-client-ca a"), Some("--tls-client-ca"));
        assert_eq!(idle("kolk --handshake-timeout 3s"), Some("--handshake-timeout"));
        assert_eq!(idle("kolk --tls-client-ca-optional a"), Some("--tls-client-ca-optional"));
        assert_eq!((idle("kolk"), idle("kolk --tls a,b --hsts 1d")), (None, None));
        refuse("kolk --tls-client-ca a --tls-client-ca-optional b");
    }

    #[test]
    fn listen_is_repeatable() {
        assert_eq!(parse("kolk -l :1 -l unix:/a -l [::1]:2").serving.listen, [":1", "unix:/a", "[::1]:2"]);
    }

    #[test]
    fn refusals_say_what_would_be_right() {
        assert!(refuse("kolk -w 0").contains("neither `auto` nor a number from 1"));
        assert!(refuse("kolk --keepalive 75").contains("75s"));
        assert!(refuse("kolk --log xml").contains("pretty, json, combined, off"));
        assert!(refuse("kolk --lisen :1").contains("--listen"));
        assert!(refuse("kolk --max-connections 0").contains("from 1 up"));
        assert!(refuse("kolk explain GET / --client nobody").contains("IP address"));
        assert!(refuse("kolk explain GET").contains("<URL>"));
        refuse("kolk explain GET / --json --expect a");
        refuse("kolk proxy");
    }

    #[test]
    fn port_yields_to_an_address() {
        let listen = |line: &str, port| {
            let mut serving = parse(line).serving;
            serving.resolve_listen(port, false).map(|()| serving.listen)
        };
        assert_eq!(listen("kolk", None).unwrap(), ["127.0.0.1:8080"]);
        assert_eq!(listen("kolk", Some("3000")).unwrap(), ["127.0.0.1:3000"]);
        assert_eq!(listen("kolk -l :1", Some("3000")).unwrap(), [":1"]);
        assert_eq!(listen("kolk -l 127.0.0.1:8080", Some("3000")).unwrap(), ["127.0.0.1:8080"]);
        assert_eq!(listen("kolk", Some("http")).unwrap_err().exit_code(), 2);
        let mut activated = parse("kolk").serving;
        activated.resolve_listen(Some("3000"), true).unwrap();
        assert!(activated.listen.is_empty(), "what was passed is meant");
    }

    #[test]
    fn a_command_tells_of_the_flags_that_count_there_and_takes_all() {
        let mut line = Args::line();
        let mut help = |name| line.find_subcommand_mut(name).unwrap().render_long_help().to_string();
        for (command, has, lacks) in [
            ("serve", &["--backlog", "--admin", "--log-file"][..], &[][..]),
            ("check", &["--workers", "--pid-file"], &["--backlog", "--admin"]),
            ("why", &["--admin", "--json"], &["--workers", "--listen"]),
            ("doctor", &["--backlog"], &["--listen"]),
            ("schema", &["--quiet"], &["--admin", "--workers", "--tls"]),
        ] {
            let said = help(command);
            has.iter().for_each(|flag| assert!(said.contains(flag), "{flag} of {command}: {said}"));
            lacks.iter().for_each(|flag| assert!(!said.contains(flag), "{flag} of {command}: {said}"));
        }
        let known: Vec<_> = line.get_arguments().map(|flag| flag.get_id().to_string()).collect();
        for command in line.get_subcommands().map(clap::Command::get_name) {
            for id in Serving::of_command(command).into_iter().flatten() {
                let is_left_out = cfg!(not(feature = "tls")) && *id == "tls";
                assert!(is_left_out || known.iter().any(|known| known == id), "{command}: {id}");
            }
        }
        assert!(line.try_get_matches_from_mut(["kolk", "schema", "--workers", "2"]).is_ok());
    }

    #[test]
    fn help_names_signals_and_exit_codes() {
        let help = Args::command().render_long_help().to_string();
        for part in ["Examples:", "TERM, INT", "USR1", "Exit codes:", "KOLK_KEEPALIVE", "4 cannot bind"] {
            assert!(help.contains(part), "{part} is missing in:\n{help}");
        }
    }
}
