//! What stands around a route, or around answers of a site without one.
//!
//! ```text
//!  request ─► CORS ─► maintenance ─► networks ─► rates ─► requests at a time ─► who it is ─► handler
//!  client ◄─ coding ◄─ route's fields ◄─ site's ◄─ HSTS ◄─ timing ◄─ Cache-Control ◄─ error pages ◄─ answer
//! ```
//! What the site says comes before what the route says, and counts besides it; of CORS, of maintenance and of
//! who may come in the route's own counts instead.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::app::{
    BasicAuth, BearerAuth, CacheControl, CertificateAuth, Compress, Cors, Counts, Headers, Layer, ListError,
    Located, Policy, Quota, Rate, RateKey, RateLimit, Rates, ServerTiming,
};
use crate::config::{
    Auth, Configuration, Cors as CorsTable, Origin, PageOrigin, Placed, Problem, RateKey as KeyTable,
    RateLimit as RateTable, RateMode, Route, Scheme, Site, Size, Subject,
};

use super::action::compression;
use super::answers::{self, hsts, networks};
use super::pages::Pages;
use super::{line, noted};

/// How long a request may wait for its turn where nothing is said.
const DELAY_MAX: Duration = Duration::from_secs(5);

/// What several routes share, by name.
pub(super) struct Around<'c> {
    configuration: &'c Configuration,
    rates: BTreeMap<&'c str, RateLimit>,
    keys: BTreeMap<&'c str, Arc<dyn Layer>>,
    headers: BTreeMap<&'c str, Headers>,
    compress: Compress,
    counts: Counts,
    /// What was counted before.
    former: &'c Counts,
}

impl<'c> Around<'c> {
    /// `former`: what was counted before.
    pub(super) fn new(
        configuration: &'c Configuration,
        former: &'c Counts,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut counts = former.successor();
        let table = counts.rates();
        let rates = configuration.rate.iter();
        let rates = rates.filter_map(|(name, rate)| Some((&**name, limit(name, rate, table, problems)?)));
        let rates = rates.collect();
        let keys = configuration.auth.iter();
        let mut key = |name, auth| guard(name, auth, (&mut counts, former), problems);
        let keys = keys.filter_map(|(name, auth)| Some((&**name, key(name, auth)?))).collect();
        let headers = configuration.headers.iter();
        let headers = headers.filter_map(|(name, table)| Some((&**name, answers::headers(table, problems)?)));
        let headers = headers.collect();
        Self { configuration, rates, keys, headers, compress: Compress::default(), counts, former }
    }

    /// All that is counted.
    pub(super) fn into_counts(self) -> Counts {
        self.counts
    }

    /// How large the body of a request may be.
    pub(super) fn body_limit<'t>(&self, site: &'t Site, route: Option<&'t Route>) -> &'t Placed<Size>
    where
        'c: 't,
    {
        let own = route.and_then(|route| route.body_limit.as_ref()).or(site.body_limit.as_ref());
        own.unwrap_or(&self.configuration.server.limits.body)
    }

