//! How long it takes to find the route of a path.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use kolk::app::{Asker, Nobody, Params};
use kolk::http::{FieldTable, Head, Path};
use kolk::{App, Request};

const TWELVE: [&str; 12] = [
    "/",
    "/plaintext",
    "/json",
    "/echo",
    "/bytes/{n}",
    "/stream/{n}",
    "/events",
    "/sleep/{ms}",
    "/status/{code}",
    "/users/{id}/posts/{post}",
    "/assets/{*path}",
    "/about",
];

fn nothing(_: &Request<'_>) -> &'static str {
    ""
}

fn app<'p>(patterns: impl IntoIterator<Item = &'p str>) -> App {
    patterns.into_iter().fold(App::new(), |app, pattern| app.get(pattern, nothing))
}

fn route(criterion: &mut Criterion) {
    let table = FieldTable::new();
    let head = Head::new(b"", &table);
    let mut params = Params::new();
    let asker = Asker { peer: &Nobody::default(), trust: None };
    let mut group = criterion.benchmark_group("route");

    let twelve = app(TWELVE);
    for (name, path) in [
        ("12/static", "/plaintext"),
        ("12/parameter", "/bytes/1024"),
        ("12/two-parameters", "/users/17/posts/4711"),
        ("12/rest", "/assets/css/site/main.css"),
        ("12/nothing", "/favicon.ico"),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                twelve.find(black_box(&head), black_box(Path::normalised(path)), &mut params, asker)
            });
        });
    }

    let patterns: Vec<String> = (0..5_000)
        .flat_map(|number| {
            [format!("/api/v1/resource{number}"), format!("/api/v1/resource{number}/{{id}}/parts")]
        })
        .collect();
    let many = app(patterns.iter().map(String::as_str));
    for (name, path) in [
        ("10000/static", "/api/v1/resource3217"),
        ("10000/parameter", "/api/v1/resource3217/42/parts"),
        ("10000/nothing", "/api/v1/resource9999/42/parts"),
    ] {
        group.bench_function(name, |bencher| {
            bencher
                .iter(|| many.find(black_box(&head), black_box(Path::normalised(path)), &mut params, asker));
        });
    }

    // The path is written each time, as a client's would be: what is read at random is the table alone.
    for count in [10_usize, 10_000] {
        let patterns: Vec<String> =
            (0..count).map(|number| format!("/area{:02}/item{number:05}/{{id}}", number % 97)).collect();
        let all = app(patterns.iter().map(String::as_str));
        let mut path = String::new();
        for (order, step) in [("in-sequence", 1), ("random-order", 7_919)] {
            let mut number = 0;
            group.bench_function(format!("{count}/{order}"), |bencher| {
                bencher.iter(|| {
                    number = (number + step) % count;
                    path.clear();
                    write!(path, "/area{:02}/item{number:05}/7", number % 97).expect("memory");
                    all.find(black_box(&head), black_box(Path::normalised(&path)), &mut params, asker)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, route);
criterion_main!(benches);
