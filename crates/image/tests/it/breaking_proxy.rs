//! A TCP proxy that hangs up in the middle of large answers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Forwards to a registry; the first `breaks` connections that carry more than `after` bytes down are cut there.
pub struct BreakingProxy {
    pub host: String,
    pub broken: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl BreakingProxy {
    pub async fn start(upstream: &str, after: usize, breaks: usize) -> BreakingProxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let host = listener.local_addr().expect("bound").to_string();
        let broken = Arc::new(AtomicUsize::new(0));
        let (upstream, counter) = (upstream.to_owned(), Arc::clone(&broken));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (upstream, counter) = (upstream.clone(), Arc::clone(&counter));
                tokio::spawn(async move { forward(client, &upstream, after, breaks, &counter).await });
            }
        });
        BreakingProxy { host, broken, task }
    }
}

impl Drop for BreakingProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(client: TcpStream, upstream: &str, after: usize, breaks: usize, broken: &AtomicUsize) {
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let (mut client_read, mut client_write) = client.into_split();
    let (mut server_read, mut server_write) = server.into_split();
    let up = tokio::spawn(async move { tokio::io::copy(&mut client_read, &mut server_write).await });
    let mut buffer = vec![0; 16 << 10];
    let mut total = 0;
    while let Ok(amount @ 1..) = server_read.read(&mut buffer).await {
        total += amount;
        if total > after
            && broken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| (count < breaks).then_some(count + 1)).is_ok()
        {
            break;
        }
        if client_write.write_all(&buffer[..amount]).await.is_err() {
            break;
        }
    }
    up.abort();
}
