//! Resource ids in every spelling.

use pillion_arm::{ConfigName, ResourceId, ResourceKind};

#[test]
fn every_spelling_of_an_id_is_the_same_resource_shown_in_azures_words() {
    let wanted = "/subscriptions/s/resourceGroups/Rg1/providers/Microsoft.Web/sites/Shop/slots/Staging";
    for text in [
        wanted,
        "/subscriptions/s/resourcegroups/Rg1/providers/microsoft.web/Sites/Shop/Slots/Staging/",
        "//subscriptions/s/resourceGroups/Rg1/providers/Microsoft.Web//sites/Shop/slots/Staging",
        "/SUBSCRIPTIONS/s/RESOURCEGROUPS/Rg1/PROVIDERS/MICROSOFT.WEB/SITES/Shop/SLOTS/Staging",
    ] {
        let id: ResourceId = text.parse().expect(text);
        assert_eq!(id.to_string(), wanted);
        assert_eq!(id.key(), wanted.to_ascii_lowercase());
        assert_eq!(id, wanted.to_ascii_uppercase().replace("/SUBSCRIPTIONS", "/subscriptions").parse().expect("an id"));
    }
}

#[test]
fn ids_know_their_kind_their_parents_and_their_names() {
    let group = "/subscriptions/s/resourceGroups/g";
    let web = format!("{group}/providers/Microsoft.Web");
    for (text, kind) in [
        ("/subscriptions/s".to_owned(), ResourceKind::Subscription),
        (group.to_owned(), ResourceKind::Group),
        (format!("{web}/serverfarms/p"), ResourceKind::Plan),
        (format!("{web}/sites/a"), ResourceKind::Site),
        (format!("{web}/sites/a/slots/b"), ResourceKind::Slot),
        (format!("{web}/sites/a/config/AppSettings"), ResourceKind::SiteConfig(ConfigName::AppSettings)),
        (format!("{web}/sites/a/slots/b/config/WEB"), ResourceKind::SiteConfig(ConfigName::Web)),
        (format!("{web}/sites/a/sitecontainers/main"), ResourceKind::SiteContainer),
        (format!("{web}/sites/a/slots/b/sitecontainers/main"), ResourceKind::SiteContainer),
        (format!("{web}/sites/a/basicPublishingCredentialsPolicies/SCM"), ResourceKind::PublishingPolicy),
        (format!("{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i"), ResourceKind::UserIdentity),
        (format!("{group}/providers/Microsoft.Insights/autoscalesettings/x"), ResourceKind::Autoscale),
        (format!("{group}/providers/Microsoft.Resources/deployments/d"), ResourceKind::Deployment),
        ("/subscriptions/s/providers/Microsoft.Resources/deployments/d".to_owned(), ResourceKind::Deployment),
        (format!("{web}/sites/a/sourcecontrols/web"), ResourceKind::Unknown("microsoft.web/sites/sourcecontrols".into())),
    ] {
        let id: ResourceId = text.parse().expect(&text);
        assert_eq!(id.kind(), kind, "{text}");
    }
    let slot: ResourceId = format!("{web}/sites/Shop/slots/Blue/sitecontainers/main").parse().expect("an id");
    assert_eq!(slot.full_name(), "Shop/Blue/main");
    assert_eq!(slot.type_name(), "Microsoft.Web/sites/slots/sitecontainers");
    assert_eq!(slot.slot_name().as_deref(), Some("Blue"));
    assert_eq!(slot.production().expect("a site").to_string(), format!("{web}/sites/Shop"));
    assert_eq!(slot.site_or_slot().expect("a slot").to_string(), format!("{web}/sites/Shop/slots/Blue"));
    assert_eq!(slot.group_id().expect("a group").to_string(), group);
    assert!(slot.within(&group.parse().expect("an id")));
    assert!(!slot.within(&"/subscriptions/s/resourceGroups/gg".parse().expect("an id")));
}

#[test]
fn a_path_is_split_into_a_resource_and_what_follows_it() {
    let web = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web";
    for (path, id, rest) in [
        (format!("{web}/sites/a/start"), format!("{web}/sites/a"), vec!["start"]),
        (format!("{web}/sites/a/config/appsettings/list"), format!("{web}/sites/a/config/appsettings"), vec!["list"]),
        (format!("{web}/sites"), "/subscriptions/s/resourceGroups/g".to_owned(), vec!["providers", "Microsoft.Web", "sites"]),
        (
            format!("{web}/sites/a/providers/Microsoft.Insights/metrics"),
            format!("{web}/sites/a"),
            vec!["providers", "Microsoft.Insights", "metrics"],
        ),
        ("/subscriptions/s/resourcegroups".to_owned(), "/subscriptions/s".to_owned(), vec!["resourcegroups"]),
    ] {
        let (found, tail) = ResourceId::split(&path).expect(&path);
        assert_eq!(found.expect(&path).to_string(), id);
        assert_eq!(tail, rest);
    }
    assert_eq!(ResourceId::split("/providers/Microsoft.Web/webAppStacks").expect("a path").0, None);
}

#[test]
fn what_is_no_id_is_refused() {
    for text in ["", "shop", "/subscriptions", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites", "/a/../b"] {
        assert!(text.parse::<ResourceId>().is_err(), "{text}");
    }
    assert!(ResourceId::split(&"/a".repeat(3000)).is_err());
    assert!(ResourceId::split("/subscriptions/a\u{0}b").is_err());
}
