//! Volumes and their sub paths, as App Service documents them.

use pillion_e2e::{Copy, Images, Registry, Users, eventually};

/// The table of the App Service documentation: four containers, one volume, sub paths that nest.
#[test]
fn four_containers_share_exactly_the_sub_paths_that_nest() {
    let registry = Registry::start(Users::Anyone);
    let image = Images::new(&registry).puppet();
    let copy = Copy::serving();
    let applied = copy.apply(&format!(
        "name: vols
containers:
  web: {{ main: true, image: '{image}', port: 8080, command: [serve, '8080'] }}
  container1:
    image: '{image}'
    command: [write, /container1Vol/myfile.txt, one, write, /container1Vol/directory3/deep.txt, deep, sleep]
    volumes: [{{ volume: shared, path: /container1Vol, subPath: /directory1/directory2 }}]
    dependsOn: {{ container3: started }}
  container2:
    image: '{image}'
    command: [sleep]
    volumes: [{{ volume: shared, path: /container2Vol, subPath: /directory1/directory2, readOnly: true }}]
  container3:
    image: '{image}'
    command: [sleep]
    volumes: [{{ volume: shared, path: /container3Vol, subPath: /directory1/directory2/directory3 }}]
  container4:
    image: '{image}'
    command: [read, /container1Vol/myfile.txt, write, /container1Vol/four.txt, four, sleep]
    volumes: [{{ volume: shared, path: /container1Vol, subPath: /directory4 }}]
volumes: {{ shared: {{}} }}
"
    ));
    assert_eq!(applied.code, 0, "{}", applied.said());
    let log = |container: &str| copy.ok(["logs", "vols", "-c", container]);
    let puppet = |container: &str, words: &[&str]| {
        let exec = ["exec", "vols", "-c", container, "--", "/bin/puppet"];
        copy.run(exec.iter().chain(words)).said()
    };
    eventually("container 1 has written its files", || {
        puppet("container1", &["read", "/container1Vol/directory3/deep.txt"]).contains("deep")
    });
    assert!(puppet("container2", &["read", "/container2Vol/myfile.txt"]).contains("one"));
    assert!(puppet("container2", &["read", "/container2Vol/directory3/deep.txt"]).contains("deep"));
    let refused = puppet("container2", &["write", "/container2Vol/no.txt", "no"]);
    assert!(refused.contains("Read-only file system"), "{refused}");
    assert!(puppet("container3", &["read", "/container3Vol/deep.txt"]).contains("deep"));
    eventually("container 4 shares nothing", || log("container4").contains("cannot read"));
    assert!(puppet("container1", &["read", "/container1Vol/four.txt"]).contains("cannot read"));
}