    /// How long handlers may take of which nothing else is said.
    pub(super) fn handler_timeout(&self) -> Option<&'c Placed<Duration>> {
        self.configuration.server.timeouts.handler.as_ref()
    }

    /// Everything around `route`, or around answers without one, the outermost first.
    pub(super) fn layers<'s>(
        &mut self,
        pages: &mut Pages<'s>,
        route: Option<&'s Route>,
        problems: &mut Vec<Problem>,
    ) -> Vec<Arc<dyn Layer>> {
        let site = pages.site();
        let (errors, maintenance) = (pages.errors(route, problems), pages.maintenance(route, problems));
        // Files and fixed answers are compressed before they are asked for; only pages are not.
        let has_pages = errors.is_some() || maintenance.is_some();
        let compress = self.compressing(site, route).filter(|_| has_pages);
        let mut layers: Vec<_> = compress.into_iter().collect();
        layers.extend(self.dressing(site, route));
        layers.extend(errors);
        let cors = route.and_then(|route| route.cors.as_deref()).or(site.cors.as_deref());
        let cors = cors.and_then(|table| Some((shared(table)?, &table.origins.origin)));
        layers.extend(cors.map(|(cors, origin)| at(cors, [origin])));
        layers.extend(maintenance);
        layers.extend(networks(site.allow.as_ref(), site.deny.as_ref()));
        layers.extend(route.and_then(|route| networks(route.allow.as_ref(), route.deny.as_ref())));
        layers.extend(self.guards(site, route));
        layers
    }

    /// What compresses pages: behind all that says something of them.
    fn compressing(&self, site: &Site, route: Option<&Route>) -> Option<Arc<dyn Layer>> {
        let table = route.and_then(|route| route.compress.as_deref()).unwrap_or(&site.compress);
        let layer = || at(self.compress.with(compression(table)), [&table.codings.origin, &table.min.origin]);
        (!table.codings.value.is_empty()).then(layer)
    }

    /// What only changes answers.
    fn dressing(&self, site: &Site, route: Option<&Route>) -> Vec<Arc<dyn Layer>> {
        let mut layers: Vec<Arc<dyn Layer>> = Vec::new();
        // Who acts last has the last word: the route, and of a list the last name.
        let fields = [route.and_then(|route| route.headers.as_ref()), site.headers.as_ref()];
        for name in fields.into_iter().flatten().flat_map(|names| names.value.iter().rev()) {
            let table = self.configuration.headers.get(&*name.value.0);
            if let Some((headers, table)) = self.headers.get(&*name.value.0).zip(table) {
                layers.push(Arc::new(answers::located(headers.clone(), table, &name.origin)));
            }
        }
        if let Some(table) = site.hsts.as_deref() {
            layers.push(at(hsts(table), [&table.max_age.origin]));
        }
        if site.server_timing.value {
            layers.push(at(ServerTiming, [&site.server_timing.origin]));
        }
        if let Some(value) = route.and_then(|route| route.cache_control.as_ref()) {
            layers.push(at(CacheControl::new(value.value.clone()), [&value.origin]));
        }
        layers
    }

    /// Who is let in, and how often.
    fn guards(&mut self, site: &Site, route: Option<&Route>) -> Vec<Arc<dyn Layer>> {
        let mut layers: Vec<Arc<dyn Layer>> = Vec::new();
        let rates = [site.rate.as_ref(), route.and_then(|route| route.rate.as_ref())];
        let mut paid: Vec<&str> = Vec::new();
        for name in rates.into_iter().flatten().flat_map(|names| &names.value) {
            // Who names it once more means the same budget, not a second request.
            if paid.contains(&&*name.value.0) {
                continue;
            }
            paid.push(&name.value.0);
            let table = self.configuration.rate.get(&*name.value.0);
            if let Some((limit, table)) = self.rates.get(&*name.value.0).zip(table) {
                layers.push(at(limit.clone(), [&name.origin, &table.rate.origin]));
            }
        }
        let own = route.and_then(|route| Some((route.in_flight_max.as_ref()?, Some(route))));
        let seats = site.in_flight_max.as_ref().map(|seats| (seats, None));
        for (seats, route) in seats.into_iter().chain(own) {
            let name = [site.chosen_by(), route.map(Route::chosen_by).unwrap_or_default()].join("\n");
            let count = self.counts.in_flight(&name, seats.value.get(), self.former);
            layers.push(at(count, [&seats.origin]));
        }
        let own = route.and_then(|route| route.auth.as_ref());
        let auth = match own {
            Some(own) => own.value.0.as_deref().map(|name| (name, &own.origin)),
            None => site.auth.as_ref().map(|name| (&*name.value.0, &name.origin)),
        };
        if let Some((name, origin)) = auth
            && let Some((key, table)) = self.keys.get(name).zip(self.configuration.auth.get(name))
        {
            layers.push(at(Arc::clone(key), [origin, &table.kind.origin]));
        }
        layers
    }
}

/// `layer`, which these lines want here.
fn at<'o>(layer: impl Layer, origins: impl IntoIterator<Item = &'o Origin>) -> Arc<dyn Layer> {
    Arc::new(Located::new(layer, line(origins)))
}

fn limit(
    name: &str,
    table: &RateTable,
    rates: &Arc<Rates>,
    problems: &mut Vec<Problem>,
) -> Option<RateLimit> {
    let quota = Quota::new(table.rate.value.count.get(), table.rate.value.period);
    let rate = quota.and_then(|quota| Rate::new(quota, table.burst.value.get()));
    let rate = noted(rate, &table.rate, |error| error.to_string(), problems)?;
    let rate = match table.mode.value {
        RateMode::Refuse => rate,
        RateMode::Delay => rate.delaying(table.delay_max.as_ref().map_or(DELAY_MAX, |wait| wait.value)),
    };
    let policy = Policy::new(name, rate.dry_run(table.dry_run.value));
    let policy = noted(policy, &table.rate, |error| error.to_string(), problems)?;
    let policy = policy.always_told(table.headers.value);
    let key = match &table.key.value {
        KeyTable::ClientIp => RateKey::Address,
        KeyTable::Header(name) => RateKey::Header(name.clone()),
        KeyTable::Cookie(name) => RateKey::Cookie(name.as_str().into()),
        KeyTable::Path => RateKey::Path,
    };
    Some(RateLimit::new(rates, policy, key))
}

