//! The bridge as a daemon, for any RabbitMQ.

use std::{net::SocketAddr, process::ExitCode};

use bridge::{
    daemon::Daemon,
    dependencies::Dependencies,
    health::{self, Health, State},
    metrics,
};
use sippo_xmpp_core::{
    config::{Config, DEFAULT_LISTEN, ServiceConfig, platform_file},
    telemetry,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => telemetry::exit_with_error(&line),
    }
}

async fn run() -> Result<(), String> {
    let stop = stop_signal()?;
    let config = Config::load().map_err(|error| error.to_string())?;
    telemetry::init(config.log);
    match config.service {
        Some(service) => bridge(&service, stop).await?,
        None => idle(stop).await?,
    }
    telemetry::flush().await;
    tracing::info!("Bridge stopped");
    Ok(())
}

async fn bridge(service: &ServiceConfig, stop: watch::Receiver<bool>) -> Result<(), String> {
    let events = &service.events;
    let Dependencies { broker, queues, register, unknown_keys } = Dependencies::of(service).await?;
    let health = Health::new(State::Connecting);
    listen(events.listen, &health).await?;
    tokio::spawn(metrics::report(health.clone()));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), listen = %events.listen, "Bridge started");
    let daemon = Daemon { broker: &broker, queues: &queues, register: &register, health: &health, unknown_keys };
    // Boxed: with all that a session holds it is large for the stack.
    Box::pin(daemon.run(stop)).await;
    Ok(())
}

/// A disabled service consumes nothing: the broker keeps the events.
async fn idle(mut stop: watch::Receiver<bool>) -> Result<(), String> {
    let address = std::env::var("SIPPO_BRIDGE__LISTEN").unwrap_or_else(|_| DEFAULT_LISTEN.to_owned());
    let address = address
        .parse()
        .map_err(|_| "SIPPO_BRIDGE__LISTEN is no IP address with a port; write it as in 127.0.0.1:8081".to_owned())?;
    listen(address, &Health::new(State::Disabled)).await?;
    tracing::info!(
        "The service is disabled: {} has no section [xmpp]; no events are consumed",
        platform_file().display()
    );
    let _ = stop.wait_for(|stop| *stop).await;
    Ok(())
}

async fn listen(address: SocketAddr, health: &std::sync::Arc<Health>) -> Result<(), String> {
    let server = health::serve(address, health.clone()).await.map_err(|error| {
        format!("[bridge] listen: {address} cannot be listened on ({error}); choose a free port of this machine")
    })?;
    tokio::spawn(server);
    Ok(())
}

/// Turns true at SIGTERM or SIGINT.
fn stop_signal() -> Result<watch::Receiver<bool>, String> {
    let (sender, stop) = watch::channel(false);
    let failed = |error: std::io::Error| format!("signals cannot be waited for ({error}); start the bridge anew");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = sender.send(true);
        // Whoever waits for a change must not see the sender gone.
        sender.closed().await;
    });
    Ok(stop)
}
