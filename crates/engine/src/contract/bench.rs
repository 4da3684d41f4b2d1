//! What the checks work with: an app of their own on an engine, and what they ask of what they see.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use indexmap::IndexMap;
use pillion_model::{App, AppName, Check, Container, ContainerName, ContainerPhase, EnvValue, InstanceId, InstancePhase, Probe};
use tokio::sync::mpsc;

use super::{Given, Open};
use crate::{Engine, ExecInput, ExecOutput, ExecRequest, Instance, Observed, ObservedInstance, Prepare, Prepared, Progress};

/// One app on an engine; all its instances are stopped, and the app forgotten, by `close`.
pub(super) struct Bench {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) given: Given,
    pub(super) name: AppName,
}

impl Bench {
    pub(super) async fn new(open: &Open, given: &Given, check: &str) -> Bench {
        let name = format!("{}-{check}", given.prefix).parse().expect("the prefix makes a name");
        let bench = Bench { engine: open().await, given: given.clone(), name };
        bench.until_all("the engine has found everything", |observed| observed.complete).await;
        bench
    }

    pub(super) fn app(&self) -> App {
        let given = &self.given;
        let tcp = Probe { check: Check::Tcp(given.port), interval: None, timeout: None, failures: None, within: None };
        let main = Container { main: true, port: Some(given.port), probe: Some(tcp), ..container(given, &given.server) };
        let mut containers = IndexMap::new();
        containers.insert(name("web"), main);
        containers.insert(name("cache"), container(given, &given.idle));
        App {
            name: self.name.clone(),
            containers,
            volumes: IndexMap::new(),
            settings: IndexMap::new(),
            scale: 1,
            network: pillion_model::Network::default(),
            hosts: Vec::new(),
            ready_within: 60,
            unhealthy_limit: 100,
            user_namespace: pillion_model::UserNamespace::default(),
        }
    }

    pub(super) async fn prepare(&self, app: App) -> Result<(Prepared, Vec<Progress>), pillion_fault::Diagnosis> {
        let (tell, mut told) = mpsc::channel(64);
        let what = Prepare {
            app: self.name.clone(),
            revision: 1,
            definition: Arc::new(app),
            credentials: BTreeMap::new(),
            proven: None,
        };
        let listen = async {
            let mut all = Vec::new();
            while let Some(news) = told.recv().await {
                all.push(news);
            }
            all
        };
        let (prepared, news) = tokio::join!(self.engine.prepare(what, tell), listen);
        Ok((prepared?, news))
    }

    pub(super) async fn instance(&self, id: &InstanceId, app: App, revision: u64) -> Instance {
        let (prepared, _) = self.prepare(app.clone()).await.expect("the image can be prepared");
        let env = |container: &Container| {
            let literal = |(variable, value): (&String, &EnvValue)| match value {
                EnvValue::Literal(text) => (variable.clone(), text.clone()),
                EnvValue::FromSetting { from_setting } => panic!("the contract uses no settings ({from_setting})"),
                EnvValue::FromInstance { .. } => panic!("the contract uses no facts of instances"),
            };
            container.env.iter().map(literal).collect()
        };
        let env = app.containers.iter().map(|(name, container)| (name.clone(), env(container))).collect();
        Instance { id: id.clone(), app: self.name.clone(), revision, index: 0, definition: Arc::new(app), prepared, env }
    }

    pub(super) async fn start(&self, app: App, revision: u64) -> InstanceId {
        let id: InstanceId = format!("{}-{revision}-a1b2c3", self.name).parse().expect("an id");
        let instance = self.instance(&id, app, revision).await;
        self.engine.start(instance).await.expect("start succeeds");
        id
    }

    pub(super) async fn update(&self, id: &InstanceId, app: App, revision: u64) {
        let instance = self.instance(id, app, revision).await;
        self.engine.update(instance).await.expect("update succeeds");
    }

    pub(super) fn seen(&self, id: &InstanceId) -> Option<ObservedInstance> {
        self.engine.observe().borrow().instances.get(id).cloned()
    }