/// Which pages may read answers; `None` for none.
fn shared(table: &CorsTable) -> Option<Cors> {
    let is_any = table.origins.value.iter().any(|origin| origin.value == PageOrigin::Any);
    let origins = table.origins.value.iter().filter_map(|origin| match &origin.value {
        PageOrigin::Any => None,
        PageOrigin::Exact(origin) => Some(origin),
    });
    if table.origins.value.is_empty() {
        return None;
    }
    // Whatever is no origin was told when the file was read.
    let cors = if is_any { Cors::any() } else { Cors::origins(origins).ok()? };
    let cors = cors
        .methods(table.methods.value.iter().map(|method| method.value.clone()))
        .expose(table.expose_headers.value.iter().map(|name| name.value.clone()))
        .max_age(table.max_age.value);
    Some(if table.credentials.value { cors.credentials() } else { cors })
}

fn guard(
    name: &str,
    auth: &Auth,
    (counts, former): (&mut Counts, &Counts),
    problems: &mut Vec<Problem>,
) -> Option<Arc<dyn Layer>> {
    let realm = realm(auth);
    let told = |error: ListError| error.to_string();
    match auth.scheme()? {
        Scheme::Basic { file } => {
            let users = BasicAuth::new(realm).htpasswd_file(file);
            let users = noted(users, auth.file.as_ref()?, told, problems)?;
            let users = match auth.failures.as_ref().map(|failures| failures.limit()) {
                Some((count, within)) => users.failures(count, within),
                None => users,
            };
            Some(Arc::new(counts.passwords(name, users, former)))
        }
        Scheme::Bearer { tokens } => {
            let list = BearerAuth::new(realm).token_file(tokens);
            Some(Arc::new(noted(list, auth.tokens.as_ref()?, told, problems)?))
        }
        Scheme::Jwt { .. } => signed(name, auth, (counts, former), problems),
        Scheme::Mtls { subjects } => {
            let mut list = CertificateAuth::new();
            for subject in subjects {
                list = match &subject.value {
                    Subject::Name(name) => list.common_name(name).dns_name(name),
                    Subject::CommonName(name) => list.common_name(name),
                    Subject::Email(address) => list.email(address),
                    Subject::Fingerprint(digits) => {
                        let known = list.fingerprint(digits, &subject.value.to_string());
                        noted(known, subject, |error| error.to_string(), problems)?
                    }
                };
            }
            Some(Arc::new(list))
        }
    }
}

/// Tokens that somebody has signed.
#[cfg(feature = "jwt")]
fn signed(
    name: &str,
    auth: &Auth,
    (counts, former): (&mut Counts, &Counts),
    problems: &mut Vec<Problem>,
) -> Option<Arc<dyn Layer>> {
    use crate::app::JwtAuth;
    use crate::config::JwtKeys;

    let Some(Scheme::Jwt { keys, algorithms, issuer, audience, leeway }) = auth.scheme() else { return None };
    let told = |error: ListError| error.to_string();
    let jwt = JwtAuth::new(realm(auth)).leeway(leeway);
    let jwt = issuer.into_iter().fold(jwt, JwtAuth::issuer);
    let jwt = audience.iter().fold(jwt, |jwt, audience| jwt.audience(&audience.value.0));
    let jwt = match auth.failures.as_ref().map(|failures| failures.limit()) {
        Some((count, within)) => jwt.failures(count, within),
        None => jwt,
    };
    let listed = jwt.algorithms(algorithms.iter().map(|algorithm| algorithm.value.word()));
    let mut jwt = noted(listed, auth.algorithms.as_ref()?, told, problems)?;
    match keys {
        JwtKeys::Set(path) => jwt = noted(jwt.jwks_file(path), auth.jwks.as_ref()?, told, problems)?,
        JwtKeys::Secret(path) => {
            for algorithm in algorithms {
                let with = jwt.secret_file(algorithm.value.word(), path);
                jwt = noted(with, auth.secret.as_ref()?, told, problems)?;
            }
        }
    }
    Some(Arc::new(counts.tokens(name, jwt, former)))
}

#[cfg(not(feature = "jwt"))]
fn signed(
    _: &str,
    auth: &Auth,
    _: (&mut Counts, &Counts),
    problems: &mut Vec<Problem>,
) -> Option<Arc<dyn Layer>> {
    let message = "this kolk was built without signed tokens: build it with the feature `jwt`";
    problems.push(Problem::at(&auth.kind.origin, message));
    None
}

fn realm(auth: &Auth) -> &str {
    auth.realm.as_ref().map_or("", |realm| &realm.value.0)
}
