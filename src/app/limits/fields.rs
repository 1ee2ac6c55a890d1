//! [`Policy`]: a rate under its name, and what clients are told of it.
//!
//! ```text
//!  RateLimit-Policy: "api";q=100;w=60      100 requests a minute
//!  RateLimit: "api";r=12;t=53              12 more at once; all of them again in 53 seconds
//!  Retry-After: 1                          of a refusal: whole seconds, never too few
//! ```
//! RFC 9110 §10.2.3, RFC 6585 §4, RFC 9651; draft-ietf-httpapi-ratelimit-headers-10.

use std::io::Write as _;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, header};

use super::rate::{Decision, Rate, RateError};
use crate::http::{Reason, Response};

static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A name's longest text, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The longest value of `RateLimit`, in bytes.
const VALUE_BYTES_MAX: usize = NAME_BYTES_MAX + 48;

/// A rate under its name.
///
/// ```
/// use kolk::Response;
/// use kolk::app::{Decision, Policy, Quota, Rate};
/// use std::time::Duration;
///
/// let policy = Policy::new("api", Rate::new(Quota::per_minute(100)?, 20)?)?;
/// let mut response = Response::text("");
/// policy.tell(Decision::Admitted { remaining: 7, reset: Duration::from_millis(7_800) }, &mut response);
/// assert_eq!(response.fields().get("ratelimit"), Some(&b"\"api\";r=7;t=8"[..]));
/// assert_eq!(response.fields().get("ratelimit-policy"), Some(&b"\"api\";q=100;w=60"[..]));
/// # Ok::<(), kolk::app::RateError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    name: Box<str>,
    rate: Rate,
    policy: HeaderValue,
    is_always_told: bool,
}

impl Policy {
    /// `rate` under this name: letters, digits, `_`, `-` and `.`.
    ///
    /// # Errors
    /// [`RateError::Name`].
    pub fn new(name: &str, rate: Rate) -> Result<Self, RateError> {
        if !Self::is_name(name) {
            return Err(RateError::Name);
        }
        let (requests, seconds) = in_whole_seconds(&rate);
        let policy = HeaderValue::try_from(format!("\"{name}\";q={requests};w={seconds}"));
        let policy = policy.map_err(|_| RateError::Name)?;
        Ok(Self { name: name.into(), rate, policy, is_always_told: false })
    }

    /// Whether one can be called so.
    pub(crate) fn is_name(name: &str) -> bool {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits)
    }

    /// Whether a [`RateLimit`](super::RateLimit) tells clients with every answer what is left, and not with
    /// refusals alone; of several that do, the one with the least left is told. Off by default, and in a dry
    /// run.
    #[must_use]
    pub const fn always_told(mut self, is_always_told: bool) -> Self {
        self.is_always_told = is_always_told;
        self
    }

    /// Whether it is told with every answer.
    pub const fn is_always_told(&self) -> bool {
        self.is_always_told && !self.rate.is_dry_run()
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The rate.
    pub const fn rate(&self) -> &Rate {
        &self.rate
    }

    /// Adds what the client should know of a decision. In a dry run it should know nothing.
    pub fn tell(&self, decision: Decision, response: &mut Response) {
        if self.rate.is_dry_run() {
            return;
        }
        let (remaining, reset) = match decision {
            Decision::Admitted { remaining, reset } => (remaining, reset),
            Decision::Delayed { reset, .. } | Decision::Refused { reset, .. } => (0, reset),
        };
        let mut value = [0; VALUE_BYTES_MAX];
        let mut rest = &mut value[..];
        // There is room for the longest of each.
        let _ = write!(rest, "\"{}\";r={remaining};t={}", self.name, whole_seconds(reset));
        let length = VALUE_BYTES_MAX - rest.len();
        if let Ok(value) = HeaderValue::from_bytes(&value[..length]) {
            response.append(&RATE_LIMIT, &value);
        }
        response.append(&RATE_LIMIT_POLICY, &self.policy);
    }

    /// The same, unless the answer tells of something already of which no more is left.
    pub(super) fn tell_the_least(&self, (remaining, reset): (u32, Duration), response: &mut Response) {
        let told = response.fields().get("ratelimit").map(remaining_of);
        // What cannot be read was told by somebody who knows better.
        if told.is_some_and(|told| told.is_none_or(|told| told <= u64::from(remaining))) {
            return;
        }
        response.remove(&RATE_LIMIT);
        response.remove(&RATE_LIMIT_POLICY);
        self.tell(Decision::Admitted { remaining, reset }, response);
    }

    /// Answers a request that was refused: 429, and when to come again.
    pub fn refuse(&self, decision: Decision, response: &mut Response) {
        response.refuse_for(Reason::Rate, &self.name);
        if let Decision::Refused { retry_after, .. } = decision {
            response.append(&header::RETRY_AFTER, &HeaderValue::from(whole_seconds(retry_after)));
        }
        self.tell(decision, response);
    }
}

/// Rounded up: who comes a little late is welcome, who comes a little early is not.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

/// The parameter `r` of a value of `RateLimit`.
fn remaining_of(value: &[u8]) -> Option<u64> {
    let mut parameters = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let remaining = parameters.find_map(|parameter| parameter.strip_prefix(b"r="))?;
    std::str::from_utf8(remaining).ok()?.parse().ok()
}

