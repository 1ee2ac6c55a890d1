//! [`Explanation`]: who decided what about one request, and where that was told; as text and as JSON.
//!
//! ```text
//!  GET http://example.com/users/7 from 192.0.2.7
//!
//!  handle
//!    site         example.com                                   # kolk.toml:1
//!    route        any method /users/{id}                        # kolk.toml:4
//!    other route  GET /{*file}: its path is less specific       # kolk.toml:7
//! ```
//! Invariant: the steps stand in the order in which the stages are passed. Knows no app.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use ::http::StatusCode;

use crate::app::predicate::Predicate;
use crate::app::push_json;
use crate::app::route::RouteId;
use crate::app::site::SiteId;
use crate::http::Reason;

/// Where the places stand, in columns, if the decisions leave room.
const PLACE_COLUMN: usize = 64;

/// The field that says who has answered, and what it says where no server is known.
pub(super) const SERVER: &str = "server";
pub(super) const SERVER_NAME: &str = "(the server's name)";

/// What becomes of a request, who decided it, and where they were told to. See
/// [`App::explain`](crate::App::explain).
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Method, URI and client.
    pub(super) question: String,
    pub(super) site: Option<SiteId>,
    pub(super) route: Option<RouteId>,
    pub(super) runners_up: Vec<RunnerUp>,
    pub(super) status: Option<StatusCode>,
    pub(super) reason: Option<Reason>,
    pub(super) steps: Vec<Step>,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    stage: Stage,
    topic: Arc<str>,
    text: String,
    place: Option<Arc<str>>,
}

/// The stages of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// A connection gets its slot.
    Accept,
    /// Bytes become a head.
    Parse,
    /// The route is chosen, and decides.
    Handle,
    /// The answer leaves.
    Respond,
}

/// A route that could have answered, and did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerUp {
    /// Which one.
    pub route: RouteId,
    /// Why it did not.
    pub why: Why,
}

/// Why a route did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It is for another method.
    Method,
    /// This does not hold of the request.
    Predicate(Predicate),
    /// The route that answered has more conditions, and not only because of its method.
    FewerPredicates,
    /// The route that answered is for this method alone, and has as many predicates: a route for any method
    /// is less specific, and for HEAD so is one for GET.
    LessSpecificMethod,
    /// A pattern that is more specific has a route that answers, or kolk itself told its methods.
    LessSpecific,
    /// It is for what no route is for.
    Fallback,
}

impl Explanation {
    /// Of what is never answered: nobody listens there, or there is no connection.
    #[cfg(feature = "config")]
    pub(crate) fn unanswered(question: String) -> Self {
        let steps = vec![Step::new(Stage::Respond, "status", "none: there is no answer")];
        let (site, route, runners_up) = (None, None, Vec::new());
        Self { question, site, route, runners_up, status: None, reason: None, steps }
    }

    /// The same, with what was decided before: by whoever listens, for one.
    #[must_use]
    pub fn behind(mut self, steps: Vec<Step>) -> Self {
        self.steps.splice(0..0, steps);
        self
    }

    /// The same, with what is decided last.
    #[cfg(feature = "config")]
    pub(crate) fn before(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.steps.extend(steps);
        self
    }

    /// The same where the server calls itself so, or does not, if it has no `name`, as is told at `place`.
    #[must_use]
    pub fn served_as(mut self, name: Option<&str>, place: &str) -> Self {
        let by_name = |step: &Step| step.topic() == SERVER && step.text() == SERVER_NAME;
        if let Some(step) = self.steps.iter_mut().find(|step| by_name(step)) {
            *step = Step::new(Stage::Respond, SERVER, name.unwrap_or("not sent")).at(Some(place));
        }
        self
    }

    /// The route that the request was given to; none if no route is for it.
    pub const fn route(&self) -> Option<RouteId> {
        self.route
    }

    /// The site that the request belongs to; none if it was refused before that was asked.
    pub const fn site(&self) -> Option<SiteId> {
        self.site
    }

    /// The other routes whose patterns match the path, the most specific first.
    pub fn runners_up(&self) -> &[RunnerUp] {
        &self.runners_up
    }

    /// The status of the answer; none if there is no answer, as where nobody listens.
    pub const fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// Why kolk made the answer itself; none for a handler's.
    pub const fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// Everything that was decided, in the order of the stages.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// All of it as a JSON object; each step has a line.
    pub fn to_json(&self) -> String {
        let mut json = String::from("{\n\"request\": ");
        push_json(&mut json, self.question.as_bytes());
        let status = self.status.map_or_else(|| "null".to_owned(), |status| status.as_u16().to_string());
        let _ = write!(json, ",\n\"status\": {status},\n\"reason\": ");
        push_json_or_null(&mut json, self.reason.map(Reason::code));
        json.push_str(",\n\"steps\": [");
        for (number, step) in self.steps.iter().enumerate() {
            json.push_str(if number == 0 { "\n" } else { ",\n" });
            for (name, value) in [
                ("{\"stage\": ", step.stage.name()),
                (", \"topic\": ", step.topic()),
                (", \"says\": ", step.text()),
            ] {
                json.push_str(name);
                push_json(&mut json, value.as_bytes());
            }
            json.push_str(", \"place\": ");
            push_json_or_null(&mut json, step.place());
            json.push('}');
        }
        json.push_str("\n]\n}\n");
        json
    }
}

