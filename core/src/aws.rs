//! What all clients of AWS share, above all the TLS and the HTTP client of everything else.
//!
//! The SDK's own HTTP client reads and parses the system's authorities for each service, whether it is then called
//! or not: half of an event function's start (docs/decisions/profile-and-size.md).

use std::{sync::Arc, time::Duration};

use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient as SdkHttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::{body::SdkBody, retry::ErrorKind};
use http::Response;

use crate::{http::HttpClient, tls::Tls};

/// A connection that is not there by then is tried anew: the SDK's own value.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);

/// Region, credentials and endpoint as the environment gives them (`AWS_REGION`, `AWS_ENDPOINT_URL`, …); each
/// operation, with the SDK's own retries, ends within `limit`.
pub async fn sdk_config(limit: Duration) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(Connections::new())
        .timeout_config(TimeoutConfig::builder().operation_timeout(limit).build())
        .load()
        .await
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
        Client, Config,
        config::{Credentials, Region},
    };
    use sippo_xmpp_doubles::{HttpAnswer, HttpFake};

    use super::*;
    use crate::cause::root_cause;

    fn client(address: std::net::SocketAddr) -> Client {
        let config = Config::builder().behavior_version(BehaviorVersion::latest()).http_client(Connections::new());
        let config = config.region(Region::from_static("eu-west-1")).endpoint_url(format!("http://{address}"));
        Client::from_conf(config.credentials_provider(Credentials::new("id", "key", None, None, "test")).build())
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
        let sent = client(fake.address).send_message().queue_url("http://q/a").message_body("the body").send().await;
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
        let sent = client(address).send_message().queue_url("http://q/a").message_body("the body").send().await;
        let error = sent.unwrap_err();
        let aws_sdk_sqs::error::SdkError::DispatchFailure(failure) = &error else { panic!("{error:?}") };
        assert!(failure.is_io());
        assert!(root_cause(&error).contains("refused"), "{}", root_cause(&error));
    }
}
