//! What all clients of AWS share, above all the TLS and the HTTP client of everything else.
//!
//! The SDK's own HTTP client reads and parses the system's authorities for each service, whether it is then called
//! or not: half of an event function's start (docs/decisions/profile-and-size.md).

use std::{sync::Arc, time::Duration};

use aws_config::{
    BehaviorVersion, ConfigLoader, SdkConfig,
    retry::RetryConfig,
    timeout::{TimeoutConfig, TimeoutConfigBuilder},
};
use aws_sdk_dynamodb::config::retry::{RetryPartition, TokenBucket};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient as SdkHttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::{
    body::SdkBody,
    retry::{ErrorKind, ReconnectMode},
};
use http::Response;

use crate::{http::HttpClient, tls::Tls};

/// A connection that is not there by then is tried anew: the SDK's own value.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);

/// How often an operation is tried.
const ATTEMPTS: u32 = 3;

/// For the configuration of each client: whether an operation is tried again depends on its own attempts, and on nobody else's.
///
/// By itself the SDK has one allowance of retries for all operations of a service in a process. Each of two retries at a time
/// takes for good what is meant to come back when it succeeds, so some dozens use it up; from then on no operation is tried
/// again, about whichever room or tenant it is. What bounds our attempts is that each operation has three, within its limit,
/// and that what failed then comes again later and later.
pub(crate) fn retries_of_its_own() -> RetryPartition {
    RetryPartition::custom("sippo-xmpp").token_bucket(TokenBucket::unlimited()).build()
}

/// Region, credentials and endpoint as the environment gives them (`AWS_REGION`, `AWS_ENDPOINT_URL`, …). Each operation is
/// tried three times and ends within `limit`; an attempt that hangs is given up after a quarter of it.
pub async fn sdk_config(limit: Duration) -> SdkConfig {
    loader(limit).load().await
}

/// The same for a caller that repeats by itself: each operation is one attempt, which ends within `limit`.
pub async fn single_attempt_config(limit: Duration) -> SdkConfig {
    base(TimeoutConfig::builder().operation_timeout(limit), RetryConfig::disabled()).load().await
}

fn loader(limit: Duration) -> ConfigLoader {
    // A second attempt always has its time, whatever the first took and the pause between them was; the third has it
    // unless both hung.
    let timeouts = TimeoutConfig::builder().operation_timeout(limit).operation_attempt_timeout(limit / 4);
    base(timeouts, RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(limit / 8))
}

fn base(timeouts: TimeoutConfigBuilder, retries: RetryConfig) -> ConfigLoader {
    // The SDK cannot close a connection of ours, and would log an error about that at every 5xx. Ours closes what broke or
    // was given up by itself; one on which a 5xx came is as good as any other.
    let retries = retries.with_reconnect_mode(ReconnectMode::ReuseAllConnections);
    let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(Connections::new());
    loader.timeout_config(timeouts.build()).retry_config(retries)
}

/// Our HTTP client as the SDK wants one.
#[derive(Debug)]
struct Connections(Arc<HttpClient>);

/// It, for calls that take no longer than this; the SDK limits its operations itself.
#[derive(Debug)]
struct Connector(Arc<HttpClient>, Option<Duration>);

impl Connections {
    fn new() -> Self {
        Self(Arc::new(HttpClient::direct(Tls::new(None), CONNECT_TIMEOUT)))
    }
}

impl SdkHttpClient for Connections {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        // Asking a machine for its credentials has limits of its own.
        let limit = settings.read_timeout().map(|read| read + settings.connect_timeout().unwrap_or_default());
        SharedHttpConnector::new(Connector(self.0.clone(), limit))
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(exchange(self.0.clone(), self.1, request))
    }
}

async fn exchange(
    client: Arc<HttpClient>,
    limit: Option<Duration>,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let client = client.get().map_err(|error| ConnectorError::user(error.into()))?;
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let mut request = reqwest::Request::try_from(request.map(reqwest::Body::wrap)).map_err(classified)?;
    *request.timeout_mut() = limit;
    let response = client.execute(request).await.map_err(classified)?;
    let response = Response::<reqwest::Body>::from(response).map(SdkBody::from_body_1_x);
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}

