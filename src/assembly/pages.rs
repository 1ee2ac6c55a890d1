//! The pages of a site: what is sent with errors, and while somebody works. Each is read once, however many
//! routes send it, and what is wrong with it is told once.
//!
//! ```text
//!  site  ─► its pages ──────────────┬─► one layer for all routes that say nothing of their own
//!  route ─► its own, before those ──┴─► a layer of its own
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use ::http::{HeaderValue, StatusCode, header};
use bytes::Bytes;

use crate::app::{App, ErrorPages, Layer, Located, Maintenance};
use crate::config::{
    Maintenance as MaintenanceTable, Map, Origin, Placed, Problem, Route, Site, StatusSet, Text,
};

use super::action::{FILE_BYTES_MAX, content};
use super::{line, noted};

/// What errors are sent with, by status and class, in the order of the file.
type Table = Placed<Map<StatusSet, Text>>;

/// A media type and what is sent.
type Page = (HeaderValue, Bytes);

/// The pages of one site.
pub(super) struct Pages<'s> {
    site: &'s Site,
    /// The site with nothing around it, where the pages are.
    bare: App,
    /// What it answers with at the paths that were asked for.
    found: BTreeMap<&'s str, Result<Page, String>>,
    /// Those of the site, which all routes have.
    usual: Vec<(u16, Page)>,
    errors: Option<Arc<dyn Layer>>,
    maintenance: Option<Arc<dyn Layer>>,
}

impl<'s> Pages<'s> {
    /// Those of `site`; `bare`: the site with nothing around it.
    pub(super) fn new(site: &'s Site, bare: App, problems: &mut Vec<Problem>) -> Self {
        let maintenance = site.maintenance.as_deref().and_then(|table| works(table, problems));
        let found = BTreeMap::new();
        let mut pages = Self { site, bare, found, usual: Vec::new(), errors: None, maintenance };
        if let Some(table) = &site.error_pages {
            pages.usual = pages.of(table, problems);
            pages.errors = Some(pages.layer(Vec::new(), [table]));
        }
        pages
    }

    /// The site.
    pub(super) const fn site(&self) -> &'s Site {
        self.site
    }

    /// What is sent with errors, if somebody has said that: the pages of the route before those of the site.
    pub(super) fn errors(
        &mut self,
        route: Option<&'s Route>,
        problems: &mut Vec<Problem>,
    ) -> Option<Arc<dyn Layer>> {
        let Some(own) = route.and_then(|route| route.error_pages.as_ref()) else {
            return self.errors.clone();
        };
        let pages = self.of(own, problems);
        Some(self.layer(pages, [own].into_iter().chain(&self.site.error_pages)))
    }

    /// Who answers everything with 503, if anybody does: what the route says counts instead of what the site
    /// says.
    pub(super) fn maintenance(
        &self,
        route: Option<&Route>,
        problems: &mut Vec<Problem>,
    ) -> Option<Arc<dyn Layer>> {
        match route.and_then(|route| route.maintenance.as_deref()) {
            Some(own) => works(own, problems),
            None => self.maintenance.clone(),
        }
    }

    /// The pages that `table` names, but those that are not there.
    fn of(&mut self, table: &'s Table, problems: &mut Vec<Problem>) -> Vec<(u16, Page)> {
        let mut pages = Vec::new();
        for (set, path) in &table.value.0 {
            let (StatusSet::Exactly(status) | StatusSet::Class(status)) = set.value;
            let bare = &self.bare;
            let found = self.found.entry(&path.value.0).or_insert_with_key(|path| page(bare, path));
            let page = noted(found.clone(), path, |message| message, problems);
            pages.extend(page.map(|page| (status, page)));
        }
        pages
    }

    /// These pages, and those of the site behind them.
    fn layer<'t>(
        &self,
        own: Vec<(u16, Page)>,
        tables: impl IntoIterator<Item = &'t Table>,
    ) -> Arc<dyn Layer> {
        let all = own.into_iter().chain(self.usual.iter().cloned());
        let pages = all.fold(ErrorPages::new(), |pages, (status, (media_type, content))| {
            pages.page(status, media_type, content)
        });
        Arc::new(Located::new(pages, line(tables.into_iter().map(|table| &table.origin))))
    }
}

/// What the site `bare` has at `path`.
fn page(bare: &App, path: &str) -> Result<Page, String> {
    // Before it is in memory.
    let head = ::http::Request::head(path).body("").map_err(|error| error.to_string())?;
    let length = bare.oneshot(head).headers().get(header::CONTENT_LENGTH).cloned();
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > FILE_BYTES_MAX) {
        return Err(format!("what this site has at {path} is larger than 16 MiB: no page is"));
    }
    let request = ::http::Request::get(path).body("").map_err(|error| error.to_string())?;
    let answer = bare.oneshot(request);
    if answer.status() != StatusCode::OK {
        let status = answer.status();
        return Err(format!("this site answers {path} with {status}: it has no such page"));
    }
    let media_type = answer.headers().get(header::CONTENT_TYPE).cloned();
    Ok((media_type.unwrap_or(HeaderValue::from_static("text/html")), answer.into_body()))
}

fn works(table: &MaintenanceTable, problems: &mut Vec<Problem>) -> Option<Arc<dyn Layer>> {
    if !table.on.value {
        return None;
    }
    let mut works = Maintenance::new().except(table.except.value.iter().map(|network| network.value));
    if let Some(wait) = &table.retry_after {
        works = works.retry_after(wait.value);
    }
    if let Some(file) = &table.file {
        let (content, media_type) = content(&file.value.0, file, problems)?;
        works = works.page(media_type, content);
    }
    Some(Arc::new(Located::new(works, line([origin_of(table)]))))
}

/// The line of the first key that a file has.
fn origin_of(table: &MaintenanceTable) -> &Origin {
    let (wait, file) = (table.retry_after.as_ref(), table.file.as_ref());
    let rest = wait.map(|wait| &wait.origin).into_iter().chain(file.map(|file| &file.origin));
    let all = [&table.on.origin].into_iter().chain(rest).chain([&table.except.origin]);
    all.clone().find(|origin| origin.place().is_some()).unwrap_or(&table.on.origin)
}