impl Step {
    /// What was decided in `stage` about `topic`.
    pub fn new(stage: Stage, topic: impl Into<Arc<str>>, text: impl Into<String>) -> Self {
        Self { stage, topic: topic.into(), text: text.into(), place: None }
    }

    /// The same, with the place where it was told.
    #[must_use]
    pub fn at(self, place: Option<impl Into<Arc<str>>>) -> Self {
        Self { place: place.map(Into::into), ..self }
    }

    /// The same, with more words.
    pub(super) fn and(mut self, more: &str) -> Self {
        self.text.push_str(more);
        self
    }

    /// When it is decided.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// What it is about: `route`, `other route`, `rate`, `status`; of fields of the answer, their name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The decision.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it was told, as `kolk.toml:12`, if that is known.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// The decision as people and tests compare it: without what changes with every copy of a file, or with
    /// every request.
    fn lasting(&self) -> &str {
        let multipart = "multipart/byteranges; boundary=";
        match self.topic() {
            _ if self.stage != Stage::Respond => &self.text,
            "etag" | "last-modified" => "(changes with the content)",
            "x-request-id" | "traceparent" => "(differs each time)",
            "content-type" if self.text.starts_with(multipart) => "multipart/byteranges; boundary=…",
            _ => &self.text,
        }
    }
}

impl Stage {
    /// Its name: `handle`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Parse => "parse",
            Self::Handle => "handle",
            Self::Respond => "respond",
        }
    }
}

/// For people, and for comparing: each decision has a line, its place stands behind a `#`.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", visible(&self.question))?;
        for stage in self.steps.chunk_by(|one, other| one.stage == other.stage) {
            let width = stage.iter().map(|step| step.topic.chars().count()).max().unwrap_or(0);
            writeln!(f, "\n{}", stage[0].stage.name())?;
            for step in stage {
                let line = format!("  {:width$}  {}", step.topic(), visible(step.lasting()));
                match step.place() {
                    Some(place) => writeln!(f, "{line:PLACE_COLUMN$}  # {place}")?,
                    None => writeln!(f, "{}", line.trim_end())?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method => f.write_str("it is for another method"),
            Self::Predicate(predicate) => write!(f, "`{predicate}` does not hold"),
            Self::FewerPredicates => f.write_str("it has fewer conditions"),
            Self::LessSpecificMethod => f.write_str("its method is less specific"),
            Self::LessSpecific => f.write_str("its path is less specific"),
            Self::Fallback => f.write_str("it is for what no route is for"),
        }
    }
}

/// A status as a person reads it, and the code of its reason.
pub(super) fn told(status: StatusCode, reason: Option<Reason>) -> String {
    let title = status.canonical_reason().unwrap_or("Unknown");
    let reason = reason.map(|reason| format!(", {}", reason.code())).unwrap_or_default();
    format!("{} {title}{reason}", status.as_u16())
}

/// A text that stays on its line, whatever a client has sent.
fn visible(text: &str) -> String {
    let shown =
        |letter: char| if letter.is_control() { letter.escape_default().to_string() } else { letter.into() };
    text.chars().map(shown).collect()
}

fn push_json_or_null(json: &mut String, text: Option<&str>) {
    match text {
        Some(text) => push_json(json, text.as_bytes()),
        None => json.push_str("null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Explanation {
        let status = StatusCode::BAD_REQUEST;
        let steps = vec![Step::new(Stage::Respond, "status", told(status, Some(Reason::Path)))];
        Explanation {
            question: "GET /".into(),
            site: None,
            route: None,
            runners_up: Vec::new(),
            status: Some(status),
            reason: Some(Reason::Path),
            steps,
        }
    }

    fn explanation(text: &str) -> Explanation {
        let step = Step::new(Stage::Parse, "path", text).at(Some("kolk.toml:7"));
        refused().behind(vec![step])
    }

    #[test]
    fn whatever_is_asked_each_decision_has_one_line() {
        let text = explanation("/a\nhandle\u{1b}[2J").to_string();
        assert_eq!(
            text,
            "GET /\n\nparse\n  path  /a\\nhandle\\u{1b}[2J                                       # kolk.toml:7\n\
             \nrespond\n  status  400 Bad Request, parse.path\n"
        );
    }

    #[test]
    fn what_differs_each_time_is_not_compared() {
        let answer = |random: &str| {
            let fields = [
                ("content-type", format!("multipart/byteranges; boundary={random}")),
                ("x-request-id", random.to_owned()),
                ("traceparent", format!("00-{random}-01")),
                ("etag", format!("\"{random}\"")),
            ];
            let steps = fields.map(|(name, value)| Step::new(Stage::Respond, name, value));
            refused().behind(steps.into())
        };
        assert_eq!(answer("0af7").to_string(), answer("b7ad").to_string());
        assert_ne!(answer("0af7").to_json(), answer("b7ad").to_json());
    }

    #[test]
    fn the_same_as_json() {
        assert_eq!(
            explanation("a \"b\"\n").to_json(),
            "{\n\"request\": \"GET /\",\n\"status\": 400,\n\"reason\": \"parse.path\",\n\"steps\": [\n\
             {\"stage\": \"parse\", \"topic\": \"path\", \"says\": \"a \\\"b\\\"\\n\", \"place\": \"kolk.toml:7\"},\n\
             {\"stage\": \"respond\", \"topic\": \"status\", \"says\": \"400 Bad Request, parse.path\", \
             \"place\": null}\n]\n}\n"
        );
    }
}
