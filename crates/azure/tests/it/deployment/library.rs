//! An https server for linked templates, with a certificate of its own making.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pillion_azure::deployment::LinkSettings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

/// An https server on loopback that answers by path, with a certificate of its own making.
pub struct Library {
    pub address: SocketAddr,
    certificate: Vec<u8>,
    pub asked: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Library {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Library {
    pub async fn open(pages: Vec<(&'static str, String)>) -> Library {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key))
            .expect("a configuration");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, pages) = (asked.clone(), Arc::new(pages));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (acceptor, pages) = (acceptor.clone(), pages.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut request = vec![0; 4096];
                    let Ok(read) = stream.read(&mut request).await else { return };
                    let text = String::from_utf8_lossy(&request[..read]).into_owned();
                    let path = text.split_whitespace().nth(1).unwrap_or_default();
                    let answer = match pages.iter().find(|(page, _)| *page == path) {
                        Some((_, answer)) => answer.clone(),
                        None => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into(),
                    };
                    // The client may have read enough and gone.
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Library { address, certificate: made.cert.pem().into_bytes(), asked, task }
    }

    pub fn settings(&self) -> LinkSettings {
        LinkSettings {
            allow: vec!["127.0.0.1".parse().expect("a network")],
            certificates: vec![self.certificate.clone()],
            within: Duration::from_secs(5),
            max_bytes: 64 * 1024,
        }
    }

    pub fn at(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.address.port())
    }
}

/// Answers 200 with this body.
pub fn page(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
