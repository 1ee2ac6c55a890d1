//! [`Router`]: finds the most specific pattern of a path; [`Params`]: what its parameters matched.
//!
//! ```text
//!  /about ─────────────────────────► table of whole paths                 one probe
//!  /users/7/files/a/b ─► root ─"users"─► · ─{ }─► · ─"files"─► · ─{* }─►  one probe a segment
//! ```
//! A tree of segments for the patterns with parameters; all literal edges of all nodes are in one hash
//! table, and whole paths in another, so that nobody looks for them where there are none. What is behind an
//! edge and needs no tree (the end of a pattern, or one parameter more) stands at the edge itself: of many
//! patterns most are found with one look at memory that no cache has. Per segment a
//! literal wins over an affixed parameter (the longer affixes first), this over a whole one, this over the
//! rest: the first path through the tree in that order is the most specific pattern, whatever the order of
//! registration. A path through the tree that ends nowhere, or at a pattern that is not wanted, is left for
//! the next one; no node is visited twice, so the work is bounded by the patterns. Nothing is allocated.

use std::cmp::Reverse;

use super::pattern::{PARAMS_MAX, Pattern, Segment};
use super::table::Table;
use crate::http::{Path, Span};

/// What the parameters of a pattern matched: places in the path, in the order of their names.
#[derive(Clone, Debug)]
pub struct Params {
    spans: [Span; PARAMS_MAX],
    count: u8,
}

impl Params {
    /// None.
    pub const fn new() -> Self {
        Self { spans: [Span::new(0, 0); PARAMS_MAX], count: 0 }
    }

    /// Forgets all.
    #[inline]
    pub const fn clear(&mut self) {
        self.count = 0;
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Where the parameter of this index is in the path.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Span> {
        self.spans[..self.len()].get(index).copied()
    }

    /// The whole path behind its first slash.
    pub(super) fn set_rest(&mut self, path: Path<'_>) {
        self.clear();
        let length = path.as_bytes().len();
        self.push(length.min(1), length);
    }

    /// Notes one more. Patterns have at most [`PARAMS_MAX`], paths are checked to fit a [`Span`].
    #[inline]
    fn push(&mut self, start: usize, end: usize) {
        if let (Ok(start), Ok(end), Some(span)) =
            (u16::try_from(start), u16::try_from(end), self.spans.get_mut(usize::from(self.count)))
        {
            *span = Span::new(start, end);
            self.count += 1;
        }
    }
}

impl Default for Params {
    fn default() -> Self {
        Self::new()
    }
}

/// A map from path patterns to numbers.
///
/// ```
/// use kolk::app::{Params, Pattern, Router};
/// use kolk::http::Path;
///
/// let mut router = Router::new();
/// router.insert(&Pattern::parse("/users/{id}").unwrap(), 0);
/// router.insert(&Pattern::parse("/users/me").unwrap(), 1);
///
/// let mut params = Params::new();
/// assert_eq!(router.find(Path::normalised("/users/7"), &mut params), Some(0));
/// assert_eq!(params.get(0).unwrap().of(b"/users/7"), b"7");
/// assert_eq!(router.find(Path::normalised("/users/me"), &mut params), Some(1));
/// ```
#[derive(Debug)]
pub struct Router {
    /// Whole paths, all below [`ROOT`].
    paths: Table<Number>,
    /// Segments, below the index of their node.
    literals: Table<Behind>,
    /// By the index that nodes have for them.
    affixed: Vec<Vec<Affixed>>,
    nodes: Vec<Node>,
}

const ROOT: u32 = 0;
/// Longer paths find nothing: they do not fit a [`Span`].
const PATH_BYTES_MAX: usize = u16::MAX as usize;

/// What is behind an edge of the tree: a node, or the little that needs none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Behind {
    /// Nothing yet.
    #[default]
    Nothing,
    /// The node of this index.
    Node(u32),
    /// The end of this pattern, and no other.
    End(u32),
    /// One segment more, a parameter, and then the end of this pattern.
    Param(u32),
    /// The `{*…}` of this pattern.
    Rest(u32),
}

