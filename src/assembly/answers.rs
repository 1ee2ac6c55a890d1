//! What changes answers, and what answers instead of a route: fields, networks.

use std::sync::Arc;

use ipnet::IpNet;

use crate::app::{FieldError, Headers, Hsts, Layer, Located, Networks};
use crate::config::{Headers as HeadersTable, Hsts as HstsTable, Origin, Placed, Problem};

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
