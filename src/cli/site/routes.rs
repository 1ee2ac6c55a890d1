//! [`ROUTES`]: the built-in site's table of contents, for the page, the 404 and the tests.

/// One route of the built-in site.
#[derive(Debug)]
pub(super) struct Route {
    /// The pattern, as the router has it.
    pub(super) pattern: &'static str,
    /// A path that it matches.
    pub(super) example: &'static str,
    /// What it answers, in half a sentence of HTML.
    pub(super) what: &'static str,
    /// The options that show it with curl.
    pub(super) curl: &'static [&'static str],
}

impl Route {
    /// The example, if a browser can follow it as a link.
    pub(super) fn by_link(&self) -> Option<&'static str> {
        (self.pattern != "/echo").then_some(self.example)
    }
}

/// Every route, in the order in which a visitor should read them.
pub(super) const ROUTES: &[Route] = &[
    Route { pattern: "/", example: "/", what: "your own request, taken apart", curl: &["-i"] },
    Route {
        pattern: "/plaintext",
        example: "/plaintext",
        what: "thirteen bytes, for load tests",
        curl: &["-i"],
    },
    Route { pattern: "/json", example: "/json", what: "a small object", curl: &["-i"] },
    Route { pattern: "/echo", example: "/echo", what: "the body of your request", curl: &["-d", "'hello'"] },
    Route {
        pattern: "/bytes/{n}",
        example: "/bytes/1000000",
        what: "so many bytes, at most 1 GiB",
        curl: &["-o", "/dev/null"],
    },
    Route { pattern: "/stream/{n}", example: "/stream/10", what: "so many chunks", curl: &["--raw"] },
    Route { pattern: "/events", example: "/events", what: "an event every second", curl: &["-N"] },
    Route {
        pattern: "/sleep/{ms}",
        example: "/sleep/1000",
        what: "an answer that takes its time",
        curl: &["-i"],
    },
    Route { pattern: "/status/{code}", example: "/status/418", what: "any status", curl: &["-i"] },
];
