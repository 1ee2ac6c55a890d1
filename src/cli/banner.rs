//! [`Banner`]: what a person reads when the server has started, and the lines that a script reads.
//!
//! ```text
//!  stderr, for people          stdout, for scripts
//!  kolk 0.1.0                  listening http://127.0.0.1:8080
//!    http://127.0.0.1:8080
//!    2 workers · …
//! ```

use std::fmt;

/// The facts of a start.
#[derive(Debug)]
pub(crate) struct Banner<'b> {
    /// Every address that is listened on, as a URL.
    pub(crate) listening: &'b [String],
    /// The URL of the admin listener.
    pub(crate) admin: Option<&'b str>,
    /// The URL of the listener that sends visitors to https.
    pub(crate) redirect: Option<&'b str>,
    /// What to know of the certificate that kolk has made itself.
    pub(crate) own: Option<&'b str>,
    /// How many workers turn.
    pub(crate) workers: usize,
    /// What is served, in half a sentence.
    pub(crate) serving: &'b str,
    /// Whether it is the built-in site, which has routes to try.
    pub(crate) builtin: bool,
    /// Whether to use colours.
    pub(crate) color: bool,
}

impl Banner<'_> {
    /// The lines for scripts, one per listener.
    pub(crate) fn script_lines(&self) -> String {
        self.listening.iter().map(|address| format!("listening {address}\n")).collect()
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.paint("1", concat!("kolk ", env!("CARGO_PKG_VERSION")));
        writeln!(f, "\n  {name}  {}\n", self.serving)?;
        for address in self.listening {
            writeln!(f, "  {}", self.paint("1;36", address))?;
        }
        if let Some(admin) = self.admin {
            writeln!(f, "  {admin}/_kolk/metrics")?;
        }
        if let Some(redirect) = self.redirect {
            writeln!(f, "  {redirect}  {}", self.paint("2", "sends to https"))?;
        }
        if let Some(own) = self.own {
            writeln!(f, "\n  {}", self.paint("2", own))?;
        }
        let workers = if self.workers == 1 { "worker" } else { "workers" };
        let facts = format!("{} {workers} · Ctrl-C drains, twice stops at once", self.workers);
        writeln!(f, "\n  {}", self.paint("2", &facts))?;
        if let Some(url) = self.listening.iter().find_map(|address| to_open(address)).filter(|_| self.builtin)
        {
            writeln!(f, "\n  {}  open {url} in a browser", self.paint("2", "try"))?;
            // Nobody trusts the certificate that kolk has just made.
            let flags = if self.own.is_some() { "-ik" } else { "-i" };
            writeln!(f, "       curl {flags} {url}/json")?;
            writeln!(f, "       wrk -c 64 -d 5 {url}/plaintext")?;
        }
        writeln!(f)
    }
}

/// What to type into a browser for `address`: nobody can open "every address".
pub(crate) fn to_open(address: &str) -> Option<String> {
    address
        .starts_with("http")
        .then(|| address.replace("//[::]:", "//localhost:").replace("//0.0.0.0:", "//localhost:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner(listening: &[String], color: bool) -> Banner<'_> {
        let serving = "the built-in site";
        let (admin, redirect, own) = (None, None, None);
        Banner { listening, admin, redirect, own, workers: 2, serving, builtin: true, color }
    }

    #[test]
    fn people_read_where_and_what_to_try() {
        let listening = ["http://127.0.0.1:8080".to_owned(), "unix:/run/k".to_owned()];
        let text = banner(&listening, false).to_string();
        for part in [
            concat!("kolk ", env!("CARGO_PKG_VERSION")),
            "  http://127.0.0.1:8080\n",
            "  unix:/run/k\n",
            "2 workers",
            "curl -i http://127.0.0.1:8080/json",
        ] {
            assert!(text.contains(part), "{part:?} is missing in:\n{text}");
        }
        assert!(!text.contains('\x1b'));
        assert!(banner(&listening, true).to_string().contains("\x1b[1;36mhttp://127.0.0.1:8080\x1b[0m"));
    }

    #[test]
    fn scripts_read_one_line_per_listener() {
        let listening = ["http://[::1]:1".to_owned(), "unix:/run/k".to_owned()];
        assert_eq!(
            banner(&listening, true).script_lines(),
            "listening http://[::1]:1\nlistening unix:/run/k\n"
        );
    }

    #[test]
    fn a_certificate_of_our_own_is_shown_and_not_asked_for() {
        let listening = ["https://127.0.0.1:8443".to_owned()];
        let (redirect, own) = (Some("http://[::]:80"), Some("certificate of our own"));
        let text = Banner { redirect, own, ..banner(&listening, false) }.to_string();
        for part in ["http://[::]:80  sends to https", "  certificate of our own\n", "curl -ik https://127."]
        {
            assert!(text.contains(part), "{part:?} is missing in:\n{text}");
        }
    }

    #[test]
    fn every_address_is_opened_as_localhost() {
        let text = banner(&["http://[::]:80".to_owned()], false).to_string();
        assert!(text.contains("  http://[::]:80\n") && text.contains("open http://localhost:80 "), "{text}");
    }

    #[test]
    fn a_socket_file_alone_is_not_tried_with_curl() {
        let text = banner(&["unix:/run/k".to_owned()], false).to_string();
        assert!(text.contains("unix:/run/k") && !text.contains("curl"));
    }
}
