//! The sections of `xmpp.toml` with their meaning: checked, defaulted, typed.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use secrecy::ExposeSecret;
use url::{Host, Url};

use super::{
    cells::Cell,
    error::ConfigError,
    keys,
    secret::{Secret, SecretKind},
    source::Source,
};
use crate::address::{AddressError, Advice, UserJid, canonical_domain};

/// `[xmpp]` and `[[cells]]`: where the XMPP servers are and how the service logs in there.
#[derive(Debug, Clone)]
pub struct Xmpp {
    /// The XMPP servers: at least one.
    pub cells: Vec<Cell>,
    /// Whether tenants are placed on one of them each, by `[[cells]]`; else all are on the only one.
    pub has_places: bool,
    /// The service's own account, the same on each XMPP server.
    pub admin_jid: UserJid,
    /// How long a login token is good for.
    pub login_token_ttl: Duration,
}

/// `[auth]`: how access tokens are checked.
#[derive(Debug, Clone)]
pub struct Auth {
    /// The kind of access token.
    pub scheme: Scheme,
    /// Name of the claim with the unescaped username.
    pub username_claim: String,
    /// Name of the claim with the domain.
    pub domain_claim: String,
    /// Name of the claim with the capabilities, an array of strings or a string of words.
    pub capabilities_claim: String,
    /// How the issuer marks its access tokens (`typ` and the like), beside the usual ways.
    pub token_types: Vec<String>,
    /// The domains that the issuer may speak for; all when empty.
    pub domains: Vec<String>,
}

/// The two kinds of access token.
#[derive(Debug, Clone)]
pub enum Scheme {
    /// Signed by an issuer whose keys are published (RFC 7519, RFC 7517).
    Jwt {
        /// Required value of `iss`.
        issuer: String,
        /// Accepted values of `aud`; one of them has to be there.
        audience: Vec<String>,
        /// The JWK set: `https://`, or `file://` for local runs.
        jwks_url: Url,
    },
    /// Opaque; the issuer is asked (RFC 7662).
    Introspection {
        /// The introspection endpoint.
        url: Url,
        /// The service's client id there.
        client_id: String,
        /// The service's client secret there.
        client_secret: Secret,
        /// Accepted values of `aud`; not checked when empty.
        audience: Vec<String>,
    },
}

impl Xmpp {
    pub(super) fn read(source: &Source) -> Result<Self, ConfigError> {
        let admin_jid = source.text("xmpp", "adminJid").unwrap_or(keys::DEFAULT_ADMIN_JID);
        let admin_jid = UserJid::canonical(admin_jid).map_err(|error| {
            source.bad(
                "xmpp",
                "adminJid",
                format!("is no canonical bare JID ({error})"),
                match Advice::new(error, admin_jid) {
                    Advice::Spelling(jid) => format!(
                        "write it as localpart@domain, as in '{jid}'; it must be the one that the XMPP server knows"
                    ),
                    Advice::Words(_) => {
                        "write it as localpart@domain, in lower case; it must be the one that the XMPP server knows"
                            .to_owned()
                    }
                },
            )
        })?;
        let ttl = source.number("xmpp", "loginTokenTtl").unwrap_or(300);
        let login_token_ttl =
            u64::try_from(ttl).ok().filter(|ttl| (1..=86_400).contains(ttl)).map(Duration::from_secs).ok_or_else(
                || {
                    source.bad(
                        "xmpp",
                        "loginTokenTtl",
                        "is out of range",
                        "write a number of seconds from 1 to 86400, such as 300",
                    )
                },
            )?;
        Ok(Self { cells: Cell::read_all(source)?, has_places: source.is_repeated("cells"), admin_jid, login_token_ttl })
    }
}

