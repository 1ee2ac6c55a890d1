//! [`Query`]: what the visitor of a folder asked for. What is unknown is as if it were not there.
//!
//! ```text
//!  ?sort=name|size|date & order=asc|desc & format=html|json & download=tar.gz          Accept: …
//! ```
//! RFC 9110 §12.4.2, §12.5.1.

/// What the query of a request for a folder says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::app::files) struct Query {
    pub(super) sort: Sort,
    pub(super) order: Order,
    format: Option<Format>,
    download: bool,
}

/// What the entries are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Name,
    Size,
    Date,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Ascending,
    Descending,
}

/// How a folder is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::app::files) enum Format {
    /// A page.
    #[default]
    Html,
    /// An array of objects.
    Json,
}

impl Query {
    /// What stands behind the `?`. The first word of each kind that is known counts.
    pub(in crate::app::files) fn parse(query: Option<&str>) -> Self {
        let (mut sort, mut order, mut format, mut download) = (None, None, None, false);
        for pair in query.unwrap_or_default().split('&') {
            match pair {
                "sort=name" => sort = sort.or(Some(Sort::Name)),
                "sort=size" => sort = sort.or(Some(Sort::Size)),
                "sort=date" => sort = sort.or(Some(Sort::Date)),
                "order=asc" => order = order.or(Some(Order::Ascending)),
                "order=desc" => order = order.or(Some(Order::Descending)),
                "format=html" => format = format.or(Some(Format::Html)),
                "format=json" => format = format.or(Some(Format::Json)),
                "download=tar.gz" => download = true,
                _ => {}
            }
        }
        Self { sort: sort.unwrap_or_default(), order: order.unwrap_or_default(), format, download }
    }

    /// Whether the whole folder is wanted as an archive.
    pub(in crate::app::files) const fn wants_archive(self) -> bool {
        self.download
    }

    /// How the folder is shown: as the query says, else as the field `Accept` does; a page unless JSON is
    /// preferred.
    pub(in crate::app::files) fn format(self, accept: Option<&str>) -> Format {
        self.format.unwrap_or_else(|| {
            let accept = accept.unwrap_or("*/*");
            let prefers_json = quality(accept, "application", "json") > quality(accept, "text", "html");
            if prefers_json { Format::Json } else { Format::Html }
        })
    }

    /// The same order for the links to other folders; nothing for the order that they have anyway.
    pub(super) fn for_links(self) -> String {
        let is_default = (self.sort, self.order) == (Sort::default(), Order::default());
        if is_default { String::new() } else { reference(self.sort, self.order) }
    }
}

impl Order {
    pub(super) const fn reversed(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }
}

/// The query that asks for an order, as it stands in an attribute.
pub(super) fn reference(sort: Sort, order: Order) -> String {
    let sort = match sort {
        Sort::Name => "name",
        Sort::Size => "size",
        Sort::Date => "date",
    };
    let order = match order {
        Order::Ascending => "asc",
        Order::Descending => "desc",
    };
    format!("?sort={sort}&amp;order={order}")
}

/// How much a client wants `kind/subtype`, in thousandths: its most specific range counts.
fn quality(accept: &str, kind: &str, subtype: &str) -> u16 {
    let mut best = (0, 0);
    for element in accept.split(',') {
        let mut parts = element.split(';').map(str::trim);
        let Some((one, other)) = parts.next().and_then(|range| range.split_once('/')) else { continue };
        let specificity = match (one.eq_ignore_ascii_case(kind), other.eq_ignore_ascii_case(subtype)) {
            (true, true) => 3,
            (true, false) if other == "*" => 2,
            _ if (one, other) == ("*", "*") => 1,
            _ => continue,
        };
        if specificity > best.0 {
            best = (specificity, parts.find_map(weight).unwrap_or(1_000));
        }
    }
    best.1
}

/// `q=0.5` in thousandths; a weight that is none is 0. Nothing for another parameter.
fn weight(parameter: &str) -> Option<u16> {
    let (name, number) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let number = number.trim();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_weight = fraction.len() <= 3 && fraction.bytes().all(|digit| digit.is_ascii_digit());
    match whole {
        "1" => Some(1_000),
        "0" if is_weight => format!("{fraction:0<3}").parse().ok(),
        _ => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_as_if_it_were_not_there() {
        assert_eq!(Query::parse(None), Query::default());
        for query in
            ["", "&&=&", "sort", "sort=", "sort=NAME", "order=up", "download=zip", "format=xml", "x=%"]
        {
            assert_eq!(Query::parse(Some(query)), Query::default(), "{query}");
        }
        let query = Query::parse(Some("x&sort=up&sort=size&sort=date&order=desc&order=asc&download=tar.gz"));
        assert_eq!((query.sort, query.order), (Sort::Size, Order::Descending));
        assert!(query.wants_archive());
        assert_eq!(query.for_links(), "?sort=size&amp;order=desc");
        assert_eq!(Query::parse(Some("sort=name&order=asc")).for_links(), "");
    }

    #[test]
    fn rfc_9110_12_5_1_json_only_where_it_is_preferred() {
        use Format::{Html, Json};
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        for (accept, format) in [
            ("", Html),
            ("*/*", Html),
            (browser, Html),
            ("application/json", Json),
            ("Application/JSON ; charset=utf-8", Json),
            ("application/*", Json),
            ("application/json, text/html", Html),
            ("application/json, text/html;q=0.9", Json),
            ("application/json;q=0.5, */*;q=0.1", Json),
            ("application/json;q=0.1, */*;q=0.5", Html),
            ("application/json;q=0", Html),
            ("application/json;Q=0.001", Json),
            ("text/*;q=0.2, application/json;q=0.3, text/html;q=0.4", Html),
            ("application/json;q=much, text/html;q=0.1", Html),
            ("image/png", Html),
            ("/,;;,q=1,json", Html),
        ] {
            assert_eq!(Query::default().format(Some(accept)), format, "{accept}");
        }
        assert_eq!(Query::default().format(None), Html);
        assert_eq!(Query::parse(Some("format=json")).format(Some(browser)), Json);
        assert_eq!(Query::parse(Some("format=html")).format(Some("application/json")), Html);
    }
}
