//! [`Extensions`]: what layers and handlers hand on with a request: a value of each type.
//!
//! ```text
//!  Layer::before ─► handler, on whatever thread ─► Layer::after
//!        └────────────── one pointer ──────────────┘   nothing, until there is a value
//! ```
//! Stays with the exchange: also while a body is collected, and while the handler is asked again. Knows no
//! types.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::request::{Place, Request};

/// The values that a request has, one of each type.
#[derive(Debug, Default)]
pub struct Extensions(Mutex<::http::Extensions>);

impl Extensions {
    fn lock(&self) -> MutexGuard<'_, ::http::Extensions> {
        // What panics under the lock is a `Clone` of somebody else: the map is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Request<'_> {
    /// Hands `value` on to whoever comes next: layers, the handler, and [`Layer::after`](super::Layer::after)
    /// of all layers, on whatever thread. A former value of this type is gone. The first value costs an
    /// allocation or two; who gives none pays nothing.
    ///
    /// ```
    /// use kolk::{App, HeaderValue, Layer, Passage, Request, Response, header};
    ///
    /// #[derive(Clone, Debug, PartialEq)]
    /// struct Tenant(String);
    ///
    /// struct Tenants;
    ///
    /// impl Layer for Tenants {
    ///     fn before(&self, request: &Request<'_>, _: &mut Response) -> Passage {
    ///         if let Some(name) = request.header("x-tenant") {
    ///             request.insert_extension(Tenant(name.to_owned()));
    ///         }
    ///         Passage::Open
    ///     }
    ///
    ///     fn after(&self, request: &Request<'_>, response: &mut Response) {
    ///         if request.extension::<Tenant>().is_some() {
    ///             response.append(&header::VARY, &HeaderValue::from_static("X-Tenant"));
    ///         }
    ///     }
    /// }
    ///
    /// let app = App::new().layer(Tenants).get("/", |request: &Request<'_>| match request.extension() {
    ///     Some(Tenant(name)) => format!("at {name}'s"),
    ///     None => "at home".to_owned(),
    /// });
    /// let answer = app.oneshot(http::Request::get("/").header("x-tenant", "ada").body("").unwrap());
    /// assert_eq!(answer.body(), "at ada's");
    /// assert_eq!(answer.headers()["vary"], "X-Tenant");
    /// let answer = app.oneshot(http::Request::get("/").body("").unwrap());
    /// assert_eq!((answer.body(), answer.headers().get("vary")), (&"at home".into(), None));
    /// ```
    pub fn insert_extension<T: Clone + Send + Sync + 'static>(&self, value: T) {
        let values = match self.origin {
            Place::Live(origin) => origin.attributes.shared_extensions(),
            Place::Owned(origin) => origin.attributes.extensions(),
        };
        let former = values.lock().insert(value);
        // Dropped when nobody waits for the lock.
        drop(former);
    }

    /// A copy of the value of this type that somebody has [handed on](Request::insert_extension), if somebody
    /// has: of what is large, hand on an `Arc`.
    pub fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        let values = match self.origin {
            Place::Live(origin) => origin.attributes.extensions()?,
            Place::Owned(origin) => origin.attributes.extensions(),
        };
        values.lock().get().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{App, Layer, Passage, Reply, blocking, deferred};
    use crate::http::Response;

    #[test]
    fn a_value_goes_from_the_first_layer_to_the_handler_and_back() {
        #[derive(Clone)]
        struct Steps(String);
        struct Path(&'static str);
        fn step(request: &Request<'_>, name: &str) -> String {
            let Steps(before) = request.extension().unwrap_or(Steps(String::new()));
            request.insert_extension(Steps(format!("{before}{name}")));
            before
        }
        impl Layer for Path {
            fn before(&self, request: &Request<'_>, _: &mut Response) -> Passage {
                step(request, self.0);
                Passage::Open
            }
            fn after(&self, request: &Request<'_>, response: &mut Response) {
                let steps = step(request, self.0);
                response.append(&::http::HeaderName::from_static("x-steps"), &steps.parse().unwrap());
            }
        }
        let app = App::new()
            .layer(Path("a"))
            .layer(Path("b"))
            .get("/", |request: &Request<'_>| step(request, "!"))
            .get("/pool", blocking(|request: &Request<'_>| step(request, "!")))
            .get(
                "/thread",
                deferred(|request: &Request<'_>, reply: Reply| {
                    let request = request.to_owned_request();
                    std::thread::spawn(move || reply.send(step(&request.request(), "!")));
                }),
            );
        for uri in ["/", "/pool", "/thread"] {
            let answer = app.oneshot(::http::Request::get(uri).body("").unwrap());
            assert_eq!(answer.body(), "ab", "{uri}");
            let steps: Vec<_> = answer.headers().get_all("x-steps").iter().collect();
            assert_eq!(steps, ["ab!", "ab!b"], "{uri}");
        }
    }
}
