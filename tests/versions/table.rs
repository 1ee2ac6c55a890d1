//! THE TABLE: exchanges, told without a word about a version.

use crate::Pairs;
use crate::site::LARGE_BYTES;

/// A question.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) host: String,
    pub(crate) fields: Pairs,
    pub(crate) content: Content,
    /// What it has to be answered with.
    pub(crate) status: u16,
    /// Why the answers may differ.
    pub(crate) apart: Apart,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Nothing,
    /// With its length in the head.
    Whole(Vec<u8>),
    /// Without; and the fields behind it.
    Pieces(Vec<Vec<u8>>, Pairs),
}

/// A difference that is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Apart {
    /// None.
    Never,
    /// What the handler sees.
    Body(&'static str),
}

impl Exchange {
    pub(crate) fn expects(&self) -> bool {
        self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("expect"))
    }

    /// What it is called where it fails.
    pub(crate) fn name(&self) -> String {
        let target: String = self.target.chars().take(60).collect();
        let fields: Vec<String> = self.fields.iter().take(4).map(|(name, _)| name.clone()).collect();
        format!("{} {target} {fields:?}", self.method)
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    fn whole(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.content = Content::Whole(body.into());
        self
    }

    fn pieces(mut self, pieces: &[&[u8]], trailer: &[(&str, &str)]) -> Self {
        let trailer = trailer.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.content =
            Content::Pieces(pieces.iter().map(|piece| piece.to_vec()).collect(), trailer.collect());
        self
    }

    fn apart(mut self, apart: Apart) -> Self {
        self.apart = apart;
        self
    }
}

fn ask(method: &str, target: &str, status: u16) -> Exchange {
    Exchange {
        method: method.to_owned(),
        target: target.to_owned(),
        host: "example.org:8080".to_owned(),
        fields: Vec::new(),
        content: Content::Nothing,
        status,
        apart: Apart::Never,
    }
}

fn get(target: &str, status: u16) -> Exchange {
    ask("GET", target, status)
}

/// All of them: each GET also as a HEAD, which has no ranges (RFC 9110 §14.2).
pub(crate) fn exchanges() -> Vec<Exchange> {
    let mut all = heads();
    let as_heads: Vec<Exchange> = [heads(), answers(), files()]
        .concat()
        .into_iter()
        .filter(|exchange| exchange.method == "GET")
        .map(|exchange| {
            let has_range = exchange.fields.iter().any(|(name, _)| name == "Range");
            let status = if has_range { 200 } else { exchange.status };
            Exchange { method: "HEAD".to_owned(), status, ..exchange }
        })
        .collect();
    all.extend(answers());
    all.extend(files());
    all.extend(bodies());
    all.extend(uploads());
    all.extend(refusals());
    all.extend(rewrites());
    all.extend(passed());
    all.extend(as_heads);
    all
}

/// What a head may say.
fn heads() -> Vec<Exchange> {
    let many = (0..90).fold(get("/see/many/", 200), |ask, at| ask.with(&format!("X-Field-{at}"), "v"));
    let mut bracketed = get("/see/ipv6/x", 200);
    bracketed.host = "[::1]:8080".to_owned();
    let mut bare = get("/see/bare/x", 200);
    bare.host = "example.org".to_owned();
    vec![
        get("/see/name/rest/of/it?q=a%20b+c&q=2", 200),
        get("/see/a%2Fb/%41%C3%A4/./x/../y//z", 200),
        get("/see/name/?", 200),
        get("/see/name/x?q", 200),
        get("/see/name/~tilde;param=1,2'()*!$&=@:", 200),
        get("/see/f/x", 200)
            .with("X-One", "1")
            .with("x-two", "2")
            .with("X-ONE", "1 again")
            .with("X-Empty", ""),
        get("/see/f/x", 200)
            .with("User-Agent", "a b  c\td")
            .with("Accept", "*/*")
            .with("Accept", "text/html"),
        get("/see/utf8/x", 200).with("X-Text", "Gr\u{fc}\u{df}e"),
        get("/see/cookie/x", 200).with("Cookie", "a=1; b=2"),
        get("/see/cookie/x", 200).with("Cookie", "a=1").with("X-Between", "x").with("Cookie", "b=2").apart(
            Apart::Body("RFC 9113 §8.2.3: crumbs of cookies are joined in HTTP/2, and two fields in HTTP/1"),
        ),
        get("/see/priority/x", 200).with("Priority", "u=1, i"),
        get("/see/te/x", 200).with("TE", "trailers"),
        get("/see/forwarded/x", 200).with("Forwarded", "for=a").with("X-Forwarded-For", "192.0.2.1"),
        many,
        bracketed,
        bare,
        ask("OPTIONS", "*", 204),
        ask("OPTIONS", "/see/name/x", 204),
        ask("DELETE", "/collect", 200),
        ask("PATCH", "/collect", 200).whole("patch"),
        ask("TRACE", "/collect", 405),
    ]
}