/// What the SDK has to know of an error to decide on a retry.
fn classified(error: reqwest::Error) -> ConnectorError {
    if error.is_timeout() {
        ConnectorError::timeout(error.into())
    } else if error.is_builder() {
        ConnectorError::user(error.into())
    } else if error.is_connect() {
        ConnectorError::io(error.into()).never_connected()
    } else {
        // A connection that broke: while the process was frozen, for one. All our operations can be repeated.
        ConnectorError::other(error.into(), Some(ErrorKind::TransientError))
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::{
        Client,
        config::{Builder, Credentials, Region},
    };
    use futures::future::join_all;
    use sippo_xmpp_doubles::{HttpAnswer, HttpFake, LogLines};
    use tracing::Level;

    use super::*;
    use crate::cause::root_cause;

    /// Long enough for a busy machine to answer an attempt in time.
    const LIMIT: Duration = Duration::from_secs(8);

    async fn client_of(loader: ConfigLoader, address: std::net::SocketAddr) -> Client {
        let loader = loader.region(Region::from_static("eu-west-1")).endpoint_url(format!("http://{address}"));
        let credentials = Credentials::new("id", "key", None, None, "test");
        let config = loader.credentials_provider(credentials).load().await;
        Client::from_conf(Builder::from(&config).retry_partition(retries_of_its_own()).build())
    }

    async fn client(address: std::net::SocketAddr) -> Client {
        client_of(loader(LIMIT), address).await
    }

    #[tokio::test]
    async fn a_connection_that_breaks_is_replaced_and_the_operation_repeated() {
        let mut is_first = true;
        let fake = HttpFake::answering(move |request| {
            assert!(request.text.contains("the body"), "{}", request.text);
            if std::mem::replace(&mut is_first, false) {
                HttpAnswer::HangUp
            } else {
                HttpAnswer::Close(200, r#"{"MessageId":"m"}"#.to_owned())
            }
        })
        .await;
        let sent =
            client(fake.address).await.send_message().queue_url("http://q/a").message_body("the body").send().await;
        assert_eq!(sent.unwrap().message_id(), Some("m"));
        let seen = fake.seen.lock().unwrap();
        assert_eq!(seen.len(), 2);
        assert!(seen[1].to_ascii_lowercase().contains("x-amz-target: amazonsqs.sendmessage"));
    }

    #[tokio::test]
    async fn an_endpoint_that_is_not_there_is_named_as_that() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let sent = client(address).await.send_message().queue_url("http://q/a").message_body("the body").send().await;
        let error = sent.unwrap_err();
        let aws_sdk_sqs::error::SdkError::DispatchFailure(failure) = &error else { panic!("{error:?}") };
        assert!(failure.is_io());
        assert!(root_cause(&error).contains("refused"), "{}", root_cause(&error));
    }

    fn taken() -> HttpAnswer {
        HttpAnswer::Keep(200, r#"{"MessageId":"m"}"#.to_owned())
    }

    #[tokio::test]
    async fn an_attempt_that_hangs_is_given_up_and_the_operation_repeated() {
        let mut connections = 0;
        let fake = HttpFake::answering(move |request| {
            connections += usize::from(request.before == 0);
            if connections == 1 { HttpAnswer::Ignore } else { taken() }
        })
        .await;
        let sent =
            client(fake.address).await.send_message().queue_url("http://q/a").message_body("the body").send().await;
        assert_eq!(sent.unwrap().message_id(), Some("m"));
        assert_eq!(fake.seen.lock().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn operations_that_fail_take_nobody_elses_retries() {
        let failing = HttpFake::answering(|_| HttpAnswer::Keep(500, "{}".to_owned())).await;
        let hasty = client_of(loader(Duration::from_millis(400)), failing.address).await;
        let failed = (0..200).map(|_| hasty.send_message().queue_url("http://q/a").message_body("the body").send());
        assert!(join_all(failed).await.iter().all(Result::is_err));
        let mut is_first = true;
        let fake = HttpFake::answering(move |_| {
            if std::mem::replace(&mut is_first, false) { HttpAnswer::Keep(500, "{}".to_owned()) } else { taken() }
        })
        .await;
        let sent =
            client(fake.address).await.send_message().queue_url("http://q/a").message_body("the body").send().await;
        assert_eq!(sent.unwrap().message_id(), Some("m"));
    }

    #[tokio::test]
    async fn what_a_retry_mends_is_no_line_in_the_log() {
        let logged = [Level::WARN, Level::ERROR].map(LogLines::of_level);
        for fault in [HttpAnswer::Keep(500, "{}".to_owned()), HttpAnswer::HangUp, HttpAnswer::Keep(503, String::new())]
        {
            let mut is_first = true;
            let fake =
                HttpFake::answering(
                    move |_| {
                        if std::mem::replace(&mut is_first, false) { fault.clone() } else { taken() }
                    },
                )
                .await;
            let client = client(fake.address).await;
            let sent = client.send_message().queue_url("http://q/a").message_body("the body").send().await;
            assert_eq!(sent.unwrap().message_id(), Some("m"));
        }
        assert_eq!(logged.map(|lines| lines.messages()), [Vec::<String>::new(), Vec::new()]);
    }

    #[tokio::test]
    async fn a_single_attempt_is_not_repeated_and_leaves_its_error_to_the_caller() {
        let logged = LogLines::of_level(Level::ERROR);
        let fake = HttpFake::answering(|_| HttpAnswer::Keep(500, "{}".to_owned())).await;
        let single = base(TimeoutConfig::builder().operation_timeout(LIMIT), RetryConfig::disabled());
        let client = client_of(single, fake.address).await;
        client.send_message().queue_url("http://q/a").message_body("the body").send().await.unwrap_err();
        assert_eq!((fake.count(), logged.messages()), (1, Vec::new()));
    }
}
