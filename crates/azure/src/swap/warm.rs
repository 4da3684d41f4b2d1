//! Warming up before traffic moves: every instance of the source is asked until it answers.

use std::time::Duration;

use pillion_arm::{ArmError, ResourceId, setting_text};
use pillion_model::{AppName, HttpCheck};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{Azure, names::public_name, service::refusal};

/// The documented limits: a request, and how often it is repeated.
const WITHIN: Duration = Duration::from_secs(90);
const RETRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

impl Azure {
    /// Sends the ping of a swap to each instance of the source, over the source's own port.
    pub(super) async fn warm_up(&self, source: &ResourceId, target: &ResourceId, app: &AppName) -> Result<(), ArmError> {
        let parts =
            self.peek(source).and_then(|source| self.swapped_parts(&source, app)).or_else(|| self.parts(target, app.clone()));
        let setting = |name: &str| {
            let text = parts.as_ref().and_then(|parts| setting_text(parts.settings.as_deref(), name));
            text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let path = setting("WEBSITE_SWAP_WARMUP_PING_PATH").unwrap_or_else(|| "/".to_owned());
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let statuses = setting("WEBSITE_SWAP_WARMUP_PING_STATUSES").unwrap_or_else(|| "any".to_owned());
        let check = HttpCheck { path: path.clone(), port: None, statuses: Some(statuses), headers: Default::default() };
        let failed = |message: String| ArmError::new(409, "SwapWarmUpFailed", message);
        let good =
            check.status_ranges().map_err(|wrong| failed(format!("App setting WEBSITE_SWAP_WARMUP_PING_STATUSES: {wrong}.")))?;
        let status = self.shared.control.status(app).await.map_err(|wrong| refusal(&wrong))?;
        let port = public_name(source).and_then(|name| self.ports().get(&name).copied());
        let Some(port) = port else { return Ok(()) };
        for instance in &status.instances {
            let mut last = String::new();
            let mut warm = false;
            for attempt in 0..=RETRIES {
                if attempt > 0 {
                    tokio::time::sleep(PAUSE * attempt).await;
                }
                match ping(port, &path, instance.status.id.as_str()).await {
                    Ok(answer) if good.is_empty() || good.iter().any(|(low, high)| (*low..=*high).contains(&answer)) => {
                        warm = true;
                        break;
                    }
                    Ok(answer) => last = format!("answered {answer}"),
                    Err(wrong) => last = wrong,
                }
            }
            if !warm {
                return Err(failed(format!(
                    "Instance '{}' of slot '{}' did not answer the warm-up request to {path} as it should: {last}.",
                    instance.status.id,
                    source.full_name()
                )));
            }
        }
        Ok(())
    }
}

/// Sends one request to one instance (the cookie says which) and returns the status of its answer.
async fn ping(port: u16, path: &str, instance: &str) -> Result<u16, String> {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: SiteWarmup\r\nCookie: ARRAffinity={instance}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        let mut part = [0u8; 512];
        while !head.windows(2).any(|end| end == b"\r\n") && head.len() < 4096 {
            match stream.read(&mut part).await? {
                0 => break,
                read => head.extend_from_slice(&part[..read]),
            }
        }
        Ok::<_, std::io::Error>(head)
    };
    let head = match tokio::time::timeout(WITHIN, ask).await {
        Ok(Ok(head)) => head,
        Ok(Err(wrong)) => return Err(wrong.to_string()),
        Err(_) => return Err(format!("no answer within {} s", WITHIN.as_secs())),
    };
    let line = String::from_utf8_lossy(&head);
    line.split(' ').nth(1).and_then(|status| status.trim().parse().ok()).ok_or_else(|| "its answer is not HTTP".to_owned())
}
