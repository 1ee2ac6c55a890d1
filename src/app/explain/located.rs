//! [`Located`]: a layer that knows where it was told to stand. Whoever is asked on the way of a request is
//! the layer itself: the place costs nothing there.

use std::sync::Arc;

use ::http::HeaderName;

use crate::app::layer::{Acts, Layer, Passage};
use crate::app::limits::RateLimit;
use crate::app::request::Request;
use crate::app::request_ids::RequestIds;
use crate::http::Response;

/// A layer, and where it was told to stand, for [explanations](crate::App::explain).
///
/// ```
/// use kolk::app::Located;
/// use kolk::{App, BasicAuth, Request};
///
/// let auth = Located::new(BasicAuth::new("staff"), "main.rs:7");
/// let app = App::new().layer(auth).get("/", |_: &Request<'_>| "in");
/// let explanation = app.explain(http::Request::get("/").body("").unwrap());
/// assert_eq!(explanation.status().unwrap(), 401);
/// assert!(explanation.steps().iter().any(|step| step.place() == Some("main.rs:7")));
/// ```
#[derive(Debug)]
pub struct Located {
    layer: Arc<dyn Layer>,
    place: Arc<str>,
    fields: Vec<(HeaderName, Arc<str>)>,
}

impl Located {
    /// `layer`, which was told to stand here at `place`.
    pub fn new(layer: impl Layer, place: impl Into<Arc<str>>) -> Self {
        Self::shared(Arc::new(layer), place)
    }

    /// The same for a layer that others have, too.
    pub fn shared(layer: Arc<dyn Layer>, place: impl Into<Arc<str>>) -> Self {
        Self { layer, place: place.into(), fields: Vec::new() }
    }

    /// What it does to the field `name` of answers, it was told at `place`.
    #[must_use]
    pub fn field(mut self, name: HeaderName, place: impl Into<Arc<str>>) -> Self {
        self.fields.push((name, place.into()));
        self
    }
}

impl Layer for Located {
    fn before(&self, request: &Request<'_>, response: &mut Response) -> Passage {
        self.layer.before(request, response)
    }

    fn after(&self, request: &Request<'_>, response: &mut Response) {
        self.layer.after(request, response);
    }

    fn settle(&self, response: &mut Response) -> bool {
        self.layer.settle(response)
    }

    fn acts(&self) -> Acts {
        self.layer.acts()
    }

    fn name(&self) -> &'static str {
        self.layer.name()
    }

    fn explain(&self) -> String {
        self.layer.explain()
    }

    fn place_of(&self, field: Option<&str>) -> Option<&str> {
        let told = self.fields.iter().find(|(name, _)| field.is_some_and(|field| name == field));
        Some(told.map_or(&*self.place, |(_, place)| place))
    }

    fn inner(&self) -> Option<&Arc<dyn Layer>> {
        Some(&self.layer)
    }

    fn request_ids(&self) -> Option<&RequestIds> {
        self.layer.request_ids()
    }

    fn rate(&self) -> Option<&RateLimit> {
        self.layer.rate()
    }
}
