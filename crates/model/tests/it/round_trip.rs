//! Any app, written down and read again, is the same app.

use indexmap::IndexMap;
use pillion_model::*;
use proptest::{collection::vec, option, prelude::*};

fn name<T: std::str::FromStr<Err = NameError> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    // Words that YAML takes for something else are names too: `null`, `true`, `1e3`.
    prop_oneof!["[a-z]([a-z0-9-]{0,8}[a-z0-9])?", "[0-9]{1,3}", "null|true|no|off|1e3|0x1f|0o7"]
        .prop_map(|text| text.parse().expect("a valid name"))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,12}",
        "[ \\t\\n:#'\"{}\\[\\]&*!|>%@`,?~\\\\-]{0,8}",
        "null|~|true|No|off|0080|1e3|\\.inf|0x1F|-|--- |---\n|<<|=|a: b|a #b| a|a \n|\n\na|\r\n|\u{85}|\u{feff}x|\u{7f}|\u{1}",
        any::<String>(),
    ]
}

fn map<K: Eq + std::hash::Hash + std::fmt::Debug, V: std::fmt::Debug>(
    key: impl Strategy<Value = K>,
    value: impl Strategy<Value = V>,
) -> impl Strategy<Value = IndexMap<K, V>> {
    vec((key, value), 0..4).prop_map(|entries| entries.into_iter().collect())
}

/// Thousandths: serde_json's quick float parsing is exact for these, not for all 17 digits of a double.
fn seconds() -> impl Strategy<Value = f64> {
    prop_oneof![(0u32..).prop_map(|ms| f64::from(ms) / 1000.0), (0u32..100_000).prop_map(f64::from)]
}

fn env_value() -> impl Strategy<Value = EnvValue> {
    prop_oneof![
        text().prop_map(EnvValue::Literal),
        text().prop_map(|from_setting| EnvValue::FromSetting { from_setting }),
        Just(EnvValue::FromInstance { from_instance: InstanceFact::Index })
    ]
}

fn setting() -> impl Strategy<Value = Setting> {
    prop_oneof![text().prop_map(Setting::Plain), text().prop_map(|secret| Setting::Secret { secret })]
}

fn check() -> impl Strategy<Value = Check> {
    let http = (text(), option::of(any::<u16>()), option::of(text()), map(text(), text()))
        .prop_map(|(path, port, statuses, headers)| HttpCheck { path, port, statuses, headers });
    prop_oneof![
        http.prop_map(Check::Http),
        any::<u16>().prop_map(Check::Tcp),
        vec(text(), 0..3).prop_map(Check::Exec),
        Just(Check::None(true))
    ]
}

fn probe() -> impl Strategy<Value = Probe> {
    let time = || option::of(seconds());
    (check(), time(), time(), option::of(any::<u32>()), time()).prop_map(|(check, interval, timeout, failures, within)| Probe {
        check,
        interval,
        timeout,
        failures,
        within,
    })
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![any::<u64>(), (0u64..1024).prop_flat_map(|n| (0u32..50).prop_map(move |shift| n << shift))].prop_map(Bytes)
}

prop_compose! {
    fn container()(
        (main, image, port, entrypoint, command, env) in
            (any::<bool>(), text(), option::of(any::<u16>()), option::of(vec(text(), 0..3)), option::of(vec(text(), 0..3)), map(text(), env_value())),
        (working_dir, user, depends_on, probe, startup, liveness) in
            (option::of(text()), option::of(text()), map(name(), prop_oneof![Just(Condition::Started), Just(Condition::Healthy), Just(Condition::Completed)]),
             option::of(probe()), option::of(probe()), option::of(probe())),
        (resources, volumes, files, tmpfs) in (
            (option::of(bytes()), option::of(seconds()), option::of(any::<u64>())).prop_map(|(memory, cpu, pids)| Resources { memory, cpu, pids }),
            vec((name(), text(), option::of(text()), any::<bool>()).prop_map(|(volume, path, sub_path, read_only)| VolumeMount { volume, path, sub_path, read_only }), 0..3),
            vec((text(), text(), option::of(text())).prop_map(|(path, content, mode)| InlineFile { path, content, mode }), 0..3),
            vec((text(), option::of(bytes())).prop_map(|(path, size)| Tmpfs { path, size }), 0..2),
        ),
        (read_only, essential, run_once, stop, ulimits, shm_size) in (
            any::<bool>(), any::<bool>(), any::<bool>(),
            (option::of(text()), option::of(seconds())).prop_map(|(signal, grace)| Stop { signal, grace }),
            map(text(), (any::<u64>(), any::<u64>()).prop_map(|(soft, hard)| Ulimit { soft, hard })),
            option::of(bytes()),
        ),
    ) -> Container {
        Container {
            main, image, port, entrypoint, command, env, working_dir, user, depends_on, probe, startup, liveness, resources,
            volumes, files, tmpfs, read_only, essential, run_once, stop, ulimits, shm_size,
        }
    }
}

