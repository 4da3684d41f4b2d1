//! `pillion up`: an app from its file, in the foreground, with a server of its own if none runs.

mod follow;
mod own_server;

use std::time::Duration;

use pillion_api::wire::{AppState, Done, StatusAnswer, StopRequest, TargetRequest};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};

use self::own_server::OwnServer;
use super::{Context, app_file::SourceFile, apply, rollout};
use crate::{
    cli::UpArgs,
    client::{Ask, ClientError},
    clock,
    complaint::Complaint,
    output,
    paint::Paint,
};

pub async fn run(context: &Context, args: UpArgs) -> Result<(), Complaint> {
    // The file first: a mistake in it should not cost the start of a server.
    let file = SourceFile::from(&args.file.file)?;
    let mut stops = Stops::watch()?;
    let began_ms = clock::now_ms();
    let server = own_server::ensure(context, args.detach).await?;
    let up = Up { context, file: &file, app: file.app.name.as_str() };
    if args.detach {
        let urls = up.bring_up().await?;
        server.leave();
        return urls.iter().try_for_each(|url| output::print(&format!("{url}\n")));
    }
    // Either arm may be dropped: bringing up is followed by stopping, following by stopping too.
    let done = tokio::select! {
        done = async {
            up.bring_up().await?;
            follow::logs(context, &file.app, began_ms).await
        } => done,
        () = stops.next() => Ok(()),
    };
    if done.is_ok() {
        eprintln!("stopping {} in order; Ctrl-C again stops it at once", up.app);
    }
    let stopped = up.take_down(&server, &mut stops).await;
    server.ended().await;
    done.and(stopped)
}

struct Up<'a> {
    context: &'a Context,
    file: &'a SourceFile,
    app: &'a str,
}

impl Up<'_> {
    /// Applies, starts what was stopped, and waits until the app is ready.
    async fn bring_up(&self) -> Result<Vec<String>, Complaint> {
        let Self { context, file, app } = self;
        let outcome = apply::send(context, file, false).await?;
        let was_stopped = matches!(self.state().await?, AppState::Stopped | AppState::Stopping);
        if was_stopped {
            let ask = Ask::post(format!("/v1/apps/{app}/start")).json(&TargetRequest::default());
            context.client.ask::<StatusAnswer>(ask).await?;
        }
        let urls = rollout::follow(context, app, outcome.revision).await?;
        let at = urls.first().map(|url| format!(" at {url}")).unwrap_or_default();
        eprintln!("{} {app} is ready{at}", Paint::for_stderr().good("✓"));
        for url in urls.iter().skip(1) {
            eprintln!("  also {url}");
        }
        Ok(urls)
    }

    async fn state(&self) -> Result<AppState, Complaint> {
        let status: StatusAnswer = self.context.client.ask(Ask::get(format!("/v1/apps/{}/status", self.app))).await?;
        Ok(status.status.state)
    }

    /// Stops in order; a second signal stops at once, a third does not wait for that either.
    async fn take_down(&self, server: &OwnServer, stops: &mut Stops) -> Result<(), Complaint> {
        let Self { context, app, .. } = self;
        let mut stopping = self.ask_stop(server.is_own());
        let mut signals = 0;
        loop {
            // The task goes on whichever arm wins.
            tokio::select! {
                stopped = &mut stopping => return match stopped {
                    Ok(stopped) => stopped,
                    Err(_) => Err(Complaint::new(format!("{app} may still run"))),
                },
                () = stops.next() => signals += 1,
            }
            if signals > 1 {
                return Err(Complaint::new(format!("{app} may still be stopping")));
            }
            eprintln!("stopping {app} at once");
            context.client.ask::<Done>(Ask::post(format!("/v1/apps/{app}/kill"))).await?;
        }
    }

    fn ask_stop(&self, whole_server: bool) -> JoinHandle<Result<(), Complaint>> {
        let (client, app) = (self.context.client.clone(), self.app.to_owned());
        tokio::spawn(async move {
            // Stopped on purpose, so that the next server does not start it by itself.
            let ask = Ask::post(format!("/v1/apps/{app}/stop")).json(&TargetRequest::default());
            match client.ask::<StatusAnswer>(ask).await {
                Ok(_) | Err(ClientError::Absent { .. } | ClientError::Broken { .. }) => {}
                Err(ClientError::Refused { status, .. }) if status.as_u16() == 404 => {}
                Err(error) => return Err(error.into()),
            }
            if whole_server {
                let asked = client.ask::<Done>(Ask::post("/v1/system/stop").json(&StopRequest::default())).await;
                match asked {
                    Ok(Done {}) | Err(ClientError::Absent { .. } | ClientError::Broken { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        })
    }
}

/// The signals that ask `up` to end.
struct Stops {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Stops {
    fn watch() -> Result<Self, Complaint> {
        let watch = |kind| signal(kind).map_err(|error| Complaint::new("could not watch for signals").because(Some(&error)));
        Ok(Self {
            interrupt: watch(SignalKind::interrupt())?,
            terminate: watch(SignalKind::terminate())?,
            hang_up: watch(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one; cancel-safe, as each source is.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

/// How long a server may take to answer after its start; adoption of many instances takes a while.
const SERVER_START: Duration = Duration::from_secs(60);
