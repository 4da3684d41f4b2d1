//! The composition root: opens everything, wires it, and ends it in a written order.

mod claim;
mod endpoint;
mod gateway;
mod images;
mod machine;
mod service;
mod settings;
mod shutdown;
mod slot;
mod supervisor_program;

pub use settings::Settings;

use std::{
    io::{Read, Write},
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use pillion_api::Services;
use pillion_azure::{
    Azure, Settings as AzureSettings,
    deployment::{Deployments, Settings as DeploymentSettings},
};
use pillion_control::{Control, Settings as ControlSettings};
use pillion_engine::Engine;
use pillion_host::{HostEngine, HostSettings, LogLimits, Subnet};
use pillion_identity::Identity;
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    sync::{Mutex, mpsc, watch},
};

use self::{
    endpoint::TlsEndpoint,
    gateway::GatewayKeeper,
    machine::Machine,
    shutdown::{Running, StopAsked},
    slot::Slot,
};
use crate::{cli::ServeArgs, complaint::Complaint, layout::Layout};

/// What the server prints on standard output, where it was asked to, once the API answers.
pub const READY: &str = "ready";

/// Runs the server until it is told to end.
pub fn run(layout: Layout, args: ServeArgs) -> Result<(), Complaint> {
    if !rustix::process::geteuid().is_root() {
        return Err(Complaint::new("the server needs root")
            .cause("it makes namespaces, cgroups and network devices, and mounts images for containers")
            .hint("run it with sudo; only the containers and the gateway run without rights"));
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("PILLION_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("serve").build();
    let runtime = runtime.map_err(|error| Complaint::new("could not start the server").because(Some(&error)))?;
    let done = runtime.block_on(serve(layout, args));
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

async fn serve(layout: Layout, args: ServeArgs) -> Result<(), Complaint> {
    let failed = |doing: &'static str| move |error: &dyn std::error::Error| Complaint::new(doing).because(Some(error));
    // Signals first: one that comes while things are opened must not kill the process half way.
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| failed("could not watch for signals")(&e))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| failed("could not watch for signals")(&e))?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(|e| failed("could not watch for signals")(&e))?;

    claim::make_directories(&layout)?;
    let _lock = claim::only_one(&layout)?;
    let settings = Settings::read(layout.settings()).map_err(|e| Complaint::from_error(&e))?;
    let slot = Slot::claim(layout.root(), layout.state()).map_err(|e| Complaint::from_error(&e))?;
    let exe = std::env::current_exe().map_err(|e| failed("could not find this program's own file")(&e))?;

    let listen = args.listen.map_or_else(|| settings.listen_or(slot.gateway_port()), |address| vec![address]);
    let supervisor = supervisor_program::find(&exe).await;
    // Ports are taken before anything runs: a port that is not free is the commonest reason not to start.
    let keeper = GatewayKeeper::open(&layout, &exe, slot, &settings, &listen).await?;

    let port = endpoint::Port::take(&settings, slot.endpoint_port()).await?;

    let store = pillion_store::Store::open(layout.state()).map_err(|e| failed("could not open the server's state")(&e))?;
    let engine = HostEngine::open(host_settings(&layout, slot, &settings, supervisor)?)
        .await
        .map_err(|e| failed("could not take charge of this machine")(&e))?;
    let engine = Arc::new(engine);
    let control_settings = ControlSettings {
        app_ports: slot.app_ports(),
        gateway_port: keeper.port(),
        drain_within: settings.drain_within(),
        max_instances: settings.max_instances(),
    };
    let as_engine: Arc<dyn Engine> = engine.clone();
    let (control, reconciler) = Control::new(store.clone(), as_engine, keeper.drainer(), control_settings)
        .await
        .map_err(|e| failed("could not start the control plane")(&e))?;

    let keys = layout.state().join("keys");
    let identity =
        Identity::open(store.clone(), &keys).await.map_err(|e| failed("could not open the server's identities")(&e))?;
    let azure_settings = AzureSettings {
        endpoint: port.authority(),
        gateway_port: keeper.port(),
        subscription: identity.subscription().to_owned(),
        tenant: identity.tenant().to_owned(),
        max_instances: settings.max_instances(),
    };
    let (azure, settler) = Azure::open(store.clone(), control.clone(), azure_settings)
        .await
        .map_err(|e| failed("could not open the Azure resources")(&e))?;
    let deployment_settings = DeploymentSettings {
        links: settings.links(layout.settings()).map_err(|e| Complaint::from_error(&e))?,
        ..DeploymentSettings::new(identity.subscription(), identity.tenant(), &format!("https://{}/", port.authority()))
    };
    let deployments = Deployments::over(&azure, identity.clone(), deployment_settings)
        .await
        .map_err(|e| failed("could not open the template deployments")(&e))?;
    let tls = Arc::new(TlsEndpoint::open(&layout, &identity, &settings, &port)?);

    let (stop_reconciler, reconciler_stop) = watch::channel(false);
    let settler_stop = reconciler_stop.clone();
    let (fresh, fresh_stop) = (tls.clone(), reconciler_stop.clone());
    let keeping_fresh = tokio::spawn(async move { fresh.keep_fresh(fresh_stop).await });
    let reconciling = tokio::spawn(reconciler.run(reconciler_stop));
    let gateway = keeper.start(control.routes());
    let measuring = azure.clone().measure(Arc::new(gateway.counting()), settler_stop.clone());
    let settling = tokio::spawn(async move {
        tokio::join!(settler.run(settler_stop), measuring);
    });

    let images = Arc::new(images::HostImages::new(engine.clone(), control.clone(), store));
    let (ask_stop, mut stop_asked) = mpsc::channel::<StopAsked>(1);
    let machine = Arc::new(Machine {
        layout: layout.clone(),
        engine: engine.clone(),
        control: control.clone(),
        images: images.clone(),
        endpoint: tls.clone(),
        gateway: gateway.facts(),
        mover: gateway.mover(),
        settings: Mutex::new(settings),
        listen_given: args.listen.is_some(),
        port: slot.gateway_port(),
        stopping: AtomicBool::new(false),
        ask_stop,
    });
    let services = Services { control, identity, images, system: machine.clone() };
    let socket = claim::api_socket(&layout)?;
    let listener = UnixListener::from_std(socket).map_err(|e| failed("could not listen on the API's socket")(&e))?;
    let (close_api, mut api_closed) = watch::channel(false);
    let api = tokio::spawn(pillion_api::serve(listener, services, async move {
        // A dropped sender means the same as a sent word.
        let _ = api_closed.wait_for(|&closed| closed).await;
    }));
    let endpoint = tls.start(port, &azure, &deployments, close_api.subscribe());
    tracing::info!(socket = %layout.api_socket().display(), listen = ?listen, "serving");
    service::tell(service::News::Ready);
    if args.announce {
        announce();
    }

    let running = Running {
        engine,
        reconciling,
        stop_reconciler,
        gateway,
        api,
        endpoint,
        deployments,
        settling,
        keeping_fresh,
        close_api,
        socket: layout.api_socket(),
    };
    let mut parent = args.tied.then(parent_gone);
    let (apps, stopped) = loop {
        // Every arm only waits for one message or signal, so losing a race loses nothing.
        tokio::select! {
            _ = terminate.recv() => break (shutdown::Apps::of_signal(args.tied), None),
            _ = interrupt.recv() => break (shutdown::Apps::of_signal(args.tied), None),
            _ = hang_up.recv() => machine.reload_on_signal().await,
            asked = stop_asked.recv() => {
                let Some(asked) = asked else { continue };
                break (asked.apps, Some(asked.stopped));
            }
            () = async { match parent.as_mut() { Some(gone) => { let _ = gone.await; } None => std::future::pending().await } } => {
                tracing::info!("`pillion up` is gone: stopping its apps");
                break (shutdown::Apps::Stop, None);
            }
        }
    };
    service::tell(service::News::Stopping);
    machine.begin_to_stop();
    running.end(apps, stopped).await?;
    if apps == shutdown::Apps::Stop {
        withdraw(&layout, slot);
    }
    Ok(())
}

/// Removes what instances left that are gone, without a server; returns what that was, one line each.
pub async fn clear_leftovers(layout: &Layout) -> Result<Vec<String>, Complaint> {
    let failed = |error: &dyn std::error::Error| Complaint::new("not everything could be removed").because(Some(error));
    claim::make_directories(layout)?;
    let _lock = claim::only_one(layout)?;
    let settings = Settings::read(layout.settings()).map_err(|e| Complaint::from_error(&e))?;
    let slot = Slot::claim(layout.root(), layout.state()).map_err(|e| Complaint::from_error(&e))?;
    let exe = std::env::current_exe().map_err(|e| failed(&e))?;
    let engine = HostEngine::open(host_settings(layout, slot, &settings, exe)?).await.map_err(|e| failed(&e))?;
    let removed = engine.clear_leftovers().await.map_err(|e| failed(&e))?;
    engine.close().await;
    if engine.observe().borrow().instances.is_empty() && !layout.gateway().join("control.sock").exists() {
        withdraw(layout, slot);
    }
    Ok(removed)
}

/// Takes back what this copy had on the machine beyond its state.
fn withdraw(layout: &Layout, slot: Slot) {
    claim::withdraw(layout);
    if layout.run().exists() && layout.root().is_some() {
        // Something of it still runs: its share must not become another's.
        return;
    }
    if let Err(error) = slot.release(layout.root()) {
        tracing::warn!(error = &error as &dyn std::error::Error, "the claim stays");
    }
}

fn host_settings(layout: &Layout, slot: Slot, settings: &Settings, supervisor: PathBuf) -> Result<HostSettings, Complaint> {
    let (base, prefix) = slot.subnet();
    let certificates = settings.certificates(layout.settings()).map_err(|e| Complaint::from_error(&e))?;
    let cgroups = pillion_runtime::cgroup::delegated_base().map_err(|e| Complaint::from_error(&e))?;
    Ok(HostSettings {
        state: layout.state().to_owned(),
        run: layout.run().to_owned(),
        supervisor,
        cgroup_parent: cgroups.join(slot.cgroup_parent()),
        bridge: slot.bridge(),
        subnet: Subnet { base, prefix },
        first_id: slot.first_id(),
        gateway_owner: slot.gateway_owner(),
        allowed_host_paths: settings.allow_host_paths.clone(),
        images: pillion_image::Settings {
            plain_http: settings.insecure_registries.clone(),
            extra_roots: certificates,
            ..pillion_image::Settings::default()
        },
        logs: LogLimits { file_bytes: settings.logs.file_bytes, files: settings.logs.files },
    })
}

fn announce() {
    let mut out = std::io::stdout();
    // Whoever waited for it may be gone already; then the parent's pipe says so.
    let _ = writeln!(out, "{READY}").and_then(|()| out.flush());
}

/// Is done when standard input, a pipe that `up` holds, ends.
fn parent_gone() -> tokio::sync::oneshot::Receiver<()> {
    let (gone, receiver) = tokio::sync::oneshot::channel();
    // A thread of its own: a blocking read cannot be cancelled and must not hold up the runtime's end.
    std::thread::spawn(move || {
        let mut byte = [0];
        while matches!(std::io::stdin().lock().read(&mut byte), Ok(1)) {}
        let _ = gone.send(());
    });
    receiver
}
