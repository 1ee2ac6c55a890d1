//! [`Page`]: the metrics of a server, as it tells them to Prometheus.
//!
//! ```text
//!  kolk_requests_total{class="2xx"} 42      name, labels, value
//! ```
//! What is not understood is left out. <https://prometheus.io/docs/instrumenting/exposition_formats/>

/// The samples of one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Page {
    /// The samples that `text` tells.
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self { samples: lines.filter_map(Sample::parse).collect() }
    }

    /// Whether it is that of a kolk.
    pub(super) fn is_ours(&self) -> bool {
        self.samples.iter().any(|sample| sample.name == "kolk_build_info")
    }

    /// The sum of all samples of this name; 0 without any.
    pub(super) fn sum(&self, name: &str) -> f64 {
        self.named(name).map(|sample| sample.value).sum()
    }

    /// The samples of this name by the value of a label, in their order.
    pub(super) fn by<'p>(&'p self, name: &'p str, label: &'p str) -> impl Iterator<Item = (&'p str, f64)> {
        self.named(name).filter_map(move |sample| Some((sample.label(label)?, sample.value)))
    }

    /// The samples of this name by the values of several labels, in their order.
    pub(super) fn by_all<'p, const N: usize>(
        &'p self,
        name: &'p str,
        labels: [&'p str; N],
    ) -> impl Iterator<Item = ([&'p str; N], f64)> {
        self.named(name).filter_map(move |sample| {
            let values = labels.map(|label| sample.label(label));
            values.iter().all(Option::is_some).then(|| (values.map(Option::unwrap_or_default), sample.value))
        })
    }

    /// The sum of the samples of this name with this label.
    pub(super) fn of(&self, name: &str, label: &str, value: &str) -> f64 {
        self.by(name, label).filter(|(of, _)| *of == value).map(|(_, sum)| sum).sum()
    }

    /// The buckets of a histogram whose labels are also these: bounds in seconds, and how many are below.
    pub(super) fn buckets(&self, name: &str, labels: &[(&str, &str)]) -> Vec<(f64, f64)> {
        let has_all = |sample: &&Sample| labels.iter().all(|(name, of)| sample.label(name) == Some(of));
        let bucket = |sample: &Sample| Some((sample.label("le")?.parse().ok()?, sample.value));
        self.named(name).filter(has_all).filter_map(bucket).collect()
    }

    fn named<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p Sample> {
        self.samples.iter().filter(move |sample| sample.name == name)
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels_of(labels.strip_suffix('}')?)?),
            None => (series, Vec::new()),
        };
        Some(Self { name: name.to_owned(), labels, value: value.parse().ok()? })
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| &**value)
    }
}

/// `a="b",c="d"`, with `\\`, `\"` and `\n` within the values.
fn labels_of(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"")?;
        let (mut value, mut rest) = (String::new(), rest.chars());
        loop {
            match rest.next()? {
                '"' => break,
                '\\' => value.push(match rest.next()? {
                    'n' => '\n',
                    other => other,
                }),
                other => value.push(other),
            }
        }
        labels.push((name.to_owned(), value));
        text = rest.as_str();
        text = text.strip_prefix(',').unwrap_or(text);
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_names_labels_and_values() {
        let page = Page::parse(
            "# HELP a b\na 1\na{x=\"y\"} 2.5\na{x=\"z\",le=\"0.1\"} 3\na{x=\"q\\\"\\\\\\n\"} 4\n\
             a{x=\"broken} 5\nb notanumber\n\nh{le=\"+Inf\"} 7\n",
        );
        assert!(page.sum("a") == 10.5 && page.sum("b") == 0.0);
        assert_eq!(page.by("a", "x").collect::<Vec<_>>(), [("y", 2.5), ("z", 3.0), ("q\"\\\n", 4.0)]);
        assert_eq!(page.by_all("a", ["le", "x"]).collect::<Vec<_>>(), [(["0.1", "z"], 3.0)]);
        assert_eq!(page.buckets("a", &[("x", "z")]), [(0.1, 3.0)]);
        assert_eq!(page.buckets("h", &[]), [(f64::INFINITY, 7.0)]);
        assert!(!page.is_ours() && Page::parse("kolk_build_info{version=\"1\"} 1").is_ours());
    }
}
