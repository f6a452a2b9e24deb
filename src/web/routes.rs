//! What can be asked for.

use super::access::parameter;
use super::answer::{Refusal, json, protect, with_type};
use super::{Asked, Outcome, Site, assets, cameras, clips, deepstream, events, history, live, openapi, zones};
use crate::http::{Body, whole};
use hyper::header::{ALLOW, HeaderValue, LOCATION, SET_COOKIE};
use hyper::{Method, Response, StatusCode};
use std::borrow::Cow;
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Page,
    Asset,
    OpenApi,
    Cameras,
    Camera,
    Picture,
    Live,
    Objects,
    Zones,
    Clip,
    History,
    Events,
    Check,
    StreamAdd,
    StreamRemove,
    StreamInfo,
    Ready,
}

/// The paths as docs/openapi.json writes them.
const ROUTES: [(&str, Route); 17] = [
    ("/", Route::Page),
    ("/assets/{file}", Route::Asset),
    ("/api/v1/openapi.json", Route::OpenApi),
    ("/api/v1/cameras", Route::Cameras),
    ("/api/v1/cameras/{name}", Route::Camera),
    ("/api/v1/cameras/{name}/picture.jpg", Route::Picture),
    ("/api/v1/cameras/{name}/live.mjpeg", Route::Live),
    ("/api/v1/cameras/{name}/objects", Route::Objects),
    ("/api/v1/cameras/{name}/zones", Route::Zones),
    ("/api/v1/cameras/{name}/clips/{file}", Route::Clip),
    ("/api/v1/history", Route::History),
    ("/api/v1/events", Route::Events),
    ("/api/v1/check", Route::Check),
    ("/api/v1/stream/add", Route::StreamAdd),
    ("/api/v1/stream/remove", Route::StreamRemove),
    ("/api/v1/stream/get-stream-info", Route::StreamInfo),
    ("/api/v1/health/get-dsready-state", Route::Ready),
];

impl Route {
    fn methods(self) -> &'static [Method] {
        match self {
            Self::StreamAdd | Self::StreamRemove => &[Method::POST],
            Self::Zones => &[Method::GET, Method::PUT],
            _ => &[Method::GET],
        }
    }

    /// Whether it says nothing of the cameras: the page itself, which asks for everything else.
    fn is_open(self) -> bool {
        matches!(self, Self::Page | Self::Asset)
    }
}

/// All paths, as docs/openapi.json writes them, with their methods.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static [Method])> {
    ROUTES.iter().map(|(path, route)| (*path, route.methods()))
}

/// The route of a path, with its parameters, decoded.
fn route(path: &str) -> Option<(Route, Vec<Cow<'_, str>>)> {
    if let Some(file) = path.strip_prefix("/assets/") {
        // It may be in a folder.
        return Some((Route::Asset, vec![percent_encoding::percent_decode_str(file).decode_utf8().ok()?]));
    }
    ROUTES.iter().find_map(|(pattern, route)| Some((*route, parameters(pattern, path)?)))
}

fn parameters<'a>(pattern: &str, path: &'a str) -> Option<Vec<Cow<'a, str>>> {
    let (mut wanted, mut parts) = (pattern.split('/'), path.split('/'));
    let mut found = Vec::new();
    loop {
        match (wanted.next(), parts.next()) {
            (None, None) => return Some(found),
            (Some(name), Some(part)) if name.starts_with('{') && !part.is_empty() => {
                found.push(percent_encoding::percent_decode_str(part).decode_utf8().ok()?);
            }
            (Some(name), Some(part)) if name == part => {}
            _ => return None,
        }
    }
}

/// Answers a request.
pub async fn answer(site: Arc<Site>, request: Asked) -> Response<Body> {
    let mut response = respond(&site, request).await.unwrap_or_else(|refusal| refusal.answer());
    protect(&mut response);
    response
}

