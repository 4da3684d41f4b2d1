//! Moving a running instance to another spec, and acting on single containers.

use pillion_supervisor::{
    Client, ClientError,
    protocol::Request,
    spec::InstanceSpec,
    status::{ContainerPhase, EventKind, InstancePhase},
};

use crate::world::{World, container, pid, waiting, web};

#[tokio::test]
async fn only_what_changed_is_replaced_and_names_follow() {
    let mut world = World::started(vec![web(8080), waiting("cache", ""), waiting("old", "")]);
    let before = world.until_ready().await;
    world
        .update(|spec| {
            spec.containers.retain(|c| c.run.name != "old");
            spec.containers[1].run.env.push("NEW=1".into());
            spec.containers.push(waiting("added", "grep -q added /etc/hosts && echo named"));
        })
        .await;
    let on_disk: InstanceSpec =
        serde_json::from_slice(&std::fs::read(world.dir.join(pillion_supervisor::SPEC_FILE)).expect("a spec")).expect("JSON");
    assert_eq!(on_disk, world.spec);
    let ready = |s: &pillion_supervisor::status::InstanceStatus, name: &str| matches!(s.containers.iter().find(|c| c.name == name), Some(c) if matches!(c.phase, ContainerPhase::Running { ready: true, .. }));
    let (after, events) = world
        .until(|s| s.containers.len() == 3 && ready(s, "added") && ready(s, "cache") && pid(s, "cache") != pid(&before, "cache"))
        .await;
    assert_eq!(after.generation, 2);
    assert_eq!(after.phase, InstancePhase::Ready);
    assert_eq!(pid(&after, "web"), pid(&before, "web"));
    assert_eq!(container(&after, "cache").restarts, 0);
    assert!(events.iter().any(|e| e.container.as_deref() == Some("cache") && e.what == EventKind::Replaced { generation: 2 }));
    let hosts = std::fs::read_to_string(world.spec.sandbox.dir.join("etc/hosts")).expect("names");
    assert!(hosts.contains("added") && !hosts.contains("old"), "{hosts}");
    world.stop().await;
}

#[tokio::test]
async fn a_replacement_that_fails_says_so_while_main_goes_on() {
    let mut world = World::started(vec![web(8080), waiting("cache", "")]);
    let before = world.until_ready().await;
    world.update(|spec| spec.containers[1].run.argv = vec!["/nonesuch".into()]).await;
    let (after, _) = world.until(|s| container(s, "cache").phase == ContainerPhase::Failed).await;
    assert_eq!((after.phase, pid(&before, "web")), (InstancePhase::Ready, pid(&world.until(|_| true).await.0, "web")));
    world.update(|spec| spec.containers[1] = waiting("cache", "")).await;
    world.until(|s| matches!(container(s, "cache").phase, ContainerPhase::Running { ready: true, .. })).await;
    world.stop().await;
}

#[tokio::test]
async fn containers_stop_start_and_restart_on_request() {
    let world = World::started(vec![web(8080), waiting("side", "")]);
    let before = world.until_ready().await;
    world.request(Request::StopContainer { container: "side".into() }).await;
    world.until(|s| container(s, "side").phase == ContainerPhase::Stopped).await;
    world.request(Request::StartContainer { container: "side".into() }).await;
    world.until(|s| matches!(container(s, "side").phase, ContainerPhase::Running { ready: true, .. })).await;
    world.request(Request::Restart { container: Some("web".into()) }).await;
    let (after, _) = world.until(|s| s.phase == InstancePhase::Ready && pid(s, "web") != pid(&before, "web")).await;
    assert_eq!(container(&after, "web").restarts, 1);
    world.stop().await;
}

#[tokio::test]
async fn requests_that_cannot_be_are_refused_with_the_reason() {
    let mut world = World::started(vec![web(8080)]);
    world.until_ready().await;
    async fn refusal(client: Client, request: Request) -> String {
        match client.request(&request).await {
            Err(ClientError::Refused { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }
    let reason = refusal(world.client().await, Request::Restart { container: Some("nobody".into()) }).await;
    assert_eq!(reason, "no container is named `nobody`");
    let same = Request::Update { spec: Box::new(world.spec.clone()) };
    assert_eq!(refusal(world.client().await, same).await, "generation 1 is not newer than 1");
    world.spec.generation = 2;
    world.spec.containers[0].main = false;
    let mainless = Request::Update { spec: Box::new(world.spec.clone()) };
    assert_eq!(
        refusal(world.client().await, mainless).await,
        "the spec cannot be run: an instance needs exactly one main container, this one has 0"
    );
    world.stop().await;
}
