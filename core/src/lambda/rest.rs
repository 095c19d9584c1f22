//! A REST function: configuration, adapters, then one request after the other.

use std::{process::ExitCode, sync::Arc, time::Duration};

use lambda_http::{
    Adapter, Body, LambdaEvent, Request, RequestExt, Response,
    http::{HeaderValue, Method, header::CACHE_CONTROL},
    lambda_runtime,
    request::{LambdaRequest, RequestContext},
    service_fn,
    tower::Service as _,
};
use tokio::time::Instant;

pub use super::routes::Operation;
use super::{
    bearer::bearer_token,
    cors::Cors,
    gateway_event::normalise,
    invocation::invocation,
    problem::Problem,
    refusals::Refusals,
    routes::Path,
    start::{self, Dependencies},
};
use crate::{
    address::{Tenancy, UserJid},
    auth::{AccessTokens, Caller, TokenError},
    telemetry::{self, Metric, trace::TRACEPARENT},
};

/// A call is answered within this time, whatever the token issuer and the XMPP server do.
const BUDGET: Duration = Duration::from_millis(4_500);

/// One operation of the API.
pub(super) trait Endpoint: Send + Sync + Sized + 'static {
    /// Which one.
    const OPERATION: Operation;

    /// Builds its adapters; connects nowhere yet.
    fn build(dependencies: &Dependencies) -> impl Future<Output = Self> + Send;

    /// Serves a call of `caller`; `contact` is there where the path names one.
    fn call(
        &self,
        caller: &Caller,
        contact: Option<&UserJid>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Response<Body>, Problem>> + Send;
}

/// Runs the function of endpoint `E` until the process is ended. What keeps it from starting is
/// printed as one line.
#[expect(private_bounds, reason = "the set of endpoints is closed; functions only name them")]
pub async fn run<E: Endpoint>() -> ExitCode {
    let function = match Function::<E>::build().await {
        Ok(function) => Arc::new(function),
        Err(line) => return telemetry::exit_with_error(&line),
    };
    tracing::info!(operation = ?E::OPERATION, version = env!("CARGO_PKG_VERSION"), "Function started");
    let handler = service_fn(|request: Request| {
        let function = function.clone();
        async move { Ok::<_, std::convert::Infallible>(function.serve(request).await) }
    });
    let mut adapter = Adapter::from(handler);
    let outcome = lambda_runtime::run(service_fn(move |mut event: LambdaEvent<LambdaRequest>| {
        if let LambdaRequest::ApiGatewayV2(request) = &mut event.payload {
            normalise(request);
        }
        adapter.call(event)
    }))
    .await;
    start::exit_code(outcome)
}

/// A function with all it needs; without a service when the service is disabled.
struct Function<E> {
    service: Option<Enabled<E>>,
    cors: Cors,
}

struct Enabled<E> {
    access: AccessTokens,
    refusals: Refusals,
    tenancy: Tenancy,
    endpoint: E,
}

impl<E: Endpoint> Function<E> {
    async fn build() -> Result<Self, String> {
        let Some(dependencies) = Dependencies::load().await? else {
            return Ok(Self { service: None, cors: Cors::default() });
        };
        tracing::trace!("Starting endpoints");
        let cors = Cors::new(&dependencies.service.cors);
        let access = AccessTokens::new(&dependencies.service.auth, &dependencies.tls).await;
        let access = access.map_err(|error| error.to_string())?;
        let enabled = Enabled {
            access,
            refusals: Refusals::default(),
            tenancy: dependencies.tenancy(),
            endpoint: E::build(&dependencies).await,
        };
        Ok(Self { service: Some(enabled), cors })
    }

    /// Answers a request: always with an answer, never with an error of the function.
    async fn serve(&self, request: Request) -> Response<Body> {
        let (request_id, began) = (request_id(&request), Instant::now());
        let traceparent = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok()?.parse().ok());
        let context = request.lambda_context_ref().cloned().unwrap_or_default();
        let work = async {
            let mut response = match self.answer(&request).await {
                Ok(response) => response,
                Err(problem) => problem.into_response(&request_id),
            };
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            self.cors.add_headers(request.headers(), &mut response);
            record_metrics(&response, began);
            response
        };
        invocation(&context, &request_id, traceparent, work).await
    }

    async fn answer(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let deadline = Instant::now() + BUDGET;
        // Not the URI's path: dot segments have been removed from that, and `..` must not lead out of an entry.
        let path = Path::parse(request.raw_http_path()).ok_or_else(Problem::not_found)?;
        let service = self.service.as_ref().ok_or_else(Problem::disabled)?;
        if request.method() == Method::OPTIONS {
            return Ok(self.cors.preflight(request.headers(), path.methods()));
        }
        let operation = path.operation(request.method()).ok_or_else(|| Problem::method_not_allowed(path.methods()))?;
        let caller = service.authenticate(request).await?;
        tracing::Span::current().record("user", caller.jid.as_str());
        let contact = path.contact().transpose().map_err(Problem::bad_jid)?;
        if operation != E::OPERATION {
            tracing::warn!(?operation, own = ?E::OPERATION, "A request was routed to another operation's function; see the routes in template.yaml");
            return Err(Problem::not_found());
        }
        service.endpoint.call(&caller, contact.as_ref(), deadline).await.inspect_err(|problem| {
            if let Some(reason) = problem.refusal() {
                service.refusals.log_caller(&caller.jid, reason);
            }
        })
    }
}

impl<E> Enabled<E> {
    async fn authenticate(&self, request: &Request) -> Result<Caller, Problem> {
        let token = bearer_token(request.headers())?;
        match self.access.verify(token).await {
            Ok(identity) => Caller::admit(&identity, &self.tenancy).map_err(|denied| {
                self.refusals.log(&identity, &denied);
                denied.into()
            }),
            Err(error) => {
                match &error {
                    TokenError::Invalid(reason) => tracing::error!(
                        reason,
                        unverified_user = self.access.unverified_user(token),
                        r#"Authenticate no-user error Bearer realm="Users", error="invalid_token""#
                    ),
                    TokenError::Unavailable(_) => tracing::error!(error = %error, "Access token cannot be checked"),
                }
                Err(error.into())
            }
        }
    }
}

/// Measures an answer.
fn record_metrics(response: &Response<Body>, began: Instant) {
    let status = response.status();
    tracing::Span::current().record("status", status.as_u16());
    Metric::Requests.add(1);
    Metric::RequestRefusals.add(usize::from(status.is_client_error()));
    Metric::RequestFailures.add(usize::from(status.is_server_error()));
    Metric::RequestLatency.observe(began.elapsed().as_secs_f64() * 1_000.0);
}

/// API Gateway's id of the request, which its access log has too; else the invocation's.
fn request_id(request: &Request) -> String {
    if let Some(RequestContext::ApiGatewayV2(context)) = request.request_context_ref()
        && let Some(id) = &context.request_id
    {
        return id.clone();
    }
    request.lambda_context_ref().map(|context| context.request_id.clone()).unwrap_or_default()
}
