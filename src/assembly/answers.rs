//! What changes answers, and what answers instead of a route: fields, pages for errors, maintenance,
//! networks.

use std::sync::Arc;

use ::http::{HeaderValue, StatusCode, header};
use ipnet::IpNet;

use crate::app::{App, ErrorPages, FieldError, Headers, Hsts, Layer, Located, Maintenance, Networks};
use crate::config::{
    Headers as HeadersTable, Hsts as HstsTable, Maintenance as MaintenanceTable, Origin, Placed, Problem,
    Route, Site, StatusSet,
};

use super::action::content;
use super::{line, noted};

/// What the field lines of answers become, and where each was told; `named` is the line that wants them.
pub(super) fn located(headers: Headers, table: &HeadersTable, named: &Origin) -> Located {
    let removed = table.remove.iter().flat_map(|names| &names.value);
    let removed = removed.map(|name| (name.value.0.clone(), &name.origin));
    let set = table.set.iter().flat_map(|map| &map.value.0);
    let set = set.map(|(name, _)| (name.value.0.clone(), &name.origin));
    let added = table.add.iter().flat_map(|map| &map.value.0);
    let added = added.map(|(name, _)| (name.value.0.clone(), &name.origin));
    // The first counts: whoever adds or sets has the last word.
    let fields = added.chain(set).chain(removed);
    fields.fold(Located::new(headers, line([named])), |located, (name, origin)| {
        located.field(name, line([origin]))
    })
}

/// What the field lines of answers become.
pub(super) fn headers(table: &HeadersTable, problems: &mut Vec<Problem>) -> Option<Headers> {
    let told = |error: FieldError| error.to_string();
    let mut headers = Headers::new();
    for name in table.remove.iter().flat_map(|names| &names.value) {
        headers = noted(headers.remove(name.value.0.clone()), name, told, problems)?;
    }
    for (name, value) in table.set.iter().flat_map(|map| &map.value.0) {
        headers = noted(headers.set(name.value.0.clone(), value.value.clone()), name, told, problems)?;
    }
    for (name, values) in table.add.iter().flat_map(|map| &map.value.0) {
        for value in &values.value {
            headers = noted(headers.add(name.value.0.clone(), value.value.clone()), name, told, problems)?;
        }
    }
    Some(headers)
}

pub(super) fn hsts(table: &HstsTable) -> Hsts {
    let hsts = Hsts::new(table.max_age.value);
    let hsts = if table.include_subdomains.value { hsts.subdomains() } else { hsts };
    if table.preload.value { hsts.preload() } else { hsts }
}

/// The line of the first key that a file has.
pub(super) fn origin_of(table: &MaintenanceTable) -> &Origin {
    let (wait, file) = (table.retry_after.as_ref(), table.file.as_ref());
    let rest = wait.map(|wait| &wait.origin).into_iter().chain(file.map(|file| &file.origin));
    let all = [&table.on.origin].into_iter().chain(rest).chain([&table.except.origin]);
    all.clone().find(|origin| origin.place().is_some()).unwrap_or(&table.on.origin)
}

pub(super) fn maintenance(table: &MaintenanceTable, problems: &mut Vec<Problem>) -> Option<Maintenance> {
    let mut works = Maintenance::new().except(table.except.value.iter().map(|network| network.value));
    if let Some(wait) = &table.retry_after {
        works = works.retry_after(wait.value);
    }
    if let Some(file) = &table.file {
        let (content, media_type) = content(&file.value.0, file, problems)?;
        works = works.page(media_type, content);
    }
    Some(works)
}

type NetworkList = Placed<Vec<Placed<IpNet>>>;

/// Who is let in by where they are, if anything is said of that.
pub(super) fn networks(allow: Option<&NetworkList>, deny: Option<&NetworkList>) -> Option<Arc<dyn Layer>> {
    let all = |list: &NetworkList| list.value.iter().map(|network| network.value).collect::<Vec<_>>();
    if allow.is_none() && deny.is_none() {
        return None;
    }
    let networks = allow.map_or_else(Networks::new, |list| Networks::new().allow(all(list)));
    let networks = networks.deny(deny.map(all).unwrap_or_default());
    let origins = [allow, deny].into_iter().flatten().map(|list| &list.origin);
    Some(Arc::new(Located::new(networks, line(origins))))
}

/// The pages for errors, those of the route first: what `bare`, the site with nothing around it, has at their
/// paths.
pub(super) fn error_pages(
    site: &Site,
    route: Option<&Route>,
    bare: &App,
    problems: &mut Vec<Problem>,
) -> Option<Located> {
    let tables = [route.and_then(|route| route.error_pages.as_ref()), site.error_pages.as_ref()];
    if tables.iter().all(Option::is_none) {
        return None;
    }
    let mut pages = ErrorPages::new();
    for (set, path) in tables.into_iter().flatten().flat_map(|map| &map.value.0) {
        let (StatusSet::Exactly(status) | StatusSet::Class(status)) = set.value;
        let request = ::http::Request::get(&*path.value.0).body("");
        let answer = request.map(|request| bare.oneshot(request)).map_err(|error| error.to_string());
        let found = answer.and_then(|answer| match answer.status() {
            StatusCode::OK => Ok(answer),
            status => Err(format!("this site answers {} with {status}: it has no such page", path.value.0)),
        });
        let page = noted(found, path, |message| message, problems)?;
        let media_type = page.headers().get(header::CONTENT_TYPE).cloned();
        let media_type = media_type.unwrap_or(HeaderValue::from_static("text/html"));
        pages = pages.page(status, media_type, page.into_body());
    }
    Some(Located::new(pages, line(tables.into_iter().flatten().map(|table| &table.origin))))
}
