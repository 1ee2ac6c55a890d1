//! `kolk reload`: has a running server read its file again, and says what became of it.
//!
//! ```text
//!  --admin ────► /_kolk/reload: which process? ──► HUP ──► /_kolk/reload, until an order has ended that
//!                                                          had not begun before
//!  --pid-file ─► which process? ─────────────────► HUP ──► its log says what became of it
//! ```
//! A server takes no orders from a socket: the kernel decides who may signal it. Numbers of processes mean
//! nothing on another machine and in another container, so that a process is also asked since when it is.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use kolk::{Configuration, service};
use serde_json::Value;

use super::args::Serving;
use super::check::counted;
use super::failure::{Exit, Failure};
use super::question::Question;
use super::{clock, colors, configured};

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// After which pause it is asked again, at first and at last.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// Tells the server that the flags, or else `file`, name; what to say on success. It has `wait` to answer.
pub(crate) fn reload(file: Option<&Path>, serving: &Serving, wait: Duration) -> Result<String, Failure> {
    let named = match (&serving.admin, &serving.pid_file) {
        (None, None) => Whom::of_file(file)?,
        (admin, pid_file) => Whom { admin: admin.clone(), pid_file: pid_file.clone(), advice: String::new() },
    };
    let asked = named.admin.as_deref().map(|admin| Server::at(admin, &named.advice, clock::now() + PATIENCE));
    match (asked, &named.pid_file) {
        (Some(Ok(server)), _) => server.reload(wait),
        (_, Some(path)) => hang_up_that_of(path, &named.advice),
        (Some(Err(failure)), None) => Err(failure),
        (None, None) => Err(Failure::new(Exit::Usage, "whom to tell? --admin HOST:PORT, that of the server")),
    }
}

/// Where a server is found.
struct Whom {
    admin: Option<String>,
    pid_file: Option<PathBuf>,
    /// What to do if it is not there.
    advice: String,
}

impl Whom {
    /// As the file says that it serves.
    fn of_file(file: Option<&Path>) -> Result<Self, Failure> {
        let whom = "whom to tell? --admin HOST:PORT, --pid-file PATH or -c FILE: those of the server";
        let file = match file {
            Some(file) => file,
            None => configured::found().ok_or_else(|| Failure::new(Exit::Usage, whom))?,
        };
        let read = Configuration::load(file).map_err(|errors| {
            let summary = format!("{} in {}", counted(&errors), file.display());
            let failure =
                Failure::new(Exit::Configuration, format!("{summary}: the server was told nothing"));
            failure.behind(errors.render(colors(io::stderr().is_terminal())))
        })?;
        let admin = read.server.admin.as_ref().map(|address| address.value.to_string());
        let pid_file = read.server.pid_file.as_ref().map(|path| path.value.clone());
        if admin.is_none() && pid_file.is_none() {
            let neither = format!("{} has neither `admin` nor `pid_file`: whom to tell?", file.display());
            return Err(Failure::new(Exit::Usage, neither));
        }
        let advice = format!(
            " If {} says another `admin` or `pid_file` than at the start: --admin or --pid-file \
             with the former",
            file.display()
        );
        Ok(Self { admin, pid_file, advice })
    }
}

/// A server that says which process it is.
struct Server {
    question: Question,
    process: u32,
    /// When it began, where its system says so.
    began: Option<u64>,
    /// How many orders have begun.
    orders: u64,
}

impl Server {
    /// The one whose admin listener is at `address`; `advice`: what to do if there is none.
    fn at(address: &str, advice: &str, until: Instant) -> Result<Self, Failure> {
        let question = Question::parse(address)?.for_path("/_kolk/reload");
        let told = ask(&question, until).map_err(|error| {
            let whose = "is it the admin listener of a running kolk?";
            let why = format!("cannot ask {question}: {error}: {whose}{advice}");
            Failure::new(Exit::Runtime, why)
        })?;
        let process = told["process"].as_u64().and_then(|number| u32::try_from(number).ok());
        let (Some(process), Some(orders)) = (process, told["orders"].as_u64()) else {
            let why = format!("{question} does not answer as kolk does");
            return Err(Failure::new(Exit::Runtime, why));
        };
        Ok(Self { question, process, began: told["began"].as_u64(), orders })
    }

    fn reload(&self, wait: Duration) -> Result<String, Failure> {
        let began = clock::now();
        if !self.is_here() {
            let why = format!(
                "the server at {} does not run here: its process {} is another machine's, or a container's: \
                 signal HUP there",
                self.question, self.process
            );
            return Err(Failure::new(Exit::Runtime, why));
        }
        hang_up(self.process, "only root and its own user may")?;
        let outcome = self.outcome(began + wait, wait)?;
        let millis = (clock::now() - began).as_millis();
        if outcome["took_effect"] == Value::Bool(true) {
            let waits = outcome["waits"].as_array().map(Vec::as_slice).unwrap_or_default();
            let lines: String = waits.iter().map(|line| format!("  {}\n", shown(line))).collect();
            let rest = if lines.is_empty() { "" } else { "; what needs a restart:" };
            return Ok(format!("took effect in {millis} ms{rest}\n{lines}"));
        }
        let refused = Failure::new(Exit::Configuration, "refused: what was served before still is");
        Err(refused.behind(shown(&outcome["why"])))
    }