/// What another route answers: at once, later, behind layers that wait, with and without a body.
fn rewrites() -> Vec<Exchange> {
    vec![
        get("/rewritten/see/name/rest%2Fof/it?q=a%20b+c", 200),
        get("/rewritten/rewritten/see/name/x", 200),
        ask("POST", "/rewritten/collect?q=1", 200).whole("some text"),
        ask("POST", "/rewritten/collect", 200).pieces(&[b"in ", b"pieces"], &[("X-Sum", "1")]),
        ask("POST", "/rewritten/stream", 200).pieces(&[b"in ", b"pieces"], &[]),
        ask("POST", "/rewritten/stream", 409).whole("stop it"),
        ask("POST", "/rewritten/narrow", 413).whole("more than ten bytes"),
        get("/rewritten/blocking", 200),
        get("/rewritten/later", 200),
        get("/rewritten/later/never", 500),
        get("/rewritten/again", 200),
        get("/rewritten/overdue/", 504),
        get("/rewritten/private", 401),
        get("/rewritten/fixed", 200),
        get("/rewritten/held/see/ada", 200),
        get("/rewritten/held/fixed", 200),
        ask("PUT", "/rewritten/held/collect", 200).whole("held"),
        get("/rewritten/held/barred/", 403),
        get("/rewritten/files/small.txt", 200),
        get("/rewritten/files/sub?a", 308),
        get("/rewritten/nowhere", 404),
        get("/round", 500),
        ask("OPTIONS", "/rewritten/see/name/x", 204),
        ask("PUT", "/rewritten/see/name/x", 405),
    ]
}

/// Routes that fit, and what is asked where they do not.
fn passed() -> Vec<Exchange> {
    let two = || ask("OPTIONS", "/passed/at/x", 204).with("Origin", "https://app.example");
    vec![
        ask("POST", "/passed/form", 201),
        get("/passed/form", 200),
        ask("HEAD", "/passed/form", 200),
        ask("PUT", "/passed/form", 405),
        ask("OPTIONS", "/passed/form", 204),
        ask("BREW", "/passed/form", 501),
        get("/passed/at/x", 206),
        get("/passed/at/x", 206).with("X-Version", "3"),
        ask("POST", "/passed/at/x", 202).with("X-Version", "1"),
        ask("PUT", "/passed/at/x", 404).with("X-Version", "1"),
        ask("PUT", "/passed/at/x", 203).with("X-Version", "2").with("X-Version", "1"),
        ask("PUT", "/passed/at/x", 404),
        ask("BREW", "/passed/at/x", 404),
        two()
            .with("Access-Control-Request-Method", "PUT")
            .with("Access-Control-Request-Headers", "x-version"),
        two().with("Access-Control-Request-Method", "GET"),
    ]
}

