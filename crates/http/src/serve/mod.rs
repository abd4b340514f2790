//! Answering for a deployment: what a browser, a CDN and a Module Federation host get.

mod asset;
mod cache_policy;
mod conditional;
mod facts;
mod found;
mod head;
mod html;
mod media_type;
mod names;
pub(crate) mod own_rules;
mod pages;
mod pending;
mod percent;
mod question;
mod range;
mod resolve;
mod rules;
mod skew;
mod subject;

use std::sync::Arc;

use favonius_contract::AssetRef;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

pub(crate) use self::{
    conditional::{LastModified, etag},
    facts::Facts,
    pages::Pages,
    pending::Pending,
    question::{Fields, Question},
    rules::Rules,
};
use self::{
    names::Target,
    resolve::{Resolved, Role, Wants},
    rules::Redirect,
};
use crate::{
    body::Payload,
    cross_origin::allow_all_origins,
    deployments::Live,
    edge::Shared,
    failure::{Failure, Reader},
    request_id::RequestId,
};

const METHODS: &str = "GET, HEAD, OPTIONS";
/// Which deployment an answer came from.
const DEPLOYMENT: HeaderName = HeaderName::from_static("x-favonius-deployment");

/// Answers a request for a deployment. Never fails: a failure is an answer.
pub(crate) async fn serve(
    edge: &Arc<Shared>,
    question: Question<'_>,
    id: &RequestId,
) -> Response<Payload> {
    match answer(edge, question).await {
        Ok(response) => response,
        Err(failure) => {
            let reader = if resolve::accepts_html(question.headers) {
                Reader::Person
            } else {
                Reader::Script
            };
            failure.into_response(id, reader)
        }
    }
}

async fn answer(edge: &Arc<Shared>, question: Question<'_>) -> Result<Response<Payload>, Failure> {
    match *question.method {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return Ok(preflight(question.headers)),
        _ => {
            return Err(Failure::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Deployments are read with GET and HEAD",
            )
            .header(header::ALLOW, HeaderValue::from_static(METHODS)));
        }
    }
    let target = match names::find(edge, question).await? {
        names::Found::Deployment(target) => target,
        names::Found::AddSlash(location) => return redirect(&location, question.uri.query()),
    };
    let path = resolve::decode(target.path).map_err(|problem| {
        Failure::bad_request(
            "invalid_path",
            format!("The path cannot be used: {problem}"),
        )
    })?;
    let rules = own_rules::of(edge, &target.live, question).await?;
    let asked = Asked {
        edge,
        question,
        target: &target,
        path: &path,
        rules,
    };
    asked.answer().await
}

/// A request whose deployment is found.
struct Asked<'a> {
    edge: &'a Arc<Shared>,
    question: Question<'a>,
    target: &'a Target<'a>,
    /// Decoded, without its leading slash.
    path: &'a str,
    rules: &'a Rules,
}