impl Auth {
    /// All issuers: `[auth]`, or each `[[auth]]`.
    pub(super) fn read_all(source: &Source) -> Result<Vec<Self>, ConfigError> {
        let sources = source.each("auth")?;
        let (mut all, mut issuers) = (Vec::new(), HashSet::new());
        for source in &sources {
            let auth = Self::read(source)?;
            if sources.len() > 1 && auth.domains.is_empty() {
                return Err(source.bad(
                    "auth",
                    "domains",
                    "is missing",
                    "name the domains whose users this issuer knows",
                ));
            }
            let (name, issuer) = match &auth.scheme {
                Scheme::Jwt { issuer, .. } => ("issuer", Some(issuer.clone())),
                Scheme::Introspection { .. } => ("introspectionUrl", None),
            };
            if !issuers.insert(issuer) {
                let fault = "is another [[auth]]'s too, and no token tells which of them is meant";
                return Err(source.bad(
                    "auth",
                    name,
                    fault,
                    "keep one: of opaque tokens there is one issuer, of JWTs one a name",
                ));
            }
            all.push(auth);
        }
        Ok(all)
    }

    fn read(source: &Source) -> Result<Self, ConfigError> {
        let claim = |name, default: &str| source.text("auth", name).unwrap_or(default).to_owned();
        Ok(Self {
            scheme: Scheme::read(source)?,
            username_claim: claim("usernameClaim", "preferred_username"),
            domain_claim: claim("domainClaim", "domain"),
            capabilities_claim: claim("capabilitiesClaim", "capabilities"),
            token_types: source.list("auth", "tokenTypes").to_vec(),
            domains: domains(source)?,
        })
    }
}

impl Scheme {
    fn read(source: &Source) -> Result<Self, ConfigError> {
        let jwks_url = source.url("auth", "jwksUrl", &["https", "file"])?;
        if jwks_url.as_ref().is_some_and(|url| url.scheme() == "file" && url.to_file_path().is_err()) {
            return Err(source.bad(
                "auth",
                "jwksUrl",
                "is a file URL with a host, or without a path",
                "write three slashes and the whole path, such as file:///opt/config/jwks.json",
            ));
        }
        let introspection_url = source.url("auth", "introspectionUrl", &["https", "http"])?;
        let audience = source.list("auth", "audience").to_vec();
        match (jwks_url, introspection_url) {
            (Some(jwks_url), None) => {
                let issuer = source.mandatory("auth", "issuer")?.to_owned();
                if audience.is_empty() {
                    return Err(source.missing("auth", "audience"));
                }
                Ok(Self::Jwt { issuer, audience, jwks_url })
            }
            (None, Some(url)) => Ok(Self::Introspection {
                url,
                client_id: source.mandatory("auth", "introspectionClientId")?.to_owned(),
                client_secret: Secret::read(source, &CLIENT_SECRET)?
                    .ok_or_else(|| source.missing("auth", "introspectionClientSecret"))?,
                audience,
            }),
            (Some(_), Some(_)) => Err(source.bad(
                "auth",
                "introspectionUrl",
                "is set beside jwksUrl",
                "keep jwksUrl for JWT access tokens, or introspectionUrl for opaque ones, and remove the other",
            )),
            (None, None) => Err(source.bad(
                "auth",
                "jwksUrl",
                "is missing, and so is introspectionUrl",
                "set jwksUrl (with issuer and audience) for JWT access tokens, or introspectionUrl (with introspectionClientId and introspectionClientSecret) for opaque ones",
            )),
        }
    }
}

/// The domains that an issuer may speak for, as tokens have to spell them.
fn domains(source: &Source) -> Result<Vec<String>, ConfigError> {
    let is_canonical = |text: &str| canonical_domain(text).is_ok_and(|domain| domain.as_str() == text);
    let domains = source.list("auth", "domains");
    match domains.iter().find(|text| !is_canonical(text)) {
        None => Ok(domains.to_vec()),
        Some(bad) => Err(source.bad(
            "auth",
            "domains",
            format!("holds {bad:?}, which is not a domain in its canonical form"),
            format!("write {}", Advice::new(AddressError::DomainNotCanonical, bad)),
        )),
    }
}