    pub(super) async fn ready(&self, id: &InstanceId, revision: u64) -> ObservedInstance {
        self.until(id, "the instance is ready", |one| one.status.revision == revision && well(one)).await
    }

    pub(super) async fn until(&self, id: &InstanceId, what: &str, met: impl Fn(&ObservedInstance) -> bool) -> ObservedInstance {
        let observed = self.until_all(what, |observed| observed.instances.get(id).is_some_and(&met)).await;
        observed.instances[id].clone()
    }

    pub(super) async fn until_all(&self, what: &str, met: impl Fn(&Observed) -> bool) -> Arc<Observed> {
        let mut facts = self.engine.observe();
        let found = tokio::time::timeout(self.given.patience, facts.wait_for(|observed| met(observed)))
            .await
            .map(|found| found.map(|observed| observed.clone()));
        match found {
            Ok(Ok(observed)) => observed,
            Ok(Err(_)) => panic!("the engine is gone while waiting until {what}"),
            Err(_) => panic!("in vain: waited until {what}; last seen: {:#?}", self.engine.observe().borrow()),
        }
    }

    pub(super) async fn run(&self, id: &InstanceId, request: ExecRequest, input: Option<&str>) -> (String, i32) {
        let mut session = self.engine.exec(id, "web", request).await.expect("exec starts");
        if let Some(input) = input {
            session.input.send(ExecInput::Data(input.to_owned().into())).await.expect("input is taken");
            session.input.send(ExecInput::Close).await.expect("the end of input is taken");
        }
        let mut said = Vec::new();
        let ending = async {
            while let Some(output) = session.output.recv().await {
                match output {
                    ExecOutput::Stdout(bytes) => said.extend_from_slice(&bytes),
                    ExecOutput::Stderr(_) => {}
                    ExecOutput::Exit(exit) => return exit.shell_code(),
                }
            }
            panic!("exec ended without an exit")
        };
        let code = within(self.given.patience, ending).await;
        (String::from_utf8_lossy(&said).into_owned(), code)
    }

    pub(super) async fn close(self) {
        let left: Vec<_> = self
            .engine
            .observe()
            .borrow()
            .instances
            .values()
            .filter(|one| one.app == self.name)
            .map(|one| one.status.id.clone())
            .collect();
        for id in left {
            self.engine.stop(&id).await.expect("stop succeeds");
        }
        self.engine.forget(&self.name).await.expect("forget succeeds");
        self.engine.forget(&self.name).await.expect("forget again is Ok");
    }
}

pub(super) async fn within<T>(patience: Duration, what: impl Future<Output = T>) -> T {
    tokio::time::timeout(patience, what).await.expect("it ends in time")
}

pub(super) fn name(text: &str) -> ContainerName {
    text.parse().expect("a name")
}

pub(super) fn container(given: &Given, program: &[String]) -> Container {
    let text = serde_json::json!({ "image": given.image, "entrypoint": program });
    serde_json::from_value(text).expect("a container")
}

pub(super) fn exec(argv: &[String]) -> ExecRequest {
    ExecRequest { argv: argv.to_vec(), env: Vec::new(), tty: None }
}

pub(super) fn revision(observed: &Observed, id: &InstanceId) -> Option<u64> {
    observed.instances.get(id).map(|one| one.status.revision)
}

pub(super) fn pid(one: &ObservedInstance, container: &str) -> Option<i32> {
    one.status.containers.iter().find(|status| status.name.as_str() == container).and_then(|status| match status.phase {
        ContainerPhase::Running { pid, .. } => Some(pid),
        ContainerPhase::Waiting { .. }
        | ContainerPhase::Starting
        | ContainerPhase::BackOff { .. }
        | ContainerPhase::Completed
        | ContainerPhase::Failed { .. }
        | ContainerPhase::Stopped => None,
    })
}

/// Main takes traffic, and every container runs ready or has completed.
pub(super) fn well(one: &ObservedInstance) -> bool {
    matches!(one.status.phase, InstancePhase::Ready)
        && one
            .status
            .containers
            .iter()
            .all(|status| matches!(status.phase, ContainerPhase::Running { ready: true, .. } | ContainerPhase::Completed))
}
