//! What containers print, as it is kept and read.

use std::time::{Duration, Instant};

use pillion_supervisor::logs::{self, Line, Stream};
use pillion_supervisor::spec::{Condition, RestartPolicy};
use tokio_stream::StreamExt as _;

use crate::world::{PATIENCE, World, container, shell, waiting, web};

/// An instance whose container `talk` has said all it has to say.
async fn said(line: &str) -> World {
    let mut talk = shell("talk", line);
    talk.restart = RestartPolicy::OnFailure;
    let mut main = web(8080);
    main.depends_on = vec![("talk".into(), Condition::Completed)];
    let world = World::started(vec![main, talk]);
    world.until_ready().await;
    world
}

fn read(world: &World, name: &str) -> Vec<Line> {
    logs::read(&world.spec.log_dir, name, None, None).expect("a log")
}

#[tokio::test]
async fn bytes_that_are_no_text_and_lines_of_a_megabyte_survive() {
    let world = said(r"printf 'a\377\376b\n'; head -c 1000000 /dev/zero | tr '\0' x; echo; printf 'no end'; echo err >&2").await;
    let lines = read(&world, "talk");
    let out: Vec<&Line> = lines.iter().filter(|l| l.stream == Stream::Stdout).collect();
    assert_eq!(out[0].text, b"a\xff\xfeb");
    assert_eq!((out[1].text.len(), out[1].text.iter().all(|b| *b == b'x')), (1_000_000, true));
    assert_eq!(out[2].text, b"no end");
    assert_eq!(lines.iter().filter(|l| l.stream == Stream::Stderr).map(|l| l.text.as_slice()).collect::<Vec<_>>(), [b"err"]);
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("a time").as_micros()).expect("fits");
    assert!(lines.iter().all(|l| (now - 60_000_000..=now).contains(&l.at_us)));
    world.stop().await;
}

#[tokio::test]
async fn files_are_bounded_in_size_and_count_and_the_newest_lines_stay() {
    let mut world = World::new(vec![]);
    let mut talk = shell("talk", "seq 1 20000");
    talk.restart = RestartPolicy::OnFailure;
    let mut main = web(8080);
    main.depends_on = vec![("talk".into(), Condition::Completed)];
    world.spec.containers = vec![main, talk];
    let mut world = World::new(world.spec.containers.clone());
    world.spec.log_limits.file_bytes = 100_000;
    world.start();
    world.until_ready().await;
    let sizes: Vec<u64> = std::fs::read_dir(&world.spec.log_dir)
        .expect("logs")
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("talk.log"))
        .map(|entry| entry.metadata().expect("a file").len())
        .collect();
    assert_eq!(sizes.len(), 3);
    assert!(sizes.iter().all(|size| *size <= 200_000), "{sizes:?}");
    let lines = read(&world, "talk");
    assert_eq!(lines.last().expect("lines").text, b"20000");
    let numbers: Vec<u32> = lines.iter().map(|l| String::from_utf8_lossy(&l.text).parse().expect("a number")).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "a gap");
    let last = logs::read(&world.spec.log_dir, "talk", None, Some(3)).expect("a log");
    assert_eq!(
        last.iter().map(|l| String::from_utf8_lossy(&l.text).into_owned()).collect::<Vec<_>>(),
        ["19998", "19999", "20000"]
    );
    world.stop().await;
}

#[tokio::test]
async fn following_misses_nothing_over_rotations() {
    let mut world = World::new(vec![web(8080), waiting("talk", "while [ ! -e /go ]; do sleep 0.01; done; seq 1 30000")]);
    world.spec.log_limits.file_bytes = 200_000;
    world.spec.log_limits.files = 20;
    world.start();
    world.until_ready().await;
    let mut lines = logs::follow(&world.spec.log_dir, "talk", None, None).expect("a stream");
    world.exec("talk", "touch /go").await;
    for expected in 1..=30_000 {
        let line = tokio::time::timeout(PATIENCE, lines.next()).await.expect("in time").expect("a line");
        assert_eq!(String::from_utf8_lossy(&line.text), expected.to_string());
    }
    world.stop().await;
}

#[tokio::test]
async fn following_begins_before_there_is_a_log_and_ends_when_dropped() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut lines = logs::follow(dir.path(), "later", None, Some(10)).expect("a stream");
    std::fs::write(dir.path().join("later.log"), "2026-01-01T00:00:00.000000Z o F first\n").expect("written");
    let line = tokio::time::timeout(PATIENCE, lines.next()).await.expect("in time").expect("a line");
    assert_eq!(line.text, b"first");
}

#[tokio::test]
async fn a_reader_that_does_not_read_blocks_nobody() {
    let world = World::new(vec![web(8080), waiting("talk", "seq 1 300000; touch /done")]);
    let mut world = world;
    world.spec.log_limits.file_bytes = 10 << 20;
    world.start();
    world.until_ready().await;
    let _stuck = logs::follow(&world.spec.log_dir, "talk", None, None).expect("a stream");
    let deadline = Instant::now() + PATIENCE;
    while !world.dir.join("scratch/talk/upper/done").exists() {
        assert!(Instant::now() < deadline, "the container waits for a reader");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn the_last_words_of_a_crash_are_in_its_diagnosis() {
    let mut main = web(8080);
    main.run.argv = vec!["sh".into(), "-c".into(), "echo starting; echo cannot find my config >&2; exit 78".into()];
    let world = World::started(vec![main]);
    let (status, _) = world.until(|s| container(s, "web").diagnosis.is_some()).await;
    let diagnosis = container(&status, "web").diagnosis.clone().expect("a diagnosis");
    assert!(diagnosis.log_tail.contains(&"starting".to_owned()), "{diagnosis:?}");
    assert!(diagnosis.log_tail.contains(&"cannot find my config".to_owned()), "{diagnosis:?}");
    world.stop().await;
}
