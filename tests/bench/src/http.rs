//! As much of an HTTP/1.1 server as one client at a time needs.

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// The header `X-Amz-Target`: service and operation of AWS's JSON protocol.
    pub(crate) target: String,
    pub(crate) body: String,
}

/// A connection of a client.
#[derive(Debug)]
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) async fn accept(listener: &TcpListener) -> Self {
        let (tcp, _) = listener.accept().await.expect("a client connects");
        tcp.set_nodelay(true).expect("a TCP socket");
        Self(BufReader::new(tcp))
    }

    /// The next request, if one comes.
    pub(crate) async fn request(&mut self) -> Option<Request> {
        let mut line = String::new();
        self.0.read_line(&mut line).await.ok().filter(|amount| *amount > 0)?;
        let path = line.split(' ').nth(1)?.to_owned();
        let (mut length, mut target) = (0, String::new());
        loop {
            line.clear();
            self.0.read_line(&mut line).await.ok()?;
            let Some((name, value)) = line.trim().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().ok()?,
                "x-amz-target" => value.trim().clone_into(&mut target),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.ok()?;
        Some(Request { path, target, body: String::from_utf8(body).ok()? })
    }

    /// Answers it. The client may be gone.
    pub(crate) async fn respond(&mut self, status: &str, headers: &str, body: &str) -> std::io::Result<()> {
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        self.0.write_all((head + body).as_bytes()).await
    }
}