static CLIENT_SECRET: SecretKind = SecretKind {
    section: "auth",
    name: "introspectionClientSecret",
    arn_name: "introspectionClientSecretArn",
    check: |secret| if secret.expose_secret().is_empty() { Err("is empty") } else { Ok(()) },
    hint: "write the secret that the issuer has given this service as a client",
};

/// Whether the traffic to `url` can be read on its way: no TLS, and not within this machine.
pub(super) fn is_exposed(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => true,
    };
    matches!(url.scheme(), "ws" | "http") && !loopback
}

/// What pages may send unless the configuration says otherwise: what the API needs, and what the tracing libraries of
/// browsers add to each request (W3C Trace Context and Baggage, Sentry, Datadog, B3, AWS X-Ray, Jaeger, Elastic).
const DEFAULT_HEADERS: &[&str] = &[
    "authorization",
    "content-type",
    "traceparent",
    "tracestate",
    "baggage",
    "sentry-trace",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-origin",
    "x-datadog-sampling-priority",
    "x-datadog-tags",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-amzn-trace-id",
    "uber-trace-id",
    "elastic-apm-traceparent",
    "newrelic",
    "request-id",
    "x-request-id",
    "x-correlation-id",
];

/// `[cors]`: cross-origin calls of the REST API.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    /// Origins whose pages may call; `*` for any.
    pub allowed_origins: Vec<String>,
    /// Request headers that such pages may send, in lower case.
    pub allowed_headers: Vec<String>,
}

/// Whether a browser would send `text` as an origin: scheme, host and perhaps a port, as RFC 6454, section 6.2, writes them. Apps
/// in a web view have schemes of their own (`capacitor://localhost`), which are written alike.
fn is_origin(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let origin = url.origin();
    let written = match url.host_str().filter(|host| !host.is_empty() && !host.contains('*')) {
        Some(_) if origin.is_tuple() => origin.ascii_serialization(),
        Some(host) if url.scheme() != "file" => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{}{port}", url.scheme(), host.to_ascii_lowercase())
        }
        None | Some(_) => return false,
    };
    written == text
}

/// `[tls]`: whom to trust.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// PEM file with certificate authorities to trust besides the public ones.
    pub ca_file: Option<PathBuf>,
}

impl Cors {
    pub(super) fn read(source: &Source) -> Result<Self, ConfigError> {
        let allowed_origins = source.list("cors", "allowedOrigins").to_vec();
        for origin in &allowed_origins {
            if origin != "*" && !is_origin(origin) {
                return Err(source.bad(
                    "cors",
                    "allowedOrigins",
                    format!("holds {origin:?}, which is not an origin"),
                    "write scheme and host only, in lower case and without a trailing slash, such as https://chat.example.com, \
                     each by itself: no * stands for a part of one",
                ));
            }
        }
        let allowed_headers = match source.list("cors", "allowedHeaders") {
            [] => DEFAULT_HEADERS.iter().map(|&name| name.to_owned()).collect(),
            names => names.iter().map(|name| name.to_ascii_lowercase()).collect::<Vec<_>>(),
        };
        // A field name is a token (RFC 9110, section 5.1). With `*` browsers still ask for authorization by name.
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if let Some(bad) = allowed_headers.iter().find(|name| name.is_empty() || !name.bytes().all(is_token)) {
            let fault = format!("holds {bad:?}, which is no name of a header");
            return Err(source.bad(
                "cors",
                "allowedHeaders",
                fault,
                "write names such as authorization or traceparent",
            ));
        }
        Ok(Self { allowed_origins, allowed_headers })
    }
}

impl Trust {
    pub(super) fn read(source: &Source) -> Self {
        Self { ca_file: source.text("tls", "caFile").map(PathBuf::from) }
    }
}
