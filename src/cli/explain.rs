//! `kolk explain`: what would become of a request, and which lines of the configuration file say so; and
//! whether that is what was expected.
//!
//! A URL is asked for as clients do: what stands for a user and a password is in `Authorization`, and bytes
//! that no target has are escaped. RFC 9110 §4.2.4, RFC 3986 §2.1.
//!
//! An expectation is what `kolk explain` has printed before. Compared is what was decided: in which lines of
//! the file it stands (all behind `  # `) and how far things are apart is not.

use std::fs;
use std::io::{self, IsTerminal as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::http::header::AUTHORIZATION;
use ::http::{HeaderName, HeaderValue, Method, Request, Uri};
use base64ct::{Base64, Encoding as _};
use clap::Args as ClapArgs;
use kolk::{Certificate, Configuration};

use super::failure::{Exit, Failure};
use super::{check, colors, print, terminal};

/// What precedes the place of a decision.
const PLACE: &str = "  # ";

/// The request, and how it is told.
#[derive(Clone, Debug, PartialEq, Eq, ClapArgs)]
pub(crate) struct Explain {
    /// The method: GET, POST, ...
    method: String,

    /// The URL: http://HOST/PATH or https://HOST/PATH
    url: String,

    /// A field of the request; repeatable. With https the connection is for the host of the URL, and the
    /// request for that of `Host`
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// Who asks
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    client: IpAddr,

    /// The common name of the certificate that the client shows
    #[arg(long, value_name = "NAME")]
    client_subject: Option<String>,

    /// The configuration file
    #[arg(short, long, env = "KOLK_CONFIG", value_name = "FILE", default_value = "kolk.toml")]
    config: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Print nothing but what differs from this file, which holds what was printed before: exit code 1 if
    /// anything does. The places in the configuration file may differ
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    expect: Option<PathBuf>,
}

/// Tells, or compares.
///
/// # Errors
/// If there is no such request, if the configuration file is wrong, or if files cannot be read or written.
pub(super) fn explain(asked: &Explain) -> Result<ExitCode, Failure> {
    let request = request(asked)?;
    let certificate = asked.client_subject.as_deref().map(Certificate::unsigned);
    let explained =
        |configuration: Configuration| configuration.explain_to(request, asked.client, certificate);
    let explanation = match Configuration::load(&asked.config).and_then(explained) {
        Ok(explanation) => explanation,
        Err(errors) => return Ok(check::refused(&asked.config, &errors)),
    };
    let text = if asked.json { explanation.to_json() } else { explanation.to_string() };
    match &asked.expect {
        Some(file) => compare(file, &text),
        None => print(text.as_bytes()).map(|()| ExitCode::SUCCESS),
    }
}

fn request(asked: &Explain) -> Result<Request<()>, Failure> {
    let refuse = |what: &str, why: &str| Failure::new(Exit::Usage, format!("cannot ask {what}: {why}"));
    let Explain { method, url, headers, .. } = asked;
    let method: Method = method.parse().map_err(|_| refuse(method, "this is no method, as GET is one"))?;
    let (sent, userinfo) = as_clients_ask(url);
    let uri: Uri = sent.parse().map_err(|error: ::http::uri::InvalidUri| refuse(url, &error.to_string()))?;
    let is_known = uri.scheme_str().is_none_or(|scheme| matches!(scheme, "http" | "https"));
    if !is_known || (uri.scheme().is_none() && uri.authority().is_some()) {
        return Err(refuse(url, "a URL begins with http:// or https://, as in http://example.com/"));
    }
    let mut request = Request::new(());
    (*request.method_mut(), *request.uri_mut()) = (method, uri);
    for line in headers {
        let field = line.split_once(':').and_then(|(name, value)| {
            Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?))
        });
        let (name, value) = field.ok_or_else(|| refuse(line, "write a field as in -H 'Name: value'"))?;
        request.headers_mut().append(name, value);
    }
    if let Some(value) = userinfo.filter(|_| !request.headers().contains_key(AUTHORIZATION)) {
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

/// The URL without what stands for a user, with escapes where a target has none of such bytes; and the field
/// that the user is in.
fn as_clients_ask(url: &str) -> (String, Option<HeaderValue>) {
    let behind_scheme = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(behind_scheme);
    let authority_bytes = match scheme {
        "" => 0,
        _ => rest.find(['/', '?', '#']).unwrap_or(rest.len()),
    };
    let (authority, target) = rest.split_at(authority_bytes);
    let (userinfo, host) = match authority.rsplit_once('@') {
        Some((userinfo, host)) => (Some(userinfo), host),
        None => (None, authority),
    };
    let mut sent = format!("{scheme}{host}");
    for byte in target.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'`' | b'{' | b'}' | 0x80.. => sent += &format!("%{byte:02X}"),
            byte => sent.push(char::from(byte)),
        }
    }
    (sent, userinfo.and_then(credentials))
}