prop_compose! {
    fn app()(
        name in name(),
        containers in map(name(), container()),
        volumes in map(name(), (any::<bool>(), option::of(text())).prop_map(|(persistent, host_path)| Volume { persistent, host_path })),
        settings in map(text(), setting()),
        scale in any::<u32>(),
        network in prop_oneof![Just(Network::Outbound), Just(Network::None)],
        hosts in vec(text(), 0..3),
        ready_within in 0u64..(1 << 52),
        unhealthy_limit in any::<u32>(),
        user_namespace in prop_oneof![Just(UserNamespace::Required), Just(UserNamespace::Off)],
    ) -> App {
        App { name, containers, volumes, settings, scale, network, hosts, ready_within, unhealthy_limit, user_namespace }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_app_written_as_yaml_reads_back_equal(app in app()) {
        let yaml = to_yaml(&app).expect("YAML");
        let back = AppFile::decode(&yaml);
        prop_assert!(back.is_ok(), "{:#?}\n{yaml}", back.err());
        let back = back.expect("checked above");
        prop_assert_eq!(back.app(), &app, "{}", yaml);
    }

    #[test]
    fn an_app_written_as_json_reads_back_equal(app in app()) {
        let json = to_json(&app).expect("JSON");
        let back = AppFile::decode(&json);
        prop_assert!(back.is_ok(), "{:#?}\n{json}", back.err());
        let back = back.expect("checked above");
        prop_assert_eq!(back.app(), &app);
        prop_assert_eq!(&serde_json::from_str::<App>(&json).expect("the wire's shape"), &app);
    }

    #[test]
    fn any_app_can_be_checked_and_compared_without_a_panic(old in app(), new in app()) {
        let _ = validate(&old);
        prop_assert!(changes(&old, &old).is_empty());
        let forth = changes(&old, &new);
        prop_assert_eq!(forth.is_empty(), old.containers == new.containers && App { name: old.name.clone(), ..new } == old);
    }

    #[test]
    fn a_circle_is_found_exactly_where_no_start_order_exists(edges in vec((0usize..6, 0usize..6), 0..10)) {
        let mut app = AppFile::parse("name: a\ncontainers: { c0: { main: true, image: i } }").expect("a correct file");
        let names: Vec<ContainerName> = (0..6).map(|n| format!("c{n}").parse().expect("a name")).collect();
        let plain = Container { main: false, ..app.containers[0].clone() };
        for name in &names[1..] {
            app.containers.insert(name.clone(), plain.clone());
        }
        for (from, to) in edges {
            app.containers[from].depends_on.insert(names[to].clone(), Condition::Started);
        }
        // Take away what waits for nothing that is left, as a supervisor would start it.
        let mut left: Vec<&ContainerName> = names.iter().collect();
        loop {
            let before = left.len();
            let waiting = left.clone();
            left.retain(|name| app.containers[*name].depends_on.keys().any(|on| waiting.contains(&on)));
            if left.len() == before {
                break;
            }
        }
        let found = validate(&app).err().unwrap_or_default();
        prop_assert_eq!(found.iter().any(|problem| problem.code == ProblemCode::DependencyCycle), !left.is_empty());
    }

    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in text()) {
        if let Err(problems) = AppFile::parse(&text) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn no_secret_is_shown_and_applying_what_is_shown_keeps_them(app in app()) {
        let mut shown = redacted(&app);
        for setting in shown.settings.values() {
            let hidden = match setting {
                Setting::Plain(_) => true,
                Setting::Secret { secret } => secret == REDACTED,
            };
            prop_assert!(hidden);
        }
        prop_assert!(keep_secrets(&mut shown, Some(&app)).is_ok());
        prop_assert_eq!(shown, app);
    }
}

#[test]
fn a_redacted_secret_that_was_never_set_is_a_problem() {
    let mut app = AppFile::parse("name: a\ncontainers: { web: { main: true, image: web } }\nsettings: { S: { secret: '***' } }")
        .expect("a correct file");
    let problems = keep_secrets(&mut app, None).expect_err("there is no secret to keep");
    assert_eq!((problems[0].code, problems[0].path.as_str()), (ProblemCode::SecretMissing, "settings.S"));
}