    /// What became of the first order that had not begun before; nothing later than `until`.
    fn outcome(&self, until: Instant, wait: Duration) -> Result<Value, Failure> {
        let (_open, never) = mpsc::channel::<()>();
        let mut pause = PAUSE_MIN;
        while clock::now() < until {
            match ask(&self.question, until.min(clock::now() + PATIENCE)) {
                Ok(told) if told["process"].as_u64() != Some(self.process.into()) => {
                    return Err(self.lost("another one answers in its place"));
                }
                Ok(mut told) if told["outcome"]["order"].as_u64() > Some(self.orders) => {
                    return Ok(told["outcome"].take());
                }
                Err(_) if !self.is_here() => return Err(self.lost("it has ended")),
                // One that is busy is asked again.
                Ok(_) | Err(_) => {}
            }
            let _ = never.recv_timeout(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
        let seconds = wait.as_secs_f64();
        Err(self.lost(&format!("after {seconds} s it has not said what became of it: its log will")))
    }

    fn lost(&self, what: &str) -> Failure {
        Failure::new(Exit::Runtime, format!("process {} was told, and {what}", self.process))
    }

    /// Whether its process is the one that has its number here.
    fn is_here(&self) -> bool {
        match self.began {
            Some(began) => service::began(self.process) == Some(began),
            None => self.question.is_local(),
        }
    }
}

/// Signals the process whose number is in the file at `path`; `advice`: what to do if there is none.
fn hang_up_that_of(path: &Path, advice: &str) -> Result<String, Failure> {
    let shown = path.display();
    let process = service::process_in(path).map_err(|error| {
        Failure::new(Exit::Runtime, format!("cannot read {shown}: {error}: does the server run?{advice}"))
    })?;
    let process = process.ok_or_else(|| {
        Failure::new(Exit::Runtime, format!("{shown} has no number of a process: is it a pid file?"))
    })?;
    if let Some(program) = service::program(process).filter(|program| !is_kolk(program)) {
        let why = format!(
            "process {process}, whose number {shown} has, is `{program}` and no kolk, and was told nothing: \
             does the server run?"
        );
        return Err(Failure::new(Exit::Runtime, why));
    }
    hang_up(process, &format!("does the server run that has written {shown}?"))?;
    Ok(format!("process {process} was told; its log says what became of it, and with --admin this command\n"))
}

/// Whether a program of this name is one like this: a file of another version may be called otherwise.
fn is_kolk(program: &str) -> bool {
    program.starts_with("kolk") || service::program(std::process::id()).as_deref() == Some(program)
}

fn hang_up(process: u32, advice: &str) -> Result<(), Failure> {
    service::hang_up(process).map_err(|error| {
        Failure::new(Exit::Runtime, format!("cannot signal process {process}: {error}: {advice}"))
    })
}

fn ask(question: &Question, until: Instant) -> io::Result<Value> {
    let page = question.page(until)?;
    serde_json::from_str(&page).map_err(|_| io::Error::other("its answer is no JSON"))
}

/// As a terminal shows it: lines, and nothing that moves its cursor.
fn shown(text: &Value) -> String {
    let shown = |sign: char| match sign.is_control() && sign != '\n' {
        true => sign.escape_default().to_string(),
        false => sign.into(),
    };
    text.as_str().unwrap_or_default().chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;

    fn refused(result: Result<String, Failure>) -> String {
        format!("{:?}", result.unwrap_err())
    }

    #[test]
    fn a_pid_file_has_the_number_of_one_process_and_nothing_else() {
        let folder = Scratch::new("reload-pid");
        let path = folder.join("kolk.pid");
        assert!(refused(hang_up_that_of(&path, "")).contains("does the server run?"));
        for text in ["", "kolk", "1 2", "-1", "4294967296"] {
            folder.put("kolk.pid", text);
            assert!(refused(hang_up_that_of(&path, "")).contains("has no number of a process"), "{text}");
        }
        for group in ["0\n", "4294967295\n"] {
            folder.put("kolk.pid", group);
            assert!(refused(hang_up_that_of(&path, "")).contains("cannot signal process"), "{group}");
        }
    }

    #[test]
    fn a_process_that_is_no_kolk_is_not_signalled() {
        if service::program(std::process::id()).is_none() {
            // Here nobody says what a process is.
            return;
        }
        let folder = Scratch::new("reload-other");
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        folder.put("kolk.pid", format!("{}\n", other.id()));
        let said = refused(hang_up_that_of(&folder.join("kolk.pid"), ""));
        let lives_on = other.try_wait().unwrap().is_none();
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(said.contains("and no kolk, and was told nothing"), "{said}");
        assert!(lives_on);
    }

    #[test]
    fn what_a_server_says_moves_no_cursor() {
        assert_eq!(shown(&Value::from("a\n \u{1b}[2Jb")), "a\n \\u{1b}[2Jb");
        assert_eq!(shown(&Value::Null), "");
    }

    #[test]
    fn a_process_of_the_same_number_is_not_the_same_process() {
        let question = Question::parse("192.0.2.1:80").unwrap();
        let server =
            |began| Server { question: question.clone(), process: std::process::id(), began, orders: 0 };
        let own = service::began(std::process::id());
        assert!(own.is_none() || server(own).is_here());
        assert!(!server(Some(1)).is_here());
        assert!(refused(server(Some(1)).reload(PATIENCE)).contains("does not run here"));
        assert!(!server(None).is_here(), "it is asked elsewhere, and says no more than a number");
    }
}