/// What an answer may be.
fn answers() -> Vec<Exchange> {
    let statuses = [200, 201, 203, 204, 206, 301, 304, 400, 404, 418, 451, 500, 503, 599];
    let mut all: Vec<Exchange> =
        statuses.into_iter().map(|code| get(&format!("/status/{code}"), code)).collect();
    for target in ["/fixed", "/fixed/large", "/static", "/large", "/closing", "/fields", "/channel"] {
        all.push(get(target, 200));
    }
    for name in ["known", "unknown", "large", "nothing", "zero", "trailer", "only-trailer", "file"] {
        all.push(get(&format!("/source/{name}"), 200));
        all.push(get(&format!("/source/{name}"), 200).with("TE", "trailers"));
    }
    for accepted in ["", "br", "gzip", "zstd", "gzip;q=0"] {
        for (name, status) in [
            ("short", 200),
            ("whole", 200),
            ("large", 200),
            ("stream", 200),
            ("known", 200),
            ("status/206", 206),
            ("status/404", 404),
            ("kept", 200),
        ] {
            let path = format!("/packed/{name}");
            all.push(get(&path, status).with("Accept-Encoding", accepted));
            all.push(get(&path, status).with("Accept-Encoding", accepted).with("TE", "trailers"));
            all.push(ask("HEAD", &path, status).with("Accept-Encoding", accepted));
        }
    }
    all.extend([
        get("/fixed/empty", 204),
        get("/moved", 302),
        get("/none", 404),
        get("/panic", 500),
        get("/blocking", 200),
        get("/later", 200),
        get("/later/stream", 200).with("TE", "trailers"),
        get("/later/never", 500),
        get("/again", 200),
        get("/overdue/", 504),
        get("/private", 401),
        get("/private", 200).with("Authorization", "Basic YWRhOnBhc3N3b3Jk"),
        get("/private", 401).with("Authorization", "Basic YWRhOndyb25n"),
        get("/cors", 200).with("Origin", "https://app.example"),
        get("/cors", 200).with("Origin", "https://elsewhere.example"),
        ask("OPTIONS", "/cors", 204)
            .with("Origin", "https://app.example")
            .with("Access-Control-Request-Method", "PUT")
            .with("Access-Control-Request-Headers", "x-one"),
        ask("POST", "/fixed", 405),
        ask("POST", "/fixed", 405).whole("not wanted"),
        ask("BREW", "/fixed", 501),
        ask("DELETE", "/none", 404),
    ]);
    all
}

fn files() -> Vec<Exchange> {
    let date = "Tue, 14 Nov 2023 22:13:20 GMT";
    let mut all = vec![
        get("/files/small.txt", 200),
        get("/files/large.bin", 200),
        get("/files/page.html", 200),
        get("/files/sub", 308),
        get("/files/sub/", 200),
        get("/files/none.txt", 404),
        get("/files/.hidden", 404),
        get("/files/small.txt", 304).with("If-Modified-Since", date),
        get("/files/small.txt", 304).with("If-None-Match", "*"),
        get("/files/small.txt", 412).with("If-Match", "\"another\""),
        get("/files/small.txt", 412).with("If-Unmodified-Since", "Tue, 14 Nov 2000 22:13:20 GMT"),
        ask("PUT", "/files/small.txt", 405).whole("x"),
    ];
    for range in ["bytes=2-4", "bytes=-3", "bytes=5-", "bytes=0-0"] {
        all.push(get("/files/small.txt", 206).with("Range", range));
    }
    all.push(get("/files/small.txt", 416).with("Range", "bytes=10-"));
    all.push(get("/files/large.bin", 206).with("Range", "bytes=100000-999999"));
    all.push(get("/files/small.txt", 206).with("Range", "bytes=2-4").with("If-Range", date));
    for coding in ["gzip", "br", "br;q=0.5, gzip", "identity", "zstd", ""] {
        all.push(get("/files/app.js", 200).with("Accept-Encoding", coding));
        all.push(get("/files/page.html", 200).with("Accept-Encoding", coding));
    }
    all
}