/// A quota as so many requests in so many whole seconds, never more than it is.
fn in_whole_seconds(rate: &Rate) -> (u128, u64) {
    let quota = rate.quota();
    let seconds = whole_seconds(quota.per());
    let nanos = Duration::from_secs(seconds).as_nanos();
    (u128::from(quota.requests()) * nanos / quota.per().as_nanos(), seconds)
}

#[cfg(test)]
mod tests {
    use super::super::rate::Quota;
    use super::*;

    fn policy(name: &str, requests: u32, per_millis: u64) -> Result<Policy, RateError> {
        let quota = Quota::new(requests, Duration::from_millis(per_millis))?;
        Policy::new(name, Rate::new(quota, 5)?)
    }

    fn shown(policy: &Policy, tell: impl FnOnce(&Policy, &mut Response)) -> Vec<String> {
        let mut response = Response::text("");
        tell(policy, &mut response);
        let line =
            |(name, value): (&str, &[u8])| format!("{}: {}", name.to_ascii_lowercase(), value.escape_ascii());
        response.fields().iter().map(line).collect()
    }

    #[test]
    fn a_refusal_says_when_to_come_again_and_never_too_early() {
        let api = policy("api", 10, 1_000).unwrap();
        for (millis, seconds) in [(1, 1), (999, 1), (1_000, 1), (1_001, 2), (59_999, 60)] {
            let retry_after = Duration::from_millis(millis);
            let decision = Decision::Refused { retry_after, reset: Duration::from_secs(99) };
            let fields = shown(&api, |api, response| {
                api.refuse(decision, response);
                let text =
                    "429 Too Many Requests: this client asks more often than it may (limit.rate.api)\n";
                assert_eq!(response.arena_bytes(), text.as_bytes());
                assert_eq!((response.status().as_u16(), response.reason()), (429, Some(Reason::Rate)));
            });
            let expected = [
                format!("retry-after: {seconds}"),
                String::from(r#"ratelimit: \"api\";r=0;t=99"#),
                String::from(r#"ratelimit-policy: \"api\";q=10;w=1"#),
            ];
            assert_eq!(fields, expected);
        }
    }

    #[test]
    fn a_quota_is_told_in_whole_seconds() {
        for (requests, per_millis, expected) in [
            (100, 60_000, r#"ratelimit-policy: \"a\";q=100;w=60"#),
            (10, 100, r#"ratelimit-policy: \"a\";q=100;w=1"#),
            (1, 1_500, r#"ratelimit-policy: \"a\";q=1;w=2"#),
            (3, 1_500, r#"ratelimit-policy: \"a\";q=4;w=2"#),
        ] {
            let (reset, remaining) = (Duration::from_secs(1), u32::MAX);
            let told = shown(&policy("a", requests, per_millis).unwrap(), |policy, response| {
                policy.tell(Decision::Admitted { remaining, reset }, response);
            });
            assert_eq!(told, [r#"ratelimit: \"a\";r=4294967295;t=1"#, expected]);
        }
    }

    #[test]
    fn the_longest_value_has_room() {
        let policy = policy(&"n".repeat(NAME_BYTES_MAX), 1, 1_000).unwrap();
        let told = shown(&policy, |policy, response| {
            policy.tell(Decision::Admitted { remaining: u32::MAX, reset: Duration::MAX }, response);
        });
        assert!(told[0].ends_with(";r=4294967295;t=18446744073709551615"), "{}", told[0]);
    }

    #[test]
    fn names_cannot_write_fields_of_their_own() {
        for name in ["", "a b", "a\"", "a\r\nx: y", "ä", &"n".repeat(65)] {
            assert_eq!(policy(name, 1, 1_000).err(), Some(RateError::Name), "{name}");
        }
    }

    #[test]
    fn of_several_the_one_with_the_least_left_is_told() {
        let minute = Duration::from_secs(60);
        let after = |told: &str, remaining: u32| {
            let mut response = Response::text("");
            if !told.is_empty() {
                response.append(&RATE_LIMIT, &HeaderValue::from_str(told).unwrap());
                response.append(&RATE_LIMIT_POLICY, &HeaderValue::from_static("\"other\""));
            }
            policy("api", 10, 1_000).unwrap().tell_the_least((remaining, minute), &mut response);
            let values =
                response.fields().iter().filter(|(name, _)| name.to_lowercase().starts_with("ratelimit"));
            values.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>()
        };
        let own = ["\"api\";r=3;t=60", "\"api\";q=10;w=1"];
        let stays = |told: &str| [told.to_owned(), "\"other\"".to_owned()];
        assert_eq!(after("", 3), own);
        assert_eq!(after("\"other\";r=4;t=1", 3), own);
        for told in ["\"other\";r=3;t=1", "\"other\";t=1; r=0", "\"other\"", "\"other\";r=x"] {
            assert_eq!(after(told, 3), stays(told));
        }
    }

    #[test]
    fn a_dry_run_is_not_told() {
        let dry = policy("api", 1, 1_000).unwrap();
        let dry = Policy::new("api", dry.rate().dry_run(true)).unwrap();
        let decision = Decision::Admitted { remaining: 1, reset: Duration::ZERO };
        assert!(shown(&dry, |dry, response| dry.tell(decision, response)).is_empty());
    }
}