/// `Authorization` of `USER:PASSWORD`, or of a user without a password. RFC 7617.
fn credentials(userinfo: &str) -> Option<HeaderValue> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let plain = [&*unescaped(user), b":", &*unescaped(password)].concat();
    HeaderValue::try_from(format!("Basic {}", Base64::encode_string(&plain))).ok()
}

/// The bytes that `text` stands for.
fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => bytes.extend([&[byte], &part.as_bytes()[2..]].concat()),
            None => bytes.extend([b"%", part.as_bytes()].concat()),
        }
    }
    bytes
}

/// Whether `text` decides what the file says.
fn compare(file: &Path, text: &str) -> Result<ExitCode, Failure> {
    let expected = fs::read_to_string(file)
        .map_err(|error| Failure::new(Exit::Usage, format!("cannot read {}: {error}", file.display())))?;
    if expected.trim_start().starts_with('{') {
        let message = format!("{} is JSON: expected is what is printed without --json", file.display());
        return Err(Failure::new(Exit::Usage, message));
    }
    let Some(difference) = difference(&expected, text) else { return Ok(ExitCode::SUCCESS) };
    let (red, green, plain) = match colors(io::stderr().is_terminal()) {
        true => ("\x1b[31m", "\x1b[32m", "\x1b[0m"),
        false => ("", "", ""),
    };
    let mut message = format!("kolk: not what {} expects (- expected, + is)\n", file.display());
    for line in difference {
        message += &match line {
            Line::Same(line) => format!("  {line}\n"),
            Line::Missing(line) => format!("{red}- {line}{plain}\n"),
            Line::New(line) => format!("{green}+ {line}{plain}\n"),
        };
    }
    terminal::say(&message);
    Ok(ExitCode::from(Exit::Runtime as u8))
}

/// A line of a comparison, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'t> {
    Same(&'t str),
    Missing(&'t str),
    New(&'t str),
}

/// How the texts differ, if they do in what was decided: the longest lines in common stay.
fn difference<'t>(expected: &'t str, is: &'t str) -> Option<Vec<Line<'t>>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (lines(expected), lines(is));
    let same = |one: usize, other: usize| decided(old[one]).eq(decided(new[other]));
    // How many lines behind these two places are in common.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for one in (0..old.len()).rev() {
        for other in (0..new.len()).rev() {
            common[one][other] = match same(one, other) {
                true => common[one + 1][other + 1] + 1,
                false => common[one + 1][other].max(common[one][other + 1]),
            };
        }
    }
    if common[0][0] == old.len() && old.len() == new.len() {
        return None;
    }
    let (mut one, mut other, mut difference) = (0, 0, Vec::new());
    while one < old.len() || other < new.len() {
        if one < old.len() && other < new.len() && same(one, other) {
            difference.push(Line::Same(new[other]));
            (one, other) = (one + 1, other + 1);
        } else if other == new.len() || (one < old.len() && common[one + 1][other] >= common[one][other + 1])
        {
            difference.push(Line::Missing(old[one]));
            one += 1;
        } else {
            difference.push(Line::New(new[other]));
            other += 1;
        }
    }
    Some(difference)
}

/// The lines that say something.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect()
}

/// The words of a decision, without its place.
fn decided(line: &str) -> impl Iterator<Item = &str> {
    line.rsplit_once(PLACE).map_or(line, |(decision, _)| decision).split_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_asked_for_as_clients_do() {
        for (url, sent, field) in [
            ("http://a/x<y>{\"z\"}`", "http://a/x%3Cy%3E%7B%22z%22%7D%60", None),
            ("http://a/\u{fc}?\u{fc}=%C3%BC", "http://a/%C3%BC?%C3%BC=%C3%BC", None),
            ("http://u:p@a:80/@?b=http://c@d", "http://a:80/@?b=http://c@d", Some("Basic dTpw")),
            ("https://u%40a:%3a%zz@a", "https://a", Some("Basic dUBhOjoleno=")),
            ("http://u@a", "http://a", Some("Basic dTo=")),
            ("/a:b@c", "/a:b@c", None),
        ] {
            let field = field.map(HeaderValue::from_static);
            assert_eq!(as_clients_ask(url), (sent.to_owned(), field), "{url}");
        }
    }

    #[test]
    fn places_and_columns_may_change_and_decisions_may_not() {
        let before =
            "GET /\n\nhandle\n  route   GET /            # kolk.toml:3\n  action  respond with 200\n";
        let moved =
            "GET /\nhandle\n  route        GET /  # other.toml:7\n  action       respond with 200  # a:1\n";
        assert_eq!(difference(before, moved), None);
        let other = moved.replace("200", "204");
        assert_eq!(
            difference(before, &other).unwrap(),
            [
                Line::Same("GET /"),
                Line::Same("handle"),
                Line::Same("  route        GET /  # other.toml:7"),
                Line::Missing("  action  respond with 200"),
                Line::New("  action       respond with 204  # a:1"),
            ]
        );
        assert_eq!(difference("a\nb\n", "b\n").unwrap(), [Line::Missing("a"), Line::Same("b")]);
        assert_eq!(difference("", "b\n").unwrap(), [Line::New("b")]);
    }
}