/// Half a cache line: a large tree is not in any cache.
#[derive(Debug, Default)]
#[repr(align(32))]
struct Node {
    has_literals: bool,
    /// The number of its parameters with affixes, which have one of them for each.
    affixed: Number,
    param: Behind,
    /// The number of the pattern whose `{*…}` begins here.
    rest: Number,
    /// The number of the pattern that ends here.
    end: Number,
}

/// The number of a pattern, or of something else, or none, in half the room of an `Option`.
#[derive(Clone, Copy, Debug)]
struct Number(u32);

const _: () = assert!(size_of::<Node>() == 32, "two are in a cache line, and none is in two");

/// What is looked for, and what was found of it so far.
struct Search<'s, W> {
    path: &'s [u8],
    params: &'s mut Params,
    /// Whether a pattern is wanted.
    wanted: W,
}

/// A parameter between a beginning and an end.
#[derive(Debug)]
struct Affixed {
    prefix: String,
    suffix: String,
    behind: Behind,
}

impl Router {
    /// No patterns.
    pub fn new() -> Self {
        Self {
            paths: Table::default(),
            literals: Table::default(),
            affixed: Vec::new(),
            nodes: vec![Node::default()],
        }
    }

    /// Gives `pattern` this number, unless a pattern that matches the same paths has one already.
    ///
    /// # Errors
    /// The number of that pattern.
    pub fn insert(&mut self, pattern: &Pattern, number: u32) -> Result<(), u32> {
        if let Some(path) = pattern.literal_path() {
            return self.paths.entry(ROOT, &path).take(number);
        }
        let (mut node, mut segments) = (ROOT, pattern.segments());
        while let [segment, others @ ..] = segments {
            let new = count(self.nodes.len());
            let Some(behind) = self.behind_mut(node, segment) else {
                return self.node_mut(node).rest.take(number);
            };
            node = match (*behind, Behind::of(others, number)) {
                (Behind::Node(node), _) => node,
                (Behind::Nothing, Some(whole)) => {
                    *behind = whole;
                    return Ok(());
                }
                (Behind::End(other), Some(Behind::End(_)))
                | (Behind::Param(other), Some(Behind::Param(_)))
                | (Behind::Rest(other), Some(Behind::Rest(_))) => return Err(other),
                (other, _) => {
                    *behind = Behind::Node(new);
                    self.nodes.push(Node::of(other));
                    new
                }
            };
            segments = others;
        }
        self.node_mut(node).end.take(number)
    }

    /// The number of the most specific pattern that matches the normalised `path`.
    #[inline]
    pub fn find(&self, path: Path<'_>, params: &mut Params) -> Option<u32> {
        self.find_that(path, params, |_| true)
    }

    /// The number of the most specific pattern that matches `path` and is `wanted`, which is asked for one
    /// after the other, until it wants one.
    #[inline]
    pub fn find_that(
        &self,
        path: Path<'_>,
        params: &mut Params,
        mut wanted: impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        params.clear();
        let path = path.as_bytes();
        // Nothing is more specific than literals alone.
        if let Some(number) = self.paths.get(ROOT, path).and_then(Number::get)
            && wanted(number)
        {
            return Some(number);
        }
        if path.first() != Some(&b'/') || path.len() > PATH_BYTES_MAX {
            return None;
        }
        self.follow(Behind::Node(ROOT), 0, &mut Search { path, params, wanted })
    }

