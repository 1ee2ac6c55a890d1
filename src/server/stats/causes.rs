//! WHY SOMETHING ENDED BEFORE ITS TIME: the codes beside those of [`Reason`], in tables like its own.
//!
//! ```text
//!  Reason       parse.x limit.x timeout.x route.x handler.x    why kolk made an answer itself
//!  CloseReason  close.x                                        why a connection ended
//!  Timeout      timeout.x                                      which patience ended
//!  TurnedAway   limit.x                                        why a connection was closed as it came
//!  Cause        one of the first three                         why an answer is kolk's own, none, or cut
//! ```
//! Each code is the same in the log, in the metrics, in `kolk top`, in `kolk why` and in `docs/reasons.md`,
//! and is never reused for another meaning. What two tables have is called the same in both.

use crate::http::Reason;

macro_rules! causes {
    ($(#[$about:meta])* $name:ident {
        $($variant:ident = $code:literal, $sentence:literal, $advice:literal;)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $(#[doc = $sentence] $variant,)* }

        impl $name {
            /// All of them, in the order of their discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The stable code: never reused for another meaning.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What has happened, in one sentence without the final stop.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)* }
            }

            /// What can be done about it, in one sentence without the final stop.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)* }
            }

            /// Its place in `ALL`.
            #[inline]
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

causes! {
    /// Which patience ended.
    Timeout {
        Handshake = "timeout.handshake", "a client did not come to an end with its handshake of TLS",
            "for slow clients raise server.timeouts.tls_handshake; many at once are an attack";
        Header = "timeout.header", "a request's head did not arrive in time",
            "for slow clients raise server.timeouts.header; many at once are an attack";
        Keepalive = "timeout.keepalive", "no further request came on an idle connection",
            "nothing; if clients often come back a little later, raise server.timeouts.keepalive";
        Body = "timeout.body", "a request's body fell silent",
            "look at what interrupts the upload; for slow clients raise server.timeouts.body_idle";
        BodyRate = "timeout.body_rate", "a request's body came too slowly on the whole",
            "look at the network between; for slow clients lower server.timeouts.body_min_rate";
        Handler = "timeout.handler", "a route's handler did not answer in time",
            "find out what the handler waits for, or raise timeouts.handler of the route";
        Write = "timeout.write", "the client stopped taking the answer",
            "for clients that pause raise server.timeouts.write_stall, or timeouts.write_stall of the route";
        WriteRate = "timeout.write_rate", "the client took the answer too slowly on the whole",
            "look at the network between; for slow clients lower server.timeouts.write_min_rate";
        Linger = "timeout.linger", "a client that was told to go did not close",
            "nothing; where clients do not get to read why they were told, raise server.timeouts.linger";
        Drain = "timeout.drain", "what was under way outlasted the shutdown's deadline",
            "raise server.shutdown_grace, or find out what takes so long";
    }
}

causes! {
    /// Why a connection ended. Each connection ends once, with the first cause that applies.
    CloseReason {
        PeerClosed = "close.peer_closed", "the client closed between two requests",
            "nothing: so most connections end";
        PeerReset = "close.peer_reset", "the client's side broke the connection",
            "nothing, if it is rare; else look for a proxy or a firewall between that has had enough";
        Answered = "close.answered", "the last answer was sent (`Connection: close`, HTTP/1.0)",
            "nothing; who asks often gains by a client that keeps its connections";
        Refused = "close.refused", "a rule or a limit was broken, and the client was told",
            "look at the reason of the last request of the connection";
        TimedOut = "close.timed_out", "a patience ended",
            "look at `kolk_timeouts_total`, which tells the kind";
        BodyCut = "close.body_cut",
            "the body of an answer could not be completed: its source failed or its file was short",
            "look at what makes the body; have files replaced under their name, and not written over";
        Abandoned = "close.abandoned", "the client left within an exchange",
            "nothing, if it is rare; else find out whether answers take longer than clients wait";
        Drained = "close.drained", "the server is shutting down and the connection was idle or finished",
            "nothing: its client connects anew";
        TlsFailed = "close.tls_failed",
            "the client broke a rule of TLS, or shares no version, cipher or trust with the server",
            "look at `kolk_tls_alerts_sent_total` and `kolk_tls_alerts_received_total`: who told what";
        ProxyRefused = "close.proxy_refused",
            "a header of the PROXY protocol was malformed, missing, or a stranger's",
            "add the proxy to server.trust.proxies, or have it send the header that proxy_protocol asks for";
        Crowded = "close.crowded", "a proxy came for a client that has as many connections as it may",
            "raise server.max_connections_per_client, or look at what this client does";
        WriteFailed = "close.write_failed", "the kernel refused to send",
            "look at the network and at the memory of this machine";
        Shed = "close.shed", "it was idle and gave way to a new connection",
            "raise server.max_connections and the limit of open files, or lower server.timeouts.keepalive";
        Failed = "close.failed", "a source, a sink or the server's own code panicked",
            "look at the log, which has the message: it is a bug";
        Stopped = "close.stopped", "the server stopped at once",
            "nothing; to let come to an end what is under way, have it drain (TERM)";
    }
}

causes! {
    /// Why a connection was closed as it came, and none is counted as closed.
    TurnedAway {
        ConnectionsAddress = "limit.connections_address",
            "a client came that has as many connections as it may",
            "have the client keep fewer connections open, or raise server.max_connections_per_client";
    }
}

/// Why an answer is kolk's own, is none, or ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// kolk made the answer itself.
    Reason(Reason),
    /// The connection, or the stream, ended before the answer did.
    Close(CloseReason),
    /// So it did, and this patience had ended.
    Timeout(Timeout),
}

impl Cause {
    /// The stable code: never reused for another meaning.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Reason(reason) => reason.code(),
            Self::Close(reason) => reason.code(),
            Self::Timeout(timeout) => timeout.code(),
        }
    }

    /// What has happened, in one sentence without the final stop.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Reason(reason) => reason.sentence(),
            Self::Close(reason) => reason.sentence(),
            Self::Timeout(timeout) => timeout.sentence(),
        }
    }

    /// What can be done about it, in one sentence without the final stop.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Reason(reason) => reason.advice(),
            Self::Close(reason) => reason.advice(),
            Self::Timeout(timeout) => timeout.advice(),
        }
    }

    /// The status that stands for an answer which nobody made, and nobody was sent: what others write down,
    /// 499, where the client has not waited for it, and one of the server's where it is to blame.
    pub const fn status_of_none(self) -> u16 {
        match self {
            Self::Reason(reason) => reason.status(),
            Self::Close(CloseReason::Failed) => 500,
            Self::Close(CloseReason::Stopped) | Self::Timeout(Timeout::Drain) => 503,
            Self::Close(_) | Self::Timeout(_) => 499,
        }
    }
}

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