impl Asked<'_> {
    /// In this order: what the application forces, what the path names, what it named in a deployment before this one, what the
    /// application wants for paths that name nothing, its own page for that, its shell.
    async fn answer(&self) -> Result<Response<Payload>, Failure> {
        let live = &*self.target.live;
        if self.rules.has_redirects()
            && let Some(response) = Box::pin(self.follow_rules(true)).await?
        {
            return Ok(response);
        }
        if let Some(resolved) = resolve::named(live.snapshot(), live.manifest(), self.path) {
            return self.with(resolved).await;
        }
        let wants = Wants {
            navigation: resolve::is_navigation(
                self.question.method,
                self.question.headers,
                self.path,
            ),
        };
        if !wants.navigation
            && let Some(response) = self.past_answer().await?
        {
            return Ok(response);
        }
        if self.rules.has_redirects()
            && let Some(response) = Box::pin(self.follow_rules(false)).await?
        {
            return Ok(response);
        }
        match resolve::fallback(live.snapshot(), self.path, wants) {
            Some(resolved) => self.with(resolved).await,
            None => Err(not_found(live)),
        }
    }

    /// The answer with what a path was resolved to.
    async fn with(&self, resolved: Resolved<'_>) -> Result<Response<Payload>, Failure> {
        match resolved {
            Resolved::Asset {
                path,
                index,
                asset,
                role,
            } => {
                let (live, own) = (&*self.target.live, &*self.target.live);
                let place = (path.as_ref(), index, asset);
                self.asset(live, own, place, role).await
            }
            Resolved::Redirect { location_path } => redirect(
                &format!("{}{location_path}", self.target.prefix),
                self.question.uri.query(),
            ),
        }
    }

    async fn asset(
        &self,
        live: &Live,
        named: &Live,
        (path, index, asset): (&str, Option<usize>, AssetRef),
        role: Role,
    ) -> Result<Response<Payload>, Failure> {
        if index.is_some() && own_rules::is_file(live.snapshot(), path) {
            return Err(not_found(named));
        }
        let found = found::Found {
            live,
            version_name: named.is_version,
            path,
            facts: live.facts(index, path),
            asset,
            role,
            modified: live.build.modified(&self.edge.clock),
            prefix: &self.target.prefix,
            question: self.question,
            rules: (self.rules, self.path),
        };
        asset::answer(self.edge, &found).await
    }

    /// The answer of a deployment before this one: pages that came from it still ask for its files.
    async fn past_answer(&self) -> Result<Option<Response<Payload>>, Failure> {
        let live = &self.target.live;
        let Some((old, index)) = skew::find(self.edge, live, self.path, self.question).await else {
            return Ok(None);
        };
        let Some((path, asset)) = old.snapshot().asset_at(index) else {
            return Ok(None);
        };
        let place = (path, Some(index), asset);
        self.asset(&old, live, place, Role::Named).await.map(Some)
    }

    /// Does what a rule of the application says; nothing where it leads nowhere.
    async fn follow_rules(&self, forced: bool) -> Result<Option<Response<Payload>>, Failure> {
        let asked = rules::Asked {
            path: self.path,
            query: self.question.uri.query(),
            prefix: &self.target.prefix,
        };
        match self.rules.redirect(&asked, forced) {
            None => Ok(None),
            Some(Redirect::To { status, location }) => Ok(Some(redirection(status, location))),
            Some(Redirect::Rewrite {
                path,
                status,
                by_splat,
            }) => self.rewrite(path, status, by_splat && !forced).await,
        }
    }

    /// Answers with what another path of the deployment names.
    async fn rewrite(
        &self,
        mut path: String,
        status: StatusCode,
        by_splat: bool,
    ) -> Result<Option<Response<Payload>>, Failure> {
        let live = &*self.target.live;
        let is_directory = matches!(
            resolve::named(live.snapshot(), live.manifest(), &path),
            Some(Resolved::Redirect { .. })
        );
        if is_directory {
            path.push('/');
        }
        let resolved = resolve::named(live.snapshot(), live.manifest(), &path);
        let Some(Resolved::Asset {
            path,
            index,
            asset,
            role: _,
        }) = resolved
        else {
            return Ok(None);
        };
        let role = if status == StatusCode::NOT_FOUND {
            Role::NotFoundPage
        } else if by_splat
            && media_type::is_html(&path)
            && media_type::names_a_file(self.path)
            && !media_type::is_html(self.path)
        {
            // A rule for everything means pages: a script that is missing must not look as if it were there.
            return Ok(None);
        } else {
            Role::Shell
        };
        let place = (path.as_ref(), index, asset);
        self.asset(live, live, place, role).await.map(Some)
    }
}

fn not_found(live: &Live) -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        "not_found",
        Arc::clone(&live.build.not_found),
    )
}

/// A permanent redirect on the same host. The path begins with one slash, so that it can name no other host.
fn redirect(path: &str, query: Option<&str>) -> Result<Response<Payload>, Failure> {
    let location = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let location = HeaderValue::try_from(location).map_err(|_| {
        Failure::bad_request("invalid_path", "The path cannot be used in a redirect")
    })?;
    Ok(redirection(StatusCode::PERMANENT_REDIRECT, location))
}

fn redirection(status: StatusCode, location: HeaderValue) -> Response<Payload> {
    let mut response = Response::new(Payload::empty());
    *response.status_mut() = status;
    allow_all_origins(response.headers_mut());
    response.headers_mut().insert(header::LOCATION, location);
    // The next deployment may have a file where this one has a directory.
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=0, must-revalidate"),
    );
    response
}

/// The answer to a CORS preflight (Fetch standard), which also does for a plain OPTIONS.
fn preflight(asked: &HeaderMap) -> Response<Payload> {
    let mut response = Response::new(Payload::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    allow_all_origins(headers);
    headers.insert(header::ALLOW, HeaderValue::from_static(METHODS));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(METHODS),
    );
    if let Some(asked) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("3600"),
    );
    headers.insert(
        header::VARY,
        HeaderValue::from_static("Access-Control-Request-Headers"),
    );
    response
}

/// Leaves the headers of an answer as they are and takes its body away, as HEAD wants it.
pub(crate) fn drop_body(response: &mut Response<Payload>) {
    let length = response.body().length();
    *response.body_mut() = Payload::empty();
    let said = response.headers().contains_key(header::CONTENT_LENGTH);
    if length > 0 && !said {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length.into());
    }
}