    /// Goes on with what is `behind` an edge, which has matched up to `end`. Leaves no parameters where it
    /// finds nothing.
    fn follow(
        &self,
        behind: Behind,
        end: usize,
        search: &mut Search<'_, impl FnMut(u32) -> bool>,
    ) -> Option<u32> {
        let (path, is_over) = (search.path, end == search.path.len());
        let (number, node) = match behind {
            Behind::Node(number) if !is_over => (number, &self.nodes[number as usize]),
            Behind::Node(number) => return search.take(self.nodes[number as usize].end.get()?),
            Behind::End(number) if is_over => return search.take(number),
            Behind::Param(number) => return search.take_segment(number, end),
            Behind::Rest(number) if !is_over => return search.take_rest(number, end),
            Behind::Nothing | Behind::End(_) | Behind::Rest(_) => return None,
        };
        let affixed = node.affixed.get();
        if !node.has_literals && affixed.is_none() && node.param == Behind::Nothing {
            return search.take_rest(node.rest.get()?, end);
        }
        let start = end + 1;
        let end = path[start..].iter().position(|&byte| byte == b'/').map_or(path.len(), |at| start + at);
        let segment = &path[start..end];
        if node.has_literals
            && let Some(behind) = self.literals.get(number, segment)
            && let Some(found) = self.follow(behind, end, search)
        {
            return Some(found);
        }
        let count = search.params.count;
        for Affixed { prefix, suffix, behind } in affixed.map_or(&[][..], |all| &self.affixed[all as usize]) {
            if segment.len() > prefix.len() + suffix.len()
                && segment.starts_with(prefix.as_bytes())
                && segment.ends_with(suffix.as_bytes())
            {
                search.params.push(start + prefix.len(), end - suffix.len());
                if let Some(found) = self.follow(*behind, end, search) {
                    return Some(found);
                }
                search.params.count = count;
            }
        }
        if node.param != Behind::Nothing && !segment.is_empty() {
            search.params.push(start, end);
            if let Some(found) = self.follow(node.param, end, search) {
                return Some(found);
            }
            search.params.count = count;
        }
        search.take_rest(node.rest.get()?, start - 1)
    }

    /// What is behind the edge for `segment` of `node`, which is made if there is none; `{*…}` has none.
    fn behind_mut(&mut self, node: u32, segment: &Segment) -> Option<&mut Behind> {
        match segment {
            Segment::Literal(text) => {
                self.node_mut(node).has_literals = true;
                Some(self.literals.entry(node, text))
            }
            Segment::Affixed { prefix, suffix } => Some(self.affixed_mut(node, prefix, suffix)),
            Segment::Param => Some(&mut self.node_mut(node).param),
            Segment::Rest => None,
        }
    }

    fn affixed_mut(&mut self, node: u32, prefix: &str, suffix: &str) -> &mut Behind {
        let number = self.nodes[node as usize].affixed.get().unwrap_or_else(|| {
            self.affixed.push(Vec::new());
            count(self.affixed.len() - 1)
        });
        self.node_mut(node).affixed = Number(number);
        let all = &mut self.affixed[number as usize];
        // The most specific first. Two that match the same segment and are equal in this are the same.
        let order = |prefix: &str, suffix: &str| Reverse((prefix.len() + suffix.len(), prefix.len()));
        let own = order(prefix, suffix);
        let known = |other: &Affixed| other.prefix == prefix && other.suffix == suffix;
        let at = all.iter().position(known).unwrap_or_else(|| {
            let at = all.partition_point(|other| order(&other.prefix, &other.suffix) <= own);
            let (prefix, suffix) = (prefix.to_owned(), suffix.to_owned());
            all.insert(at, Affixed { prefix, suffix, behind: Behind::Nothing });
            at
        });
        &mut all[at].behind
    }