impl From<CloseReason> for Cause {
    fn from(reason: CloseReason) -> Self {
        Self::Close(reason)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_sentences_have_one_form() {
        let mut seen = HashSet::new();
        let timeouts = Timeout::ALL.iter().map(|cause| (cause.index(), Cause::Timeout(*cause)));
        let closes = CloseReason::ALL.iter().map(|cause| (cause.index(), Cause::Close(*cause)));
        let (timeouts, closes): (Vec<_>, Vec<_>) = (timeouts.collect(), closes.collect());
        for (place, (index, cause)) in timeouts.iter().enumerate().chain(closes.iter().enumerate()) {
            assert_eq!(place, *index);
            assert!(seen.insert(cause.code()), "{} stands twice", cause.code());
            let (kind, rest) = cause.code().split_once('.').unwrap();
            assert_eq!(kind, if matches!(cause, Cause::Timeout(_)) { "timeout" } else { "close" });
            assert!(rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{rest}");
            assert!(!cause.sentence().ends_with('.') && !cause.advice().ends_with('.'));
            assert!((400..600).contains(&cause.status_of_none()));
        }
        for turned_away in TurnedAway::ALL {
            assert!(Reason::ALL.iter().all(|reason| reason.code() != turned_away.code()));
        }
    }

    #[test]
    fn what_a_refusal_is_called_its_timeout_is_called_too() {
        for (timeout, reason) in [
            (Timeout::Header, Reason::HeaderTimeout),
            (Timeout::Body, Reason::BodyTimeout),
            (Timeout::BodyRate, Reason::BodyRate),
            (Timeout::Handler, Reason::HandlerTimeout),
        ] {
            assert_eq!(timeout.code(), reason.code());
        }
    }
}