/// Ways of a body to the handler.
fn bodies() -> Vec<Exchange> {
    let large: Vec<u8> = (0..LARGE_BYTES).map(|at| (at >> 3).to_le_bytes()[0]).collect();
    let mut all = Vec::new();
    for target in [
        "/collect",
        "/stream",
        "/blocking",
        "/later",
        "/again",
        "/held/collect",
        "/held/blocking",
        "/held/stream",
        "/held/again",
    ] {
        let post = || ask("POST", target, 200).with("Content-Type", "text/plain");
        all.push(post());
        all.push(post().whole(""));
        all.push(post().whole("whole"));
        all.push(post().pieces(&[], &[]));
        all.push(post().pieces(&[b"one", b"two", b"three"], &[]));
        all.push(post().pieces(&[b"one", b"two"], &[("X-Sum", "6"), ("x-other", "o")]));
        all.push(post().pieces(&[], &[("x-sum", "0")]));
        all.push(post().whole("awaited").with("Expect", "100-continue"));
        all.push(post().pieces(&[b"awa", b"ited"], &[]).with("Expect", "100-Continue"));
        all.push(ask("PUT", target, 200).whole("put"));
        all.push(get(target, 200).whole("with a GET"));
    }
    for target in ["/wide", "/stream", "/held/stream"] {
        all.push(ask("POST", target, 200).whole(large.clone()));
        all.push(
            ask("POST", target, 200).pieces(&large.chunks(70_001).collect::<Vec<_>>(), &[("x-sum", "1")]),
        );
    }
    all.extend([
        ask("POST", "/stream", 409).whole("stop it"),
        ask("POST", "/stream", 409).whole([b"stop".to_vec(), large].concat()),
        get("/held/fixed", 200),
        get("/held/see/name", 200),
        ask("POST", "/held/barred/", 403).whole("x"),
        ask("POST", "/held/barred/", 403).pieces(&[b"x", b"y"], &[]),
        ask("POST", "/held/barred/", 403).whole("x").with("Expect", "100-continue"),
        ask("POST", "/held/narrow", 413).whole("0123456789a"),
        ask("POST", "/held/narrow", 413).pieces(&[b"01234", b"56789", b"a"], &[]),
        ask("POST", "/overdue/", 504).whole("x"),
        ask("POST", "/overdue/", 504).pieces(&[b"x", b"y"], &[]),
        ask("POST", "/overdue/", 504).whole("x").with("Expect", "100-continue"),
        ask("POST", "/overdue/stream", 504).whole("x"),
        ask("POST", "/overdue/stream", 504).pieces(&[b"x", b"y"], &[]),
        ask("POST", "/overdue/stream", 200),
        ask("POST", "/refuse", 403).whole("x"),
        ask("POST", "/refuse", 403).pieces(&[b"x"], &[]),
        ask("POST", "/refuse", 403).whole("x").with("Expect", "100-continue"),
    ]);
    all
}

fn uploads() -> Vec<Exchange> {
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nfirst\r\n\
                --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"b.txt\"\r\n\r\nsecond\r\n--b--\r\n";
    let multipart = "multipart/form-data; boundary=b";
    vec![
        ask("PUT", "/upload/x.txt", 201).whole("new"),
        ask("PUT", "/upload/x.txt", 204).whole("replaced"),
        ask("PUT", "/upload/x.txt", 412).whole("x").with("If-None-Match", "*"),
        ask("PUT", "/upload/none/x.txt", 404).whole("x"),
        ask("PUT", "/upload/y.txt", 201).pieces(&[b"one", b"two"], &[]),
        ask("PUT", "/upload/z.txt", 201).whole("x").with("Expect", "100-continue"),
        ask("POST", "/upload/", 303).whole(form).with("Content-Type", multipart),
        ask("POST", "/upload/", 400).whole(&form[..form.len() - 8]).with("Content-Type", multipart),
        ask("POST", "/upload/", 415).whole("x"),
    ]
}

/// What is not served.
fn refusals() -> Vec<Exchange> {
    let fields = |count| (0..count).fold(get("/fixed", 431), |ask, at| ask.with(&format!("x-{at}"), "v"));
    vec![
        ask("POST", "/narrow", 200).whole("0123456789"),
        ask("POST", "/narrow", 413).whole("0123456789a"),
        ask("POST", "/narrow", 413).pieces(&[b"01234", b"56789", b"a"], &[]),
        ask("POST", "/narrow", 413).whole("0123456789a").with("Expect", "100-continue"),
        ask("POST", "/narrow", 413).whole(vec![b'x'; 200_000]),
        ask("POST", "/narrow-stream", 413).whole("0123456789a"),
        ask("POST", "/narrow-stream", 413).pieces(&[b"01234", b"56789", b"a"], &[]),
        get(&format!("/see/{}", "x".repeat(9_000)), 414),
        get("/fixed", 431).with("x-long", "x".repeat(40_000)),
        fields(101),
        ask("POST", "/collect", 417).whole("x").with("Expect", "something-else"),
        get("/see/%zz/x", 400),
        get("/see/%00/x", 400),
        get("/../x", 400),
    ]
}
