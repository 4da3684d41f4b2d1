//! A writer is killed with -9 in the middle, many times: no acknowledged write is lost, none is half there.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use pillion_store::{Batch, Expect, Kind, NewEvent, Store};

use crate::{app, name};

const WRITER: &str = "PILLION_STORE_TEST_WRITER";
const KILLS: u64 = 25;

/// Writes without end, in this very test program started anew; does nothing where it is not asked to.
#[tokio::test]
async fn a_writer_acknowledges_what_it_committed() {
    let Some(root) = std::env::var_os(WRITER) else {
        // Run as an ordinary test it writes once.
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path()).expect("the store opens");
        write(&store, 1).await;
        assert_eq!(store.revisions(&name()).await.expect("revisions").len(), 1);
        return;
    };
    let store = Store::open(root.as_ref()).expect("the store opens");
    let from = store.revisions(&name()).await.expect("revisions").last().map_or(1, |last| last.number + 1);
    for number in from.. {
        write(&store, number).await;
        println!("committed {number}");
    }
}

async fn write(store: &Store, number: u64) {
    let event = NewEvent {
        at_ms: number,
        app: name(),
        revision: Some(number),
        instance: None,
        container: None,
        kind: "applied".into(),
        text: "x".repeat(3000),
        source: None,
    };
    let batch = Batch::new()
        .revision(number, &app(), number)
        .secret(&name(), "setting:A", number, &format!("value {number}"))
        .event(event)
        .put(Kind::App, "shop", &number, Expect::Anything);
    store.commit(batch).await.expect("it is committed");
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_and_none_is_half_there() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut acknowledged = 0;
    for round in 0..KILLS {
        let mut writer = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "crash::a_writer_acknowledges_what_it_committed", "--nocapture"])
            .env(WRITER, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the writer starts");
        let mut lines = BufReader::new(writer.stdout.take().expect("its output")).lines();
        // A few commits, then the end at a moment that differs from round to round.
        let mut seen = 0;
        for line in &mut lines {
            let line = line.expect("a line");
            if let Some((_, number)) = line.rsplit_once("committed ") {
                acknowledged = number.parse().expect("a number");
                seen += 1;
            }
            if seen == 2 + round % 3 {
                break;
            }
        }
        assert!(seen > 0, "the writer never committed");
        std::thread::sleep(Duration::from_micros(round * 173));
        writer.kill().expect("it is killed");
        for line in lines.map_while(Result::ok) {
            if let Some((_, number)) = line.rsplit_once("committed ") {
                acknowledged = number.parse().unwrap_or(acknowledged);
            }
        }
        writer.wait().expect("it ended");

        let store = Store::open(directory.path()).expect("the store opens after a kill");
        let revisions: Vec<u64> = store.revisions(&name()).await.expect("revisions").iter().map(|one| one.number).collect();
        let last = revisions.len() as u64;
        assert!(last >= acknowledged, "{acknowledged} was acknowledged, {last} is there");
        assert_eq!(revisions, (1..=last).collect::<Vec<_>>());
        let document = store.document::<u64>(Kind::App, "shop").await.expect("a document").expect("it is there");
        assert_eq!(document.body, last, "the document and the revision of one batch");
        let secret = store.secret(&name(), "setting:A", last).await.expect("a secret");
        assert_eq!(secret, Some(format!("value {last}")));
        assert_eq!(store.secret(&name(), "setting:A", last + 1).await.expect("no secret"), None);
        let intact: String =
            crate::raw(directory.path()).query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
        assert_eq!(intact, "ok");
    }
}