    fn node_mut(&mut self, node: u32) -> &mut Node {
        &mut self.nodes[node as usize]
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

impl Behind {
    /// What stands for `segments` and the end of the pattern `number`; `None`: they need a node.
    const fn of(segments: &[Segment], number: u32) -> Option<Self> {
        match segments {
            [] => Some(Self::End(number)),
            [Segment::Param] => Some(Self::Param(number)),
            [Segment::Rest] => Some(Self::Rest(number)),
            _ => None,
        }
    }
}

impl Node {
    /// A node that says what `behind` has said.
    fn of(behind: Behind) -> Self {
        match behind {
            Behind::End(number) => Self { end: Number(number), ..Self::default() },
            Behind::Param(number) => Self { param: Behind::End(number), ..Self::default() },
            Behind::Rest(number) => Self { rest: Number(number), ..Self::default() },
            Behind::Node(_) | Behind::Nothing => Self::default(),
        }
    }
}

impl Number {
    const NONE: Self = Self(u32::MAX);

    #[inline]
    const fn get(self) -> Option<u32> {
        if self.0 == Self::NONE.0 { None } else { Some(self.0) }
    }

    /// Becomes this number, unless it is one.
    const fn take(&mut self, number: u32) -> Result<(), u32> {
        match self.get() {
            Some(other) => Err(other),
            None => {
                *self = Self(number);
                Ok(())
            }
        }
    }
}

impl Default for Number {
    fn default() -> Self {
        Self::NONE
    }
}

impl<W: FnMut(u32) -> bool> Search<'_, W> {
    /// The pattern `number`, if it is wanted.
    #[inline]
    fn take(&mut self, number: u32) -> Option<u32> {
        (self.wanted)(number).then_some(number)
    }

    /// The same, if one segment more, its last parameter, is behind `end`.
    #[inline]
    fn take_segment(&mut self, number: u32, end: usize) -> Option<u32> {
        let segment = self.path.get(end + 1..)?;
        if segment.is_empty() || segment.contains(&b'/') { None } else { self.take_rest(number, end) }
    }

    /// The same; its last parameter is all that is behind the slash at `end`.
    #[inline]
    fn take_rest(&mut self, number: u32, end: usize) -> Option<u32> {
        let count = self.params.count;
        self.params.push(end + 1, self.path.len());
        let found = self.take(number);
        if found.is_none() {
            self.params.count = count;
        }
        found
    }
}

fn count(nodes: usize) -> u32 {
    u32::try_from(nodes).expect("an app has fewer than 2^32 segments")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn router(patterns: &[&str]) -> Router {
        let mut router = Router::new();
        for (number, pattern) in patterns.iter().enumerate() {
            let number = u32::try_from(number).unwrap();
            assert_eq!(router.insert(&Pattern::parse(pattern).unwrap(), number), Ok(()), "{pattern}");
        }
        router
    }

    /// Which of `patterns` matches `path`, and what its parameters are.
    fn find<'p>(patterns: &[&'p str], path: &str) -> Option<(&'p str, Vec<String>)> {
        let mut params = Params::new();
        let number = router(patterns).find(Path::normalised(path), &mut params)?;
        let values = (0..params.len())
            .map(|index| String::from_utf8(params.get(index).unwrap().of(path.as_bytes()).to_vec()).unwrap());
        Some((patterns[number as usize], values.collect()))
    }

    #[test]
    fn the_most_specific_pattern_wins_in_any_order() {
        let mut patterns = [
            "/",
            "/{*rest}",
            "/users/{id}",
            "/users/me",
            "/users/{id}/posts",
            "/users/{id}/{*rest}",
            "/v{n}/x",
            "/{name}.json",
            "/v{n}.json",
            "/a/{x}/c",
            "/a/b/{*r}",
            "/{p}/b/c",
        ];
        for _ in 0..patterns.len() {
            patterns.rotate_left(1);
            for (path, pattern, values) in [
                ("/", "/", &[][..]),
                ("/users/me", "/users/me", &[]),
                ("/users/7", "/users/{id}", &["7"]),
                ("/users/me/posts", "/users/{id}/posts", &["me"]),
                ("/users/7/posts/1", "/users/{id}/{*rest}", &["7", "posts/1"]),
                ("/users/7/", "/users/{id}/{*rest}", &["7", ""]),
                ("/users/", "/{*rest}", &["users/"]),
                ("/v2/x", "/v{n}/x", &["2"]),
                ("/v/x", "/{*rest}", &["v/x"]),
                ("/v2.json", "/v{n}.json", &["2"]),
                ("/w2.json", "/{name}.json", &["w2"]),
                ("/.json", "/{*rest}", &[".json"]),
                ("/a/b/c", "/a/b/{*r}", &["c"]),
                ("/a/z/c", "/a/{x}/c", &["z"]),
                ("/a/z/d", "/{*rest}", &["a/z/d"]),
                ("/z/b/c", "/{p}/b/c", &["z"]),
                ("/a/b", "/{*rest}", &["a/b"]),
            ] {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                assert_eq!(find(&patterns, path), Some((pattern, values)), "{path}");
            }
        }
    }

    #[test]
    fn what_is_left_behind_leaves_no_parameters() {
        let patterns = ["/{a}/{b}/{c}/x", "/{a}/{*rest}"];
        assert_eq!(find(&patterns, "/1/2/3/y"), Some(("/{a}/{*rest}", vec!["1".into(), "2/3/y".into()])));
    }

    #[test]
    fn slashes_at_the_end_and_empty_segments_count() {
        assert_eq!(find(&["/a"], "/a/"), None);
        assert_eq!(find(&["/a/"], "/a"), None);
        assert_eq!(find(&["/{a}"], "/"), None);
        assert_eq!(find(&["/a/{*r}"], "/a"), None);
        assert_eq!(find(&["/a/{*r}"], "/a/"), Some(("/a/{*r}", vec![String::new()])));
        for path in ["", "*", "a", "example.org:443"] {
            assert_eq!(find(&["/{*r}", "/a", "/{a}"], path), None, "{path}");
        }
    }

    #[test]
    fn patterns_that_match_the_same_paths_are_one() {
        for (first, second) in
            [("/a", "/a"), ("/{a}", "/{b}"), ("/x/{*a}", "/x/{*b}"), ("/v{a}", "/v{b}"), ("/{a}/c", "/{b}/c")]
        {
            let mut router = router(&[first]);
            assert_eq!(router.insert(&Pattern::parse(second).unwrap(), 1), Err(0), "{first} {second}");
        }
    }

    #[test]
    fn sixteen_parameters_fit_and_no_path_is_too_long() {
        let pattern: String = (0..PARAMS_MAX).map(|n| format!("/{{p{n}}}")).collect();
        let found = find(&[&pattern], &"/a".repeat(PARAMS_MAX)).unwrap();
        assert_eq!(found.1.len(), PARAMS_MAX);
        let longest = format!("/{}", "a".repeat(PATH_BYTES_MAX - 1));
        assert_eq!(find(&["/{a}"], &longest).unwrap().1[0].len(), PATH_BYTES_MAX - 1);
        assert_eq!(find(&["/{a}"], &format!("{longest}a")), None);
    }

    #[test]
    fn adversarial_paths_cost_one_visit_per_node() {
        // Each level offers a literal and a parameter: 2^8 ways, all of which fail at the end.
        let mut router = Router::new();
        for ways in 0..256_u32 {
            let name =
                |level: u32| if ways >> level & 1 == 0 { "a".to_owned() } else { format!("{{p{level}}}") };
            let text: String = (0..8).map(|level| format!("/{}", name(level))).collect();
            router.insert(&Pattern::parse(&format!("{text}/{{end}}/x")).unwrap(), ways).unwrap();
        }
        assert_eq!(
            router.find(Path::normalised(&format!("{}/z/y", "/a".repeat(8))), &mut Params::new()),
            None
        );
        assert_eq!(
            router.find(Path::normalised(&format!("{}/z/x", "/a".repeat(8))), &mut Params::new()),
            Some(0)
        );
    }

    /// The model: tries every pattern, and sorts those that match by what each of their segments is.
    fn naive(patterns: &[Pattern], path: &str) -> Vec<(usize, Vec<String>)> {
        let mut found: Vec<_> = patterns
            .iter()
            .enumerate()
            .filter_map(|(number, pattern)| {
                let (rank, values) = naive_match(pattern.segments(), path.strip_prefix('/')?)?;
                Some((rank, number, values))
            })
            .collect();
        found.sort();
        found.into_iter().map(|(_, number, values)| (number, values)).collect()
    }

    type Rank = (u8, Reverse<usize>, Reverse<usize>);

    fn naive_match(segments: &[Segment], path: &str) -> Option<(Vec<Rank>, Vec<String>)> {
        let (mut ranks, mut values) = (Vec::new(), Vec::new());
        let mut rest = Some(path);
        for segment in segments {
            let here = rest?;
            let (part, behind) = here.split_once('/').map_or((here, None), |(part, rest)| (part, Some(rest)));
            rest = behind;
            let (kind, affixes, prefix_bytes) = match segment {
                Segment::Literal(literal) if literal == part => (0, 0, 0),
                Segment::Affixed { prefix, suffix } => {
                    let value = part.strip_prefix(&**prefix)?.strip_suffix(&**suffix)?;
                    (!value.is_empty()).then(|| values.push(value.to_owned()))?;
                    (1, prefix.len() + suffix.len(), prefix.len())
                }
                Segment::Param if !part.is_empty() => {
                    values.push(part.to_owned());
                    (2, 0, 0)
                }
                Segment::Rest => {
                    values.push(here.to_owned());
                    rest = None;
                    (3, 0, 0)
                }
                Segment::Literal(_) | Segment::Param => return None,
            };
            ranks.push((kind, Reverse(affixes), Reverse(prefix_bytes)));
        }
        rest.is_none().then_some((ranks, values))
    }

    fn pattern_text() -> impl Strategy<Value = String> {
        let segment = prop::sample::select(vec![
            "a", "b", "ab", "v1", "{}", "{}", "v{}", "a{}", "{}b", "a{}b", "{}.x", "v{}.x",
        ]);
        let end = prop::sample::select(vec!["", "", "/", "/{*}"]);
        (prop::collection::vec(segment, 0..5), end).prop_map(|(segments, end)| {
            let mut text: String = segments.iter().map(|segment| format!("/{segment}")).collect();
            text.push_str(if text.is_empty() && end.is_empty() { "/" } else { end });
            let mut names = 0;
            while let Some(place) = text.find("{}").or_else(|| text.find("{*}").map(|place| place + 1)) {
                names += 1;
                text.insert_str(place + 1, &format!("p{names}"));
            }
            text
        })
    }

    fn path_text() -> impl Strategy<Value = String> {
        let segment = prop::sample::select(vec![
            "a", "b", "ab", "v1", "a1b", "v1.x", "1.x", "aab", "abb", ".x", "v", "zz",
        ]);
        (prop::collection::vec(segment, 0..6), any::<bool>()).prop_map(|(segments, slash)| {
            let text: String = segments.iter().map(|segment| format!("/{segment}")).collect();
            if slash || text.is_empty() { text + "/" } else { text }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 1_500,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn the_tree_agrees_with_a_list(
            texts in prop::collection::vec(pattern_text(), 1..20),
            paths in prop::collection::vec(path_text(), 1..20),
        ) {
            let mut router = Router::new();
            let mut patterns: Vec<Pattern> = Vec::new();
            for text in &texts {
                let pattern = Pattern::parse(text).unwrap();
                let number = u32::try_from(patterns.len()).unwrap();
                let same = patterns.iter().position(|other| other.segments() == pattern.segments());
                match router.insert(&pattern, number) {
                    Ok(()) => {
                        prop_assert_eq!(same, None);
                        patterns.push(pattern);
                    }
                    Err(other) => prop_assert_eq!(same, Some(other as usize)),
                }
            }
            let mut params = Params::new();
            for path in &paths {
                let found = router.find(Path::normalised(path), &mut params).map(|number| {
                    let values = (0..params.len()).map(|index| {
                        let span = params.get(index).unwrap();
                        path[span.start()..span.end()].to_owned()
                    });
                    (number as usize, values.collect::<Vec<_>>())
                });
                let all = naive(&patterns, path);
                prop_assert_eq!(found.as_ref(), all.first(), "{} in {:?}", path, texts);
                let mut seen = Vec::new();
                let none = router.find_that(Path::normalised(path), &mut params, |number| {
                    seen.push(number as usize);
                    false
                });
                let numbers: Vec<_> = all.iter().map(|(number, _)| *number).collect();
                prop_assert_eq!((none, params.len(), seen), (None, 0, numbers), "{} in {:?}", path, texts);
                for (at, wanted) in all.iter().enumerate() {
                    let mut left = at;
                    let found = router.find_that(Path::normalised(path), &mut params, |_| {
                        left = left.wrapping_sub(1);
                        left == usize::MAX
                    });
                    let values = (0..params.len()).map(|index| {
                        let span = params.get(index).unwrap();
                        path[span.start()..span.end()].to_owned()
                    });
                    let found = (found.unwrap() as usize, values.collect::<Vec<_>>());
                    prop_assert_eq!(&found, wanted, "{} in {:?}", path, texts);
                }
            }
        }
    }
}
