//! An explanation against what the app does, for random tables of routes and random requests; and the parts
//! that an app without a file has.

use std::cmp::Reverse;

use ::http::{HeaderName, HeaderValue, header};
use proptest::prelude::*;

use super::*;
use crate::app::{BasicAuth, Handler, HandlerExt, Headers, Outcome, Predicate, Rewrite, Somebody, Trust};

/// A route that can be added, and answers with its number.
#[derive(Clone, Debug)]
struct Row {
    number: usize,
    method: Option<&'static str>,
    pattern: &'static str,
    predicates: Vec<Predicate>,
    /// The values of `X-Ring` and of `q` that they ask for.
    values: [Option<&'static str>; 2],
}

impl Handler for Row {
    fn handle(&self, _: &Request<'_>, response: &mut Response) -> Outcome {
        response.append(&HeaderName::from_static("x-route"), &HeaderValue::from(self.number));
        Outcome::Ready
    }

    fn predicates(&self) -> Vec<Predicate> {
        self.predicates.clone()
    }
}

fn row() -> impl Strategy<Value = Row> {
    let methods = vec![None, None, Some("GET"), Some("HEAD"), Some("PUT"), Some("BREW")];
    let patterns =
        vec!["/", "/a", "/a/b", "/{x}", "/{x}/b", "/a{x}", "/a/{x}", "/{*r}", "/a/{*r}", "/{x}/{*r}"];
    let value = || prop::sample::select(vec![None, None, Some("1"), Some("2")]);
    (prop::sample::select(methods), prop::sample::select(patterns), value(), value()).prop_map(
        |(method, pattern, ring, query)| {
            let values = [ring, query];
            let ring = ring.map(|value| Predicate::header("x-ring", value).unwrap());
            let query = query.map(|value| Predicate::query("q", value));
            Row { number: 0, method, pattern, predicates: ring.into_iter().chain(query).collect(), values }
        },
    )
}

/// What each segment of a pattern is: the less, the more specific.
fn rank(pattern: &str) -> Vec<u8> {
    let segments = pattern.split('/').skip(1);
    let ranks = segments.map(|segment| match segment.find('{') {
        None => 0,
        Some(_) if segment.starts_with("{*") => 3,
        Some(0) => 2,
        Some(_) => 1,
    });
    ranks.collect()
}

/// The model: of all routes that fit, the first by path, then by conditions, then by method.
fn model(table: &[Row], request: &::http::Request<&'static str>) -> Option<usize> {
    let method = request.method().as_str();
    let means = |row: &Row| match row.method {
        None => method != "TRACE",
        Some(own) => own == method || (own, method) == ("GET", "HEAD"),
    };
    let get = || ::http::Request::get(request.uri()).body("").unwrap();
    let matches = |row: &&Row| {
        let open = Row { method: None, predicates: Vec::new(), ..(*row).clone() };
        app(&[open]).unwrap().oneshot(get()).status() == 200
    };
    let matching: Vec<&Row> = table.iter().filter(matches).collect();
    let first = matching.iter().map(|row| rank(row.pattern)).min()?;
    if method == "OPTIONS" && !matching.iter().any(|row| rank(row.pattern) == first && means(row)) {
        return None;
    }
    let ring = request.headers().get("x-ring").map(|value| value.to_str().unwrap());
    let query = request.uri().query().map(|query| query.strip_prefix("q=").unwrap());
    let holds = |row: &&&Row| {
        [ring, query].iter().zip(row.values).all(|(sent, wanted)| wanted.is_none() || *sent == wanted)
    };
    let fitting = matching.iter().filter(|row| means(row)).filter(holds);
    let order = |row: &&&Row| {
        let conditions = row.predicates.len() + usize::from(row.method.is_some());
        let stands_in = if row.method.is_none() { 2 } else { u8::from(row.method != Some(method)) };
        (rank(row.pattern), Reverse(conditions), stands_in)
    };
    fitting.min_by_key(order).map(|row| row.number)
}

/// The app of these routes; `None` if two of them tie.
fn app(rows: &[Row]) -> Option<App> {
    rows.iter().try_fold(App::new(), |app, row| match row.method {
        Some(method) => app.try_route(method.parse().unwrap(), row.pattern, row.clone()).ok(),
        None => app.try_any(row.pattern, row.clone()).ok(),
    })
}

fn request() -> impl Strategy<Value = ::http::Request<&'static str>> {
    let methods = vec!["GET", "GET", "HEAD", "PUT", "BREW", "OPTIONS", "TRACE"];
    let paths = vec!["/", "/a", "/a/b", "/ab", "/b", "/b/b", "/a/c", "/a/b/c", "/c/d/e", "/a/../b", "/a/"];
    let value = || prop::sample::select(vec![None, Some("1"), Some("2")]);
    (prop::sample::select(methods), prop::sample::select(paths), value(), value()).prop_map(
        |(method, path, ring, query)| {
            let query = query.map(|value| format!("?q={value}")).unwrap_or_default();
            let request = ::http::Request::builder().method(method).uri(format!("{path}{query}"));
            ring.into_iter().fold(request, |request, ring| request.header("x-ring", ring)).body("").unwrap()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_names_the_route_that_answers_and_all_that_could_have(
        rows in prop::collection::vec(row(), 1..10),
        requests in prop::collection::vec(request(), 1..8),
    ) {
        let mut table: Vec<Row> = Vec::new();
        for row in rows {
            table.push(Row { number: table.len(), ..row });
            if app(&table).is_none() {
                table.pop();
            }
        }
        let whole = app(&table).unwrap();
        for request in requests {
            let answer = whole.oneshot(request.clone());
            let explanation = whole.explain(request.clone());
            let taken = answer.headers().get("x-route").map(|value| value.to_str().unwrap().to_owned());
            prop_assert_eq!(&explanation.route().map(|route| route.index().to_string()), &taken);
            let expected = model(&table, &request).map(|number| number.to_string());
            prop_assert_eq!(&taken, &expected, "{:?} {:?}", table, request);
            prop_assert_eq!(explanation.status(), Some(answer.status()));
            for row in &table {
                let lost = explanation.runners_up().iter().find(|other| other.route.index() == row.number);
                let has_won = explanation.route().is_some_and(|route| route.index() == row.number);
                // Alone, and for every request, it is asked if its path fits.
                let open = Row { method: None, predicates: Vec::new(), ..row.clone() };
                let fits = app(&[open]).unwrap().explain(request.clone()).status() == Some(StatusCode::OK);
                let is_traced = request.method() == "TRACE";
                prop_assert!(is_traced || (has_won || lost.is_some()) == fits, "{:?} {:?}", row, explanation);
                prop_assert!(!(has_won && lost.is_some()));
                let alone = app(std::slice::from_ref(row)).unwrap().explain(request.clone());
                let status = alone.status().unwrap().as_u16();
                match lost.map(|lost| &lost.why) {
                    Some(Why::Method) => prop_assert!(matches!(status, 204 | 405 | 501)),
                    Some(Why::Predicate(predicate)) => {
                        prop_assert_eq!(alone.reason(), Some(Reason::NoneFits));
                        prop_assert!(row.predicates.contains(predicate));
                    }
                    Some(Why::FewerPredicates | Why::LessSpecificMethod) => {
                        prop_assert_eq!(status, 200, "it would have answered");
                    }
                    Some(Why::LessSpecific | Why::Fallback) | None => {}
                }
            }
        }
    }
}

fn text(app: &App, method: &str, uri: &str) -> String {
    app.explain(::http::Request::builder().method(method).uri(uri).body("").unwrap()).to_string()
}

#[test]
fn an_app_without_a_file_is_explained_too() {
    let headers = Headers::new().set(header::SERVER, HeaderValue::from_static("x")).unwrap();
    let headers = headers.remove(header::CONTENT_TYPE).unwrap();
    let app = App::new()
        .layer(headers)
        .get("/", |_: &Request<'_>| "front")
        .get("/in/{room}", (|_: &Request<'_>| "room").layer(BasicAuth::new("x")).body_limit(7))
        .fallback(|_: &Request<'_>| "else");
    assert_eq!(
        text(&app, "GET", "/in/a"),
        "GET /in/a\n\nhandle\n  route        GET /in/{room}\n  parameter    room = a\n  \
         other route  *: it is for what no route is for\n  \
         auth         Basic realm=\"x\", charset=\"UTF-8\"; users: 0: answers 401 Unauthorized, \
         handler.unauthorized\n  body         at most 7 bytes\n\nrespond\n  \
         status            401 Unauthorized, handler.unauthorized\n  \
         www-authenticate  Basic realm=\"x\", charset=\"UTF-8\" (auth)\n  server            x (headers)\n  \
         content-type      not sent (headers)\n"
    );
    let explanation = app.explain(::http::Request::get("/else").body("").unwrap());
    assert_eq!(explanation.route().map(|route| app.route_of(route).pattern()), Some("*"));
    assert_eq!(explanation.site(), Some(SiteId::MAIN));
    assert!(
        text(&app, "PUT", "/").contains("\n  route        none: there are routes at this path, for GET,")
    );
    let refused = app.explain(::http::Request::get("/../x").body("").unwrap());
    assert_eq!((refused.reason(), refused.site(), refused.route()), (Some(Reason::Path), None, None));
}

#[test]
fn whose_host_it_is_and_whose_it_would_be_otherwise() {
    let site = |place: &str| App::new().any("/", |_: &Request<'_>| "").told_at(place);
    let app = App::new()
        .site(["*"], site("c:1"))
        .site(["*.example.com", "example.com"], site("c:2"))
        .site(["www.example.com"], site("c:3"));
    let sites = |host: &str| {
        let explanation = app.explain(::http::Request::get(format!("http://{host}/")).body("").unwrap());
        let steps = explanation.steps().iter().filter(|step| step.topic().ends_with("site"));
        let steps = steps.map(|step| {
            (step.text().split(':').next().unwrap().to_owned(), step.place().unwrap().to_owned())
        });
        steps.collect::<Vec<_>>()
    };
    let told = |list: &[(&str, &str)]| -> Vec<_> {
        list.iter().map(|(host, place)| (host.to_string(), place.to_string())).collect()
    };
    assert_eq!(
        sites("WWW.example.com."),
        told(&[("www.example.com", "c:3"), ("*.example.com", "c:2"), ("*", "c:1")])
    );
    assert_eq!(sites("example.com"), told(&[("example.com", "c:2"), ("*", "c:1")]));
    assert_eq!(sites("example.org"), told(&[("*", "c:1")]));
    let bare = App::new().site(["a.example"], site("c:1"));
    assert!(
        text(&bare, "GET", "http://b.example/")
            .contains("\n  site   none: there is no site for \"b.example\"\n")
    );
}

#[test]
fn a_client_is_who_a_trusted_proxy_says() {
    let app = App::new()
        .get("/", (|_: &Request<'_>| "").when(Predicate::client(["192.0.2.0/24".parse().unwrap()])));
    let trust = Trust::new(crate::app::ForwardedIn::XForwardedFor).network("10.0.0.0/8").unwrap();
    let peer = Somebody { address: [10, 0, 0, 1].into(), is_encrypted: false };
    let ask = |trust| {
        let request = ::http::Request::get("/").header("x-forwarded-for", "192.0.2.7").body("").unwrap();
        app.explain_to(request, Asker { peer: &peer, trust })
    };
    assert_eq!(ask(None).status(), Some(StatusCode::NOT_FOUND));
    let explanation = ask(Some(&trust));
    assert_eq!(explanation.status(), Some(StatusCode::OK));
    assert_eq!(explanation.steps()[0].text(), "192.0.2.7, as 10.0.0.1 tells, who is trusted");
}

#[test]
fn a_rewrite_that_was_passed_over_is_told_once() {
    let app = App::new()
        .get("/{id}", Rewrite::by(|_| None))
        .get("/a{id}", |_: &Request<'_>| "never")
        .put("/{id}", |_: &Request<'_>| "stored")
        .get("/{*rest}", |_: &Request<'_>| "anything");
    let told = |app: &App| {
        let explanation = app.explain(::http::Request::get("/x").body("").unwrap());
        let steps = explanation.steps().iter().filter(|step| step.topic().ends_with("route"));
        let rewrites = explanation.steps().iter().filter(|step| step.topic() == "rewrite");
        let steps = rewrites.chain(steps).map(|step| format!("{}: {}", step.topic(), step.text()));
        (explanation.status().unwrap().as_u16(), steps.collect::<Vec<_>>())
    };
    let rewrite = "rewrite: GET /{id}: does not fit this path";
    let (status, steps) = told(&app);
    assert_eq!(status, 200);
    assert_eq!(steps, [rewrite, "route: GET /{*rest}", "other route: PUT /{id}: it is for another method"]);
    let alone = App::new()
        .get("/{id}", Rewrite::by(|_| None))
        .put("/{*rest}", |_: &Request<'_>| "stored")
        .fallback(|_: &Request<'_>| "never");
    let (status, steps) = told(&alone);
    assert_eq!(status, 404);
    assert_eq!(
        steps,
        [
            rewrite,
            "route: none: no route's conditions hold",
            "other route: PUT /{*rest}: it is for another method",
            "other route: *: it is for what no route is for",
        ]
    );
}
