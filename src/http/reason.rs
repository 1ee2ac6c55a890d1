//! [`Reason`]: why kolk itself answers or refuses, in one table.
//!
//! Each row is a status, a stable code (for logs, metrics and people) and the sentence that the
//! client reads. The codes name the stage: `parse.`, `limit.`, `timeout.`, `route.`, `handler.`.

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $status:literal, $code:literal, $sentence:literal;)*) => {
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
        }
    };
}

reasons! {
    FirstByte = 400, "parse.first_byte", "this is not an HTTP request";
    PlainHttp = 400, "parse.plain_http", "this port speaks TLS: ask it with https, not http";
    EmptyLine = 400, "parse.empty_line", "more than one empty line stands before the request";
    RequestLine = 400, "parse.request_line", "the request line is not: method, one space, target, one space, version";
    MethodToken = 400, "parse.method", "the method is not a token of at most 24 characters";
    Target = 400, "parse.target", "the request target has a form or a character that is not allowed";
    Path = 400, "parse.path", "the path is not valid percent-encoded UTF-8";
    VersionSyntax = 400, "parse.version", "the version is not HTTP/1.0 or HTTP/1.1";
    VersionUnsupported = 505, "parse.version_unsupported", "this major version of HTTP is not served here";
    BareLf = 400, "parse.bare_lf", "a line ends with LF alone where the head began with CR LF";
    BareCr = 400, "parse.bare_cr", "a CR is not followed by LF";
    Nul = 400, "parse.nul", "the head contains a NUL byte";
    FieldColon = 400, "parse.field_colon", "a field line has no colon";
    FieldName = 400, "parse.field_name", "a field name is not a token";
    FieldSpace = 400, "parse.space_before_colon", "white space stands before the colon of a field";
    FieldFolding = 400, "parse.folding", "a field line is folded";
    FieldValue = 400, "parse.field_value", "a field value contains a control character";
    HostMissing = 400, "parse.host_missing", "the Host field is missing";
    HostRepeated = 400, "parse.host_repeated", "there is more than one Host field";
    HostInvalid = 400, "parse.host", "the Host field is not a host and an optional port";
    LengthSyntax = 400, "parse.content_length", "Content-Length is not a decimal number that fits 64 bits";
    LengthConflict = 400, "parse.content_length_conflict", "the Content-Length fields disagree";
    LengthRequired = 411, "parse.length_required", "a request with content needs a Content-Length in HTTP/1.0";
    CodingWithLength = 400, "parse.coding_with_length", "Transfer-Encoding and Content-Length stand together";
    CodingRepeated = 400, "parse.coding_repeated", "Transfer-Encoding is not exactly: chunked";
    CodingInHttp10 = 400, "parse.coding_in_1_0", "HTTP/1.0 has no Transfer-Encoding";
    CodingUnknown = 501, "parse.coding_unknown", "this transfer coding is not implemented";
    ChunkSize = 400, "parse.chunk_size", "a chunk does not begin with 1 to 16 hexadecimal digits";
    ChunkLine = 400, "parse.chunk_line", "the line of a chunk's size does not end with CR LF";
    ChunkExtension = 400, "parse.chunk_extension", "a chunk extension is too long or contains a control character";
    ChunkEnd = 400, "parse.chunk_end", "a chunk does not end with CR LF";
    TrailerField = 400, "parse.trailer", "a trailer field is malformed";
    Expectation = 417, "parse.expectation", "the only expectation that is understood is 100-continue";
    H2Preface = 400, "parse.h2_preface", "the connection does not begin as one of HTTP/2 does";
    H2FirstFrame = 400, "parse.h2_first_frame", "the first frame is not SETTINGS";
    H2FrameSize = 400, "parse.h2_frame_size", "a frame is longer or shorter than its kind may be";
    H2StreamZero = 400, "parse.h2_stream_zero", "a frame of a stream stands on the connection, or the reverse";
    H2StreamId = 400, "parse.h2_stream_id", "a stream has an even number, or a smaller one than the stream before";
    H2StreamIdle = 400, "parse.h2_stream_idle", "a frame is about a stream that was never opened";
    H2StreamClosed = 400, "parse.h2_stream_closed", "a frame is about a stream that has ended";
    H2Padding = 400, "parse.h2_padding", "the padding of a frame is longer than the frame";
    H2Continuation = 400, "parse.h2_continuation", "a header block is interrupted, or continued where none began";
    H2Compression = 400, "parse.h2_compression", "a header block cannot be decoded";
    H2Setting = 400, "parse.h2_setting", "a setting has a value that it cannot have";
    H2WindowZero = 400, "parse.h2_window_zero", "a window is opened by nothing";
    H2WindowOverflow = 400, "parse.h2_window_overflow", "a window becomes larger than 2^31 - 1";
    H2WindowExceeded = 400, "parse.h2_window_exceeded", "more content was sent than the window allows";
    H2Push = 400, "parse.h2_push", "a client cannot promise anything";
    H2Priority = 400, "parse.h2_priority", "a stream depends on itself";
    H2Pseudo = 400, "parse.h2_pseudo", "the fields that begin with a colon are not those of a request";
    H2ConnectionField = 400, "parse.h2_connection_field", "a field of the connection stands in a request of HTTP/2";
    H2Length = 400, "parse.h2_length", "the content is not as long as its Content-Length";
    H2TrailerEnd = 400, "parse.h2_trailer_end", "the fields behind the content do not end the stream";
    RequestLineBytes = 414, "limit.request_line", "the request line is too long";
    HeadBytes = 431, "limit.head", "the request's head is too large";
    FieldCount = 431, "limit.fields", "the request has too many fields";
    TrailerBytes = 431, "limit.trailer", "the request's trailer is too large";
    BodyBytes = 413, "limit.body", "the request's body is larger than this resource takes";
    Bodies = 503, "limit.bodies", "this server keeps as many request bodies as it can at the moment";
    PoolFull = 503, "limit.pool", "this server is too busy at the moment";
    Rate = 429, "limit.rate", "this client asks more often than it may";
    InFlight = 503, "limit.in_flight", "this resource has as many requests as it can at the moment";
    Network = 403, "limit.network", "this is not for clients of this network";
    H2Streams = 503, "limit.h2_streams", "too many requests are open on this connection";
    H2BlockBytes = 431, "limit.h2_block", "a header block is too long, or in too many pieces";
    H2Calm = 429, "limit.h2_calm", "the connection makes more work than it is of use";
    AuthFailures = 429, "limit.auth", "too many wrong passwords or tokens came from this address";
    HeaderTimeout = 408, "timeout.header", "the request's head did not arrive in time";
    BodyTimeout = 408, "timeout.body", "the request's body stopped arriving";
    BodyRate = 408, "timeout.body_rate", "the request's body arrives too slowly";
    H2SettingsTimeout = 408, "timeout.h2_settings", "the settings were not acknowledged";
    H2Stalled = 408, "timeout.h2_window", "the answers are not read";
    MethodUnknown = 501, "route.method_unknown", "this method is not implemented";
    MethodNotAllowed = 405, "route.method", "this resource does not have this method";
    Misdirected = 421, "route.misdirected", "this connection was set up for another host";
    SiteUnknown = 404, "route.site", "this server has no site of this name";
    NoneFits = 404, "route.predicate", "there is nothing at this path for such a request";
    NotFound = 404, "route.none", "there is nothing at this path";
    RewriteLoop = 500, "route.rewrite_loop", "the rules for this path lead from one to the next without an end";
    RangeUnsatisfiable = 416, "handler.range", "none of the ranges lies within this file";
    Precondition = 412, "handler.precondition", "this is not the version that the request is about";
    Forbidden = 403, "handler.forbidden", "this file may not be read";
    FileUnreadable = 500, "handler.file", "this file cannot be read";
    Maintenance = 503, "handler.maintenance", "somebody works on this site: come again later";
    Unauthorized = 401, "handler.unauthorized", "this resource is for who knows its user name and password";
    CertificateMissing = 403, "handler.certificate_missing", "this resource is for who has shown a certificate";
    CertificateUnknown = 403, "handler.certificate_unknown", "this certificate does not let in";
    UserNotAllowed = 403, "handler.user_not_allowed", "who has proved this name may not have this";
    TokenMissing = 401, "handler.token_missing", "this resource is for who has a token";
    TokenMalformed = 400, "handler.token_malformed", "what stands in the place of the token is none";
    TokenUnknown = 401, "handler.token_unknown", "this token is not known here";
    TokenInvalid = 401, "handler.token_invalid", "this token was not signed by whom it should, or is no such token";
    TokenExpired = 401, "handler.token_expired", "the time of this token is over";
    TokenEarly = 401, "handler.token_early", "the time of this token has not come";
    TokenIssuer = 401, "handler.token_issuer", "this token is of another issuer";
    TokenAudience = 401, "handler.token_audience", "this token is for another audience";
    CredentialsRepeated = 400, "handler.credentials_repeated", "there is more than one Authorization field";
    StorageFull = 507, "handler.storage_full", "there is no room left for this";
    Unwritable = 500, "handler.unwritable", "this cannot be stored";
    HandlerPanic = 500, "handler.panic", "the handler of this resource failed";
    HandlerDropped = 500, "handler.dropped", "the handler of this resource gave no answer";
}

impl Reason {
    /// Its place in [`Reason::ALL`].
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether the peer broke the protocol or a limit of it: the connection ends with the answer.
    pub const fn closes(self) -> bool {
        matches!(self.code().as_bytes(), [b'p', b'a', ..] | [b't', ..])
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
            assert!(!reason.sentence().ends_with('.'));
        }
    }
}
