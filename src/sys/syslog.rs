//! What stands before a line for the log of the system: [`Facility`], [`Severity`] and the tag.
//!
//! ```text
//!  <190>kolk[4242]: 192.0.2.1 - - [22/Nov/2026:15:00:00 +0000] "GET / HTTP/1.1" 200 13 "-" "curl/8"
//!  └─┬─┘└────┬─────┘
//!  local7, info    the tag: what programs tell the daemon of their own machine (RFC 3164 §4.1.1, §4.1.3)
//! ```
//! The numbers are those of RFC 5424 §6.2.1, the names those that the configurations of daemons have. The
//! daemons that listen at `/dev/log` (systemd-journald, rsyslog, syslog-ng, busybox) read this form there and
//! not that of RFC 5424, which is for messages between machines. They add the time and the host themselves,
//! and trust neither of a program. Knows no socket.

macro_rules! facilities {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal; )+) => {
        /// The part of the machine that a message is about: how daemons sort what they hear. The kernel's is
        /// not there: nobody else may use it.
        ///
        /// ```
        /// use kolk::access_log::Facility;
        ///
        /// assert_eq!(Facility::named("local3"), Some(Facility::Local3));
        /// assert_eq!(Facility::named("kern"), None);
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Facility {
            $( $(#[doc = $doc])+ $variant = $number, )+
        }

        impl Facility {
            /// All of them, by their numbers.
            pub const ALL: &[Self] = &[$( Self::$variant, )+];

            /// What the configurations of daemons call it.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$variant => $name, )+
                }
            }
        }
    };
}

facilities! {
    /// Programs of users.
    User = 1, "user";
    /// Mail.
    Mail = 2, "mail";
    /// Programs that nobody looks after.
    Daemon = 3, "daemon";
    /// Who may come in.
    Auth = 4, "auth";
    /// The daemon that hears it itself.
    Syslog = 5, "syslog";
    /// Printers.
    Lpr = 6, "lpr";
    /// News.
    News = 7, "news";
    /// UUCP.
    Uucp = 8, "uucp";
    /// What is done by the clock.
    Cron = 9, "cron";
    /// Who may come in, for few eyes.
    Authpriv = 10, "authpriv";
    /// FTP.
    Ftp = 11, "ftp";
    /// The time.
    Ntp = 12, "ntp";
    /// What is kept for audits.
    Audit = 13, "audit";
    /// What alarms somebody.
    Alert = 14, "alert";
    /// What else is done by the clock.
    Clock = 15, "clock";
    /// Whatever this machine uses it for; the others, too.
    Local0 = 16, "local0";
    /// See `Local0`.
    Local1 = 17, "local1";
    /// See `Local0`.
    Local2 = 18, "local2";
    /// See `Local0`.
    Local3 = 19, "local3";
    /// See `Local0`.
    Local4 = 20, "local4";
    /// See `Local0`.
    Local5 = 21, "local5";
    /// See `Local0`.
    Local6 = 22, "local6";
    /// See `Local0`.
    Local7 = 23, "local7";
}

/// How bad it is. Those of an emergency, an alert and a critical state are for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something does not work.
    Error = 3,
    /// Something deserves attention.
    Warning = 4,
    /// Something has happened.
    Info = 6,
    /// For who looks for a mistake.
    Debug = 7,
}

impl Facility {
    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|facility| facility.name() == name).copied()
    }

    /// What stands before a line of this process.
    pub fn tag(self, severity: Severity) -> String {
        let priority = self as u8 * 8 + severity as u8;
        format!("<{priority}>kolk[{}]: ", std::process::id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5424 §6.2.1, its examples: 0 is the kernel's emergency, 165 a notice of local4.
    #[test]
    fn the_numbers_are_those_of_the_standard() {
        let names: Vec<&str> = Facility::ALL.iter().map(|facility| facility.name()).collect();
        assert_eq!(names[..4], ["user", "mail", "daemon", "auth"]);
        assert!(Facility::ALL.iter().zip(1..).all(|(facility, number)| *facility as u8 == number));
        assert!(Facility::ALL.iter().all(|facility| Facility::named(facility.name()) == Some(*facility)));
        let priority = |facility: Facility, severity| {
            let tag = facility.tag(severity);
            tag.split_once('>').unwrap().0[1..].parse::<u8>().unwrap()
        };
        assert_eq!(priority(Facility::Local4, Severity::Error), 165 - 2);
        assert_eq!(priority(Facility::Local7, Severity::Info), 190);
        assert_eq!(priority(Facility::Daemon, Severity::Warning), 28);
        let own = std::process::id();
        assert_eq!(Facility::User.tag(Severity::Debug), format!("<15>kolk[{own}]: "));
    }
}
