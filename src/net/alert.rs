//! [`Alert`]: what the two sides of TLS tell each other before they part; [`Alarm`]: who told whom.
//! RFC 8446 §6, RFC 5246 §7.2.

use std::error::Error;
use std::fmt;

macro_rules! alerts {
    ($($code:literal $label:literal $variant:ident;)*) => {
        /// A fatal alert, by the name that its RFC gives it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "RFC 8446 §6.2 explains each")]
        #[repr(u8)]
        pub enum Alert {
            $($variant,)*
            /// Another one.
            Other,
        }

        impl Alert {
            /// All of them, in the order of their discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)* Self::Other];

            /// The one of this number.
            pub const fn of_code(code: u8) -> Self {
                match code { $($code => Self::$variant,)* _ => Self::Other }
            }

            /// The label in metrics and logs.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $label,)* Self::Other => "other" }
            }
        }
    };
}

alerts! {
    10 "unexpected_message" UnexpectedMessage;
    20 "bad_record_mac" BadRecordMac;
    22 "record_overflow" RecordOverflow;
    40 "handshake_failure" HandshakeFailure;
    42 "bad_certificate" BadCertificate;
    43 "unsupported_certificate" UnsupportedCertificate;
    44 "certificate_revoked" CertificateRevoked;
    45 "certificate_expired" CertificateExpired;
    46 "certificate_unknown" CertificateUnknown;
    47 "illegal_parameter" IllegalParameter;
    48 "unknown_ca" UnknownCa;
    49 "access_denied" AccessDenied;
    50 "decode_error" DecodeError;
    51 "decrypt_error" DecryptError;
    70 "protocol_version" ProtocolVersion;
    71 "insufficient_security" InsufficientSecurity;
    80 "internal_error" InternalError;
    86 "inappropriate_fallback" InappropriateFallback;
    90 "user_canceled" UserCanceled;
    109 "missing_extension" MissingExtension;
    110 "unsupported_extension" UnsupportedExtension;
    112 "unrecognized_name" UnrecognizedName;
    115 "unknown_psk_identity" UnknownPskIdentity;
    116 "certificate_required" CertificateRequired;
    120 "no_application_protocol" NoApplicationProtocol;
}

impl Alert {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Its place in `ALL`.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Why a connection over TLS ends early: inside the error of a [`Transport::read`](super::Transport::read).
#[derive(Debug)]
pub struct Alarm {
    /// What was said, if anything was.
    pub alert: Option<Alert>,
    /// Whether the client said it, and not we.
    pub is_received: bool,
    /// In words.
    pub why: String,
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Error for Alarm {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_number_has_one_name() {
        let mut seen = HashSet::new();
        for (index, alert) in Alert::ALL.iter().enumerate() {
            assert_eq!(alert.index(), index);
            assert!(seen.insert(alert.name()), "{} stands twice", alert.name());
        }
        let known = (0..=255).filter(|&code| Alert::of_code(code) != Alert::Other).count();
        assert_eq!(known + 1, Alert::COUNT);
        assert_eq!(Alert::of_code(40).name(), "handshake_failure");
    }
}
