//! [`Reason`]: why kolk itself answers or refuses, in one table.
//!
//! Each row is a status, a stable code (for logs, metrics and people), the sentence that the client
//! reads, and what can be done about it. The codes name the stage: `parse.`, `limit.`, `timeout.`,
//! `route.`, `handler.`.

macro_rules! reasons {
    ($(
        $(#[$doc:meta])*
        $name:ident = $status:literal, $code:literal, $sentence:literal, $advice:literal;
    )*) => {
        /// Why kolk made an answer of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason { $(#[doc = $sentence] $(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, in the order of the discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The status code that tells the client.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The stable code: never reused for another meaning.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// One sentence for the person on the other side, without the final stop.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }

            /// What the client or the operator can do, in one sentence without the final stop.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

reasons! {
    FirstByte = 400, "parse.first_byte", "this is not an HTTP request",
        "find out who connects: this is a probe, another protocol, or TLS on a port that is not encrypted";
    PlainHttp = 400, "parse.plain_http", "this port speaks TLS: ask it with https, not http",
        "write https:// in the link, or give plain http a listener with redirect_to_https";
    EmptyLine = 400, "parse.empty_line", "more than one empty line stands before the request",
        "have the client send nothing but its requests: what follows a body belongs to its Content-Length";
    RequestLine = 400, "parse.request_line", "the request line is not: method, one space, target, one space, version",
        "encode spaces of the target as %20, and put exactly one space between the three parts";
    MethodToken = 400, "parse.method", "the method is not a token of at most 24 characters",
        "look at what the client takes for a method: one word, GET or the like, with nothing before it";
    Target = 400, "parse.target", "the request target has a form or a character that is not allowed",
        "have the client encode what a URL cannot hold, and send a path, or a whole URL to a proxy";
    Path = 400, "parse.path", "the path is no encoded UTF-8, has a control character or a backslash, or leads above /",
        "encode the path as UTF-8 and then by percent; a % that stands for itself is %25";
    VersionSyntax = 400, "parse.version", "the version is not HTTP/1.0 or HTTP/1.1",
        "have the client speak HTTP/1.1; something in between may have damaged the line";
    VersionUnsupported = 505, "parse.version_unsupported", "this major version of HTTP is not served here",
        "ask with HTTP/1.1, or with HTTP/2 where the listener's protocols have it";
    BareLf = 400, "parse.bare_lf", "a line ends with LF alone where the head began with CR LF",
        "end every line with CR LF; a proxy that has let this through should be stricter";
    BareCr = 400, "parse.bare_cr", "a CR is not followed by LF",
        "end every line with CR LF, and encode a CR within a value";
    Nul = 400, "parse.nul", "the head contains a NUL byte",
        "look at what the client builds its head from: no text of HTTP has a NUL, so it may be an attack";
    FieldColon = 400, "parse.field_colon", "a field line has no colon",
        "write each field as `name: value`; often a line break has got into a value";
    FieldName = 400, "parse.field_name", "a field name is not a token",
        "use letters, digits and - in the names of fields";
    FieldSpace = 400, "parse.space_before_colon", "white space stands before the colon of a field",
        "leave out the space: proxies disagree about what it means, which attackers make use of";
    FieldFolding = 400, "parse.folding", "a field line is folded",
        "write the whole value on one line";
    FieldValue = 400, "parse.field_value", "a field value contains a control character",
        "encode the value: line breaks and control characters cannot stand in it";
    HostMissing = 400, "parse.host_missing", "the Host field is missing",
        "have the client send Host; probes that cannot may ask with HTTP/1.0";
    HostRepeated = 400, "parse.host_repeated", "there is more than one Host field",
        "have the client, or the proxy that adds a second one, send Host once";
    HostInvalid = 400, "parse.host", "the Host field is not a host and an optional port",
        "write a name or an address, and a port if it is not the usual one: example.com:8080";
    LengthSyntax = 400, "parse.content_length", "Content-Length is not a decimal number that fits 64 bits",
        "send the length of the body in bytes, in digits alone";
    LengthConflict = 400, "parse.content_length_conflict", "the Content-Length fields disagree",
        "find the proxy or the program that adds a second length: requests may be smuggled so";
    LengthRequired = 411, "parse.length_required", "a request with content needs a Content-Length in HTTP/1.0",
        "send Content-Length, or speak HTTP/1.1, which has chunks";
    CodingWithLength = 400, "parse.coding_with_length", "Transfer-Encoding and Content-Length stand together",
        "send one of the two; if a proxy has added the other, it can be used to smuggle requests";
    CodingRepeated = 400, "parse.coding_repeated", "Transfer-Encoding is not exactly: chunked",
        "send `Transfer-Encoding: chunked` and nothing else in it; compress with Content-Encoding";
    CodingInHttp10 = 400, "parse.coding_in_1_0", "HTTP/1.0 has no Transfer-Encoding",
        "send a Content-Length, or speak HTTP/1.1";
    CodingUnknown = 501, "parse.coding_unknown", "this transfer coding is not implemented",
        "send the body in chunks and nothing more; compress it with Content-Encoding";
    ChunkSize = 400, "parse.chunk_size", "a chunk does not begin with 1 to 16 hexadecimal digits",
        "look at the program that frames the body: the length of a chunk is written in hexadecimal digits";
    ChunkLine = 400, "parse.chunk_line", "the line of a chunk's size does not end with CR LF",
        "end the line of each chunk's length with CR LF";
    ChunkExtension = 400, "parse.chunk_extension", "a chunk extension is too long or contains a control character",
        "leave the extensions of chunks out: nobody reads them";
    ChunkEnd = 400, "parse.chunk_end", "a chunk does not end with CR LF",
        "look at the length that the client writes before the chunk: it is not that of what follows";
    TrailerField = 400, "parse.trailer", "a trailer field is malformed",
        "write the fields behind the body like those before it, or none";
    Http2Only = 505, "parse.http2_only", "this port speaks HTTP/2 alone",
        "have the client speak HTTP/2 from its first byte, or add h1 to the listener's protocols";
    Expectation = 417, "parse.expectation", "the only expectation that is understood is 100-continue",
        "leave Expect out, or send `Expect: 100-continue`";
    H2Preface = 400, "parse.h2_preface", "the connection does not begin as one of HTTP/2 does",
        "have the client begin with the preface of HTTP/2, or speak HTTP/1.1";
    H2FirstFrame = 400, "parse.h2_first_frame", "the first frame is not SETTINGS",
        "update the client's library of HTTP/2: its first frame must be SETTINGS";
    H2FrameSize = 400, "parse.h2_frame_size", "a frame is longer or shorter than its kind may be",
        "update the client's library of HTTP/2: it goes beyond SETTINGS_MAX_FRAME_SIZE or miscounts";
    H2StreamZero = 400, "parse.h2_stream_zero", "a frame of a stream stands on the connection, or the reverse",
        "update the client's library of HTTP/2: it puts a frame where that cannot stand";
    H2StreamId = 400, "parse.h2_stream_id", "a stream has an even number, or a smaller one than the stream before",
        "update the client's library of HTTP/2: it must count its streams up by two, from 1";
    H2StreamIdle = 400, "parse.h2_stream_idle", "a frame is about a stream that was never opened",
        "update the client's library of HTTP/2: it must open a stream with HEADERS first";
    H2StreamClosed = 400, "parse.h2_stream_closed", "a frame is about a stream that has ended",
        "update the client's library of HTTP/2: it goes on with a stream that it has ended or reset";
    H2Padding = 400, "parse.h2_padding", "the padding of a frame is longer than the frame",
        "update the client's library of HTTP/2: it miscounts its padding";
    H2Continuation = 400, "parse.h2_continuation", "a header block is interrupted, or continued where none began",
        "update the client's library of HTTP/2: nothing may stand between HEADERS and its CONTINUATION";
    H2Compression = 400, "parse.h2_compression", "a header block cannot be decoded",
        "update the client's library of HTTP/2: the tables of HPACK on both sides have come apart";
    H2Setting = 400, "parse.h2_setting", "a setting has a value that it cannot have",
        "update the client's library of HTTP/2, or take back what its configuration sets there";
    H2WindowZero = 400, "parse.h2_window_zero", "a window is opened by nothing",
        "update the client's library of HTTP/2: WINDOW_UPDATE must add at least one byte";
    H2WindowOverflow = 400, "parse.h2_window_overflow", "a window becomes larger than 2^31 - 1",
        "update the client's library of HTTP/2: it opens its window wider than there are numbers";
    H2WindowExceeded = 400, "parse.h2_window_exceeded", "more content was sent than the window allows",
        "update the client's library of HTTP/2: it must wait for WINDOW_UPDATE";
    H2Push = 400, "parse.h2_push", "a client cannot promise anything",
        "update the client's library of HTTP/2: PUSH_PROMISE is for servers";
    H2Priority = 400, "parse.h2_priority", "a stream depends on itself",
        "update the client's library of HTTP/2, or have it leave the old priorities out";
    H2Pseudo = 400, "parse.h2_pseudo", "the fields that begin with a colon are not those of a request",
        "send :method, :scheme, :path and :authority once each, before all other fields";
    H2ConnectionField = 400, "parse.h2_connection_field", "a field of the connection stands in a request of HTTP/2",
        "leave out Connection, Keep-Alive, Transfer-Encoding and Upgrade where HTTP/2 is spoken";
    H2Length = 400, "parse.h2_length", "the content is not as long as its Content-Length",
        "send as many bytes as Content-Length says, or leave it out";
    H2TrailerEnd = 400, "parse.h2_trailer_end", "the fields behind the content do not end the stream",
        "set END_STREAM on the fields behind the content";
    RequestLineBytes = 414, "limit.request_line", "the request line is too long",
        "move what is long from the query into a body, or raise server.limits.request_line";
    HeadBytes = 431, "limit.head", "the request's head is too large",
        "have the client forget cookies, which are most of such heads, or raise server.limits.headers";
    FieldCount = 431, "limit.fields", "the request has too many fields",
        "look for a proxy that adds fields in a loop, or raise server.limits.header_count";
    TrailerBytes = 431, "limit.trailer", "the request's trailer is too large",
        "move what is long from the trailer into the body";
    BodyBytes = 413, "limit.body", "the request's body is larger than this resource takes",
        "send less, or raise body_limit of the route or the site, or server.limits.body";
    Bodies = 503, "limit.bodies", "this server keeps as many request bodies as it can at the moment",
        "try again in a moment; if it comes often, raise server.limits.bodies or take bodies in pieces";
    PoolFull = 503, "limit.pool", "this server is too busy at the moment",
        "try again in a moment; if it comes often, raise server.blocking_threads, or find out what is slow";
    Rate = 429, "limit.rate", "this client asks more often than it may",
        "wait as long as Retry-After says; for clients that mean well, raise rate or burst in [rate.NAME]";
    InFlight = 503, "limit.in_flight", "this resource has as many requests as it can at the moment",
        "try again in a moment; if it comes often, find out why answers take long, or raise in_flight_max";
    Network = 403, "limit.network", "this is not for clients of this network",
        "come from a network that allow lists; behind a proxy, see to it that server.trust knows that proxy";
    ClientUnknown = 403, "limit.client_unknown", "this is for clients of some networks, and nobody tells where this one is",
        "have the proxy write its client's address in the field that server.trust names; for socket files, trust `unix:`";
    H2Streams = 503, "limit.h2_streams", "too many requests are open on this connection",
        "open fewer streams at a time than SETTINGS_MAX_CONCURRENT_STREAMS says";
    H2BlockBytes = 431, "limit.h2_block", "a header block is too long, or in too many pieces",
        "have the client forget cookies, which are most of such blocks, or put what is long into a body";
    H2Calm = 429, "limit.h2_calm", "the connection makes more work than it is of use",
        "have the client reset fewer streams and send fewer empty frames; many of these are an attack";
    AuthFailures = 429, "limit.auth", "too many wrong passwords or tokens came from this address",
        "wait as long as Retry-After says, and look for a program that keeps an old password or token";
    HeaderTimeout = 408, "timeout.header", "the request's head did not arrive in time",
        "for slow clients raise server.timeouts.header; many at once are an attack";
    BodyTimeout = 408, "timeout.body", "the request's body stopped arriving",
        "look at what interrupts the upload; for slow clients raise server.timeouts.body_idle";
    BodyRate = 408, "timeout.body_rate", "the request's body arrives too slowly",
        "look at the network between; for slow clients lower server.timeouts.body_min_rate";
    HandlerTimeout = 504, "timeout.handler", "this resource gave no answer in time",
        "find out what the handler waits for, or raise timeouts.handler of the route";
    H2SettingsTimeout = 408, "timeout.h2_settings", "the settings were not acknowledged",
        "update the client's library of HTTP/2: it must acknowledge SETTINGS";
    H2Stalled = 408, "timeout.h2_window", "the answers are not read",
        "have the client read its answers, or reset the streams that it does not want";
    MethodUnknown = 501, "route.method_unknown", "this method is not implemented",
        "look at how the method is spelled, or add a route that has it among its methods";
    MethodNotAllowed = 405, "route.method", "this resource does not have this method",
        "use a method that Allow lists, or add this one to the route's methods";
    Misdirected = 421, "route.misdirected", "this connection was set up for another host",
        "open a new connection for this host; browsers do so by themselves";
    SiteUnknownTls = 421, "route.site_tls", "this server has no site of this name, on whatever connection",
        "look at the link and at DNS, or add the host to the hosts of a [[site]]; a new connection is no help";
    SiteUnknown = 404, "route.site", "this server has no site of this name",
        "look at the link and at DNS, or add the host to the hosts of a [[site]]; \"*\" takes all others";
    NoneFits = 404, "route.predicate", "there is nothing at this path for such a request",
        "ask `kolk explain` with the same fields which condition of which route does not hold";
    NotFound = 404, "route.none", "there is nothing at this path",
        "look at the link, or ask `kolk explain METHOD URL` which routes there are and why none fits";
    RewriteLoop = 500, "route.rewrite_loop", "the rules for this path lead from one to the next without an end",
        "follow the rewrites with `kolk explain METHOD URL`, and have one of them lead elsewhere";
    NobodyAtHttps = 503, "route.nobody_at_https", "this is served with https alone, and nobody listens there now",
        "open a listener with TLS again, or give up the one that sends everybody to https";
    RangeUnsatisfiable = 416, "handler.range", "none of the ranges lies within this file",
        "ask without Range how long the file is now: it may have become shorter";
    Precondition = 412, "handler.precondition", "this is not the version that the request is about",
        "fetch the current version, make the change again, and send its ETag in If-Match";
    Forbidden = 403, "handler.forbidden", "this file may not be read",
        "give the user that kolk runs as the right to read it, or do not link to it";
    FileUnreadable = 500, "handler.file", "this file cannot be read",
        "look at the disk, and at what the log says of this file at that time";
    Maintenance = 503, "handler.maintenance", "somebody works on this site: come again later",
        "wait as long as Retry-After says; the operator ends it by maintenance.on = false";
    /// With the status that was chosen there, whatever it is.
    Configured = 404, "handler.configured", "this server was set up to refuse this",
        "ask `kolk explain` for the line that says `respond`, or look for Response::error in the code";
    Unauthorized = 401, "handler.unauthorized", "this resource is for who knows its user name and password",
        "send the user name and password; `kolk hash-password` makes the line for a new one";
    CertificateMissing = 403, "handler.certificate_missing", "this resource is for who has shown a certificate",
        "install a certificate of this server's client_ca in the client, and have it shown";
    CertificateUnknown = 403, "handler.certificate_unknown", "this certificate does not let in",
        "add the name in the certificate to subjects in [auth.NAME], or show another one";
    UserNotAllowed = 403, "handler.user_not_allowed", "who has proved this name may not have this",
        "ask with another name, or add this one to those that the app lets in";
    TokenMissing = 401, "handler.token_missing", "this resource is for who has a token",
        "send `Authorization: Bearer TOKEN`";
    TokenMalformed = 400, "handler.token_malformed", "what stands in the place of the token is none",
        "look at how the token was copied: one word, without quotes and line breaks";
    TokenUnknown = 401, "handler.token_unknown", "this token is not known here",
        "get a new token, or add this one to the file of tokens in [auth.NAME]";
    TokenInvalid = 401, "handler.token_invalid", "this token was not signed by whom it should, or is no such token",
        "see to it that algorithm and key in [auth.NAME] are those of who signs, and that jwks is up to date";
    TokenExpired = 401, "handler.token_expired", "the time of this token is over",
        "get a new token; if it was fresh, set the clocks of both sides, or raise leeway";
    TokenExpiryMissing = 401, "handler.token_expiry_missing", "this token has no `exp` that says when its time is over",
        "have who signs write `exp`, in seconds since 1970: a token that never ends is not taken";
    TokenEarly = 401, "handler.token_early", "the time of this token has not come",
        "set the clocks of both sides, or raise leeway in [auth.NAME]";
    TokenSubjectMissing = 401, "handler.token_subject_missing", "this token has no `sub` that says whose it is",
        "have who signs write `sub`, the name of the user, as a text";
    TokenIssuer = 401, "handler.token_issuer", "this token is of another issuer",
        "get a token from the issuer that [auth.NAME] names, or write down the one that is meant";
    TokenAudience = 401, "handler.token_audience", "this token is for another audience",
        "get a token that is made for this service, or add its audience in [auth.NAME]";
    CredentialsRepeated = 400, "handler.credentials_repeated", "there is more than one Authorization field",
        "have the client, or the proxy that adds a second one, send Authorization once";
    StorageFull = 507, "handler.storage_full", "there is no room left for this",
        "make room on the disk of the uploads, or raise the quota of the user that kolk runs as";
    Unwritable = 500, "handler.unwritable", "this cannot be stored",
        "give the user that kolk runs as the right to write there, and look at what the log says";
    HandlerPanic = 500, "handler.panic", "the handler of this resource failed",
        "look at the log, which has the message and the route: it is a bug of the handler";
    HandlerDropped = 500, "handler.dropped", "the handler of this resource gave no answer",
        "look for a Reply or a body's writer in the handler that is dropped without an answer: it is a bug";
}

impl Reason {
    /// Its place in [`Reason::ALL`].
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether the peer broke the protocol or a limit of it: the connection ends with the answer.
    pub const fn closes(self) -> bool {
        let is_theirs = matches!(self.code().as_bytes(), [b'p', b'a', ..] | [b't', ..]);
        is_theirs && !matches!(self, Self::HandlerTimeout)
            || matches!(
                self,
                Self::RequestLineBytes | Self::HeadBytes | Self::FieldCount | Self::TrailerBytes
            )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_speak_the_stages() {
        let mut seen = HashSet::new();
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
            assert!(seen.insert(reason.code()), "{} stands twice", reason.code());
            let (stage, rest) = reason.code().split_once('.').unwrap();
            assert!(["parse", "limit", "timeout", "route", "handler"].contains(&stage));
            assert!(rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
            assert!((400..600).contains(&reason.status()));
            assert!(!reason.sentence().ends_with('.') && !reason.advice().ends_with('.'));
            assert!(seen.insert(reason.advice()), "{} is advised what another is", reason.code());
        }
    }
}