async fn respond(site: &Arc<Site>, request: Asked) -> Outcome {
    site.access.check_host(request.headers())?;
    let path = request.uri().path().to_owned();
    let Some((route, parameters)) = route(&path) else {
        return Err(Refusal::not_found("there is no such path: /api/v1/openapi.json has all"));
    };
    if !route.is_open() {
        site.access.check_token(request.headers())?;
    }
    // An answer to HEAD is that to GET without its body.
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    if !route.methods().contains(method) {
        let methods = route.methods().iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("this path takes {methods}"));
        let mut response = refusal.answer();
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_str(&methods).unwrap_or(HeaderValue::from_static("GET")));
        return Ok(response);
    }
    let is_change = method != Method::GET;
    if is_change {
        site.access.check_change(request.headers())?;
    }
    let first = parameters.first().map_or("", |name| &**name).to_owned();
    match route {
        Route::Page => page(site, &request),
        Route::Asset => asset(&first, StatusCode::OK),
        Route::OpenApi => Ok(with_type(whole(StatusCode::OK, openapi::TEXT), "application/json")),
        Route::Cameras => json(StatusCode::OK, &cameras::all(site)),
        Route::Camera => json(StatusCode::OK, &cameras::one(site, &first)?),
        Route::Picture => live::picture(site, &first, request.uri()).await,
        Route::Live => live::pictures(site, &first, request.uri()),
        Route::Objects => cameras::objects(site, &first).await,
        Route::Zones if is_change => zones::put(site, first, request).await,
        Route::Zones => zones::get(site, first).await,
        Route::Clip => {
            let file = parameters.get(1).map_or("", |file| &**file).to_owned();
            clips::get(site, &first, file, request.headers()).await
        }
        Route::History => history::get(site, request.uri()),
        Route::Events => events::get(site, request.uri()),
        Route::Check => site.checks.get(site).await,
        Route::StreamAdd => deepstream::add(site, request).await,
        Route::StreamRemove => deepstream::remove(site, request).await,
        Route::StreamInfo => deepstream::info(site),
        Route::Ready => deepstream::ready(site),
    }
}

fn page(site: &Site, request: &Asked) -> Outcome {
    if let Some(token) = parameter(request.uri(), "token") {
        let mut response = whole(StatusCode::SEE_OTHER, "");
        response.headers_mut().insert(LOCATION, HeaderValue::from_static("/"));
        if site.access.needs_token() {
            let cookie = site.access.cookie_for(&token).and_then(|cookie| HeaderValue::from_str(&cookie).ok());
            let Some(cookie) = cookie else { return asset(assets::PAGE, StatusCode::UNAUTHORIZED) };
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        return Ok(response);
    }
    // Without the token it's the same page: the API's answers make it ask for one.
    let may_see = site.access.check_token(request.headers()).is_ok();
    asset(assets::PAGE, if may_see { StatusCode::OK } else { StatusCode::UNAUTHORIZED })
}

fn asset(name: &str, status: StatusCode) -> Outcome {
    let found = assets::asset(name).ok_or_else(|| Refusal::not_found("the page has no such file"))?;
    Ok(with_type(whole(status, found.content), found.kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_their_routes() {
        let is = |path: &str| route(path).map(|(route, parameters)| (route, parameters.join("|")));
        assert_eq!(is("/"), Some((Route::Page, String::new())));
        assert_eq!(is("/api/v1/cameras/a%20%C3%BC/zones"), Some((Route::Zones, "a ü".into())));
        assert_eq!(is("/api/v1/cameras/a/clips/..%2Fb"), Some((Route::Clip, "a|../b".into())));
        for none in ["", "//", "/api/v1/cameras/", "/api/v1/cameras/a/", "/api/v1/cameras/%ff", "/api/v1/Cameras"] {
            assert_eq!(is(none), None, "{none}");
        }
    }

    #[test]
    fn the_description_has_all_routes_and_no_others() {
        let description: serde_json::Value = serde_json::from_str(openapi::TEXT).unwrap();
        let described = description["paths"].as_object().unwrap().iter();
        let mut described: Vec<_> = described
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
            })
            .collect();
        let methods = |(path, methods): (&str, &[Method])| {
            methods.iter().map(|method| format!("{} {path}", method.as_str().to_lowercase())).collect::<Vec<_>>()
        };
        let mut there: Vec<_> = routes().flat_map(methods).collect();
        described.sort();
        there.sort();
        assert_eq!(described, there);
    }
}
