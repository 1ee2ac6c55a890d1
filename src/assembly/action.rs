//! What a route does, as a handler.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use ::http::{HeaderValue, header};

use crate::app::{
    Coding as CodingOf, Compression, Handler, IntoHandler, Links as LinksOf, Redirect, Request, Rewrite,
    StaticDir, plain_host,
};
use crate::config::{
    Action, Coding, Compress, Etags, Links, Origin, Part, Placed, Problem, Regex, Respond,
    Rewrite as RewriteTable, Rewriting, StaticFiles, Template,
};
use crate::http::Response;
use crate::sys::regular;

use super::noted;

/// The largest file that is kept in memory as a whole answer, in bytes.
pub(super) const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The handler of `action`; `compress`: how its answers are.
pub(super) fn handler(
    action: Action<'_>,
    compress: &Compress,
    problems: &mut Vec<Problem>,
) -> Option<Arc<dyn Handler>> {
    match action {
        Action::Static(files) => Some(Arc::new(static_dir(files, compress, problems)?)),
        Action::Respond(respond) => {
            let response = response(respond, problems)?.into_handler();
            Some(Arc::new(response.compress(&compression(compress))))
        }
        Action::Redirect(redirect) => {
            let to = Redirect::to(&redirect.to.value.text());
            let to = noted(to, &redirect.to, |error| error.to_string(), problems)?;
            Some(Arc::new(to.status(redirect.status.value.0)))
        }
        Action::Rewrite(rewrite) => Some(Arc::new(rewriting(rewrite)?)),
    }
}

/// Where it was told.
pub(super) const fn origin<'a>(action: &Action<'a>) -> &'a Origin {
    match *action {
        Action::Static(files) => &files.root.origin,
        Action::Respond(respond) => match (&respond.status.origin, &respond.text, &respond.file) {
            (Origin::Default, Some(text), _) => &text.origin,
            (Origin::Default, None, Some(file)) => &file.origin,
            (status, _, _) => status,
        },
        Action::Redirect(redirect) => &redirect.to.origin,
        Action::Rewrite(rewrite) => &rewrite.origin,
    }
}

fn static_dir(files: &StaticFiles, compress: &Compress, problems: &mut Vec<Problem>) -> Option<StaticDir> {
    let root = &files.root.value.0;
    let opened = StaticDir::open(root);
    let mut site = noted(opened, &files.root, |error| format!("{}: {error}", root.display()), problems)?
        .links(match files.links.value {
            Links::Inside => LinksOf::Inside,
            Links::Follow => LinksOf::Follow,
            Links::Refuse => LinksOf::Refuse,
        })
        .hidden(files.hidden.value)
        .index(files.index.value.iter().map(|name| name.value.0.clone()))
        .clean_urls(files.clean_urls.value)
        .listing(files.listing.value)
        .archives(files.archives.value)
        .precompressed(files.precompressed.value)
        .codings(codings(compress))
        .compressed_from(compress.min.value.0)
        .content_etags(files.etags.value == Etags::Content)
        .cache_bytes(usize::try_from(files.memory.value.0).unwrap_or(usize::MAX));
    if let Some(name) = &files.spa {
        site = site.fallback(name.value.0.clone());
    }
    if let Some(name) = &files.not_found {
        site = site.not_found(name.value.0.clone());
    }
    for (glob, value) in files.cache_control.iter().flat_map(|map| &map.value.0) {
        site = site.cache_control(&glob.value.0, value.value.to_str().unwrap_or_default());
    }
    for (extension, value) in files.media_types.iter().flat_map(|map| &map.value.0) {
        site = site.media_type(&extension.value.0, value.value.to_str().unwrap_or_default());
    }
    Some(site)
}

/// How answers are compressed.
pub(super) fn compression(compress: &Compress) -> Compression {
    Compression::new().codings(codings(compress)).from_bytes(compress.min.value.0)
}

fn codings(compress: &Compress) -> impl Iterator<Item = CodingOf> {
    compress.codings.value.iter().map(|coding| match coding.value {
        Coding::Zstd => CodingOf::Zstd,
        Coding::Br => CodingOf::Brotli,
        Coding::Gzip => CodingOf::Gzip,
    })
}

fn response(respond: &Respond, problems: &mut Vec<Problem>) -> Option<Response> {
    let mut response = Response::new(respond.status.value);
    if let Some(text) = &respond.text {
        response = Response::text(text.value.clone()).with_status(respond.status.value);
    }
    if let Some(file) = &respond.file {
        let path = &file.value.0;
        let (content, media_type) = content(path, file, problems)?;
        response = Response::new(respond.status.value)
            .with_body(content)
            .with_header(header::CONTENT_TYPE, media_type);
    }
    if let Some(media_type) = &respond.content_type {
        response = response.with_header(header::CONTENT_TYPE, media_type.value.clone());
    }
    // Who says only a status has nothing of his own to say: that is a refusal, which may have a page.
    let is_bare = respond.text.is_none() && respond.file.is_none();
    if is_bare && respond.status.value.as_u16() >= 400 {
        response = Response::error(respond.status.value);
    }
    Some(response)
}

/// A whole file, and the media type that its name means.
pub(super) fn content<T>(
    path: &Path,
    placed: &Placed<T>,
    problems: &mut Vec<Problem>,
) -> Option<(Vec<u8>, HeaderValue)> {
    let told = |error: std::io::Error| match error.kind() {
        ErrorKind::FileTooLarge => {
            format!("{} is larger than 16 MiB: serve it with `static`", path.display())
        }
        _ => format!("{}: {error}", path.display()),
    };
    let content = noted(regular::read(path, FILE_BYTES_MAX), placed, told, problems)?;
    let media_type = HeaderValue::from_static(StaticDir::media_type_of(path));
    Some((content, media_type))
}

fn rewriting(rewrite: &RewriteTable) -> Option<Rewrite> {
    Some(match rewrite.rewriting()? {
        Rewriting::Strip(prefix) => Rewrite::strip_prefix(prefix),
        Rewriting::Replace { regex, to } => {
            let (regex, to) = (regex.cloned(), to.clone());
            Rewrite::by(move |request| filled(&to, regex.as_ref(), request))
        }
    })
}

/// The template with what stands for its placeholders; `None` if the path does not look as it should.
fn filled(to: &Template, regex: Option<&Regex>, request: &Request<'_>) -> Option<String> {
    let groups = match regex {
        Some(regex) => Some(regex.0.captures(request.path())?),
        None => None,
    };
    let group = |name: &str| match (&groups, name.parse()) {
        (Some(groups), Ok(number)) => groups.get(number),
        (Some(groups), Err(_)) => groups.name(name),
        (None, _) => None,
    };
    let mut path = String::new();
    for part in to.parts() {
        match part {
            Part::Text(text) => path.push_str(text),
            Part::Placeholder(name) => match (group(name), request.param(name)) {
                (Some(group), _) => path.push_str(group.as_str()),
                (None, Some(value)) => path.push_str(value),
                (None, None) if name == "path" => path.push_str(request.path()),
                (None, None) if name == "host" => {
                    path.push_str(&plain_host(request.host().unwrap_or_default()))
                }
                // A group that nothing stands in.
                (None, None) => {}
            },
        }
    }
    Some(path)
}
