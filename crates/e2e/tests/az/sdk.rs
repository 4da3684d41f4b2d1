//! Azure's Python SDK, `azure-mgmt-web`, against the same server.

use pillion_e2e::{Running, endpoint};

use crate::stage::Stage;

#[test]
fn the_python_sdk_makes_lists_and_removes_an_app_with_a_sidecar() {
    let stage = Stage::new();
    let token = stage.az.json("account get-access-token");
    let account = stage.az.json("account show");
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    let program = format!(
        r#"
import io, time, zipfile
from azure.core.credentials import AccessToken
from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.web import WebSiteManagementClient
from azure.mgmt.web import models

class Token:
    def get_token(self, *scopes, **kwargs):
        return AccessToken({token:?}, int(time.time()) + 3000)
    def get_token_info(self, *scopes, options=None):
        from azure.core.credentials import AccessTokenInfo
        return AccessTokenInfo({token:?}, int(time.time()) + 3000)

c = WebSiteManagementClient(Token(), {subscription:?}, base_url={endpoint:?}, polling_interval=1)
plan = c.app_service_plans.begin_create_or_update("rg1", "p2", {{"location": "local", "kind": "linux", "sku": {{"name": "P1V3", "tier": "PremiumV3", "capacity": 1}}, "properties": {{"reserved": True}}}}).result()
assert plan.sku.capacity == 1, plan
site = c.web_apps.begin_create_or_update("rg1", "sdk", {{"location": "local", "kind": "app,linux,container", "properties": {{"serverFarmId": plan.id, "siteConfig": {{"linuxFxVersion": "sitecontainers"}}}}}}).result()
assert site.name == "sdk", site
assert c.web_apps.get_web_site_container_logs("rg1", "sdk") is None
made = c.web_apps.create_or_update_site_container("rg1", "sdk", "main", {{"properties": {{"image": {image:?}, "isMain": True, "targetPort": "8080", "startUpCommand": "serve 8080"}}}})
assert made.name == "main", made
assert [one.name for one in c.web_apps.list_site_containers("rg1", "sdk")] == ["main"]
deadline = time.time() + 40
while not (logs := b"".join(c.web_apps.get_web_site_container_logs("rg1", "sdk") or [])):
    assert time.time() < deadline, "no logs"
    time.sleep(0.2)
assert b"main | puppet listens on 8080" in logs, logs
archive = zipfile.ZipFile(io.BytesIO(b"".join(c.web_apps.get_container_logs_zip("rg1", "sdk"))))
assert any(name.endswith("_main.log") and b"puppet listens on 8080" in archive.read(name) for name in archive.namelist()), archive.namelist()
assert "sdk" in [one.name for one in c.web_apps.list()]
try:
    c.web_apps.get_site_container("rg1", "sdk", "none")
    raise SystemExit("a missing container was found")
except ResourceNotFoundError as error:
    assert error.error.code, error
c.web_apps.delete_site_container("rg1", "sdk", "main")
assert [one.name for one in c.web_apps.list_site_containers("rg1", "sdk")] == []
c.web_apps.delete("rg1", "sdk")
print("done")
"#,
        token = text(&token["accessToken"]),
        subscription = text(&account["id"]),
        endpoint = endpoint(&stage.copy),
        image = stage.puppet,
    );
    let ran = Running::start(&mut stage.az.python(&program)).finish();
    assert_eq!((ran.code, ran.stdout.trim()), (0, "done"), "{}", ran.said());
    a_body_that_is_refused_leaves_the_connection_to_the_next_request(&stage, &text(&token["accessToken"]));
}

fn a_body_that_is_refused_leaves_the_connection_to_the_next_request(stage: &Stage, token: &str) {
    let program = format!(
        r#"
import requests
s = requests.Session()
groups = {endpoint:?} + "/subscriptions/" + {subscription:?} + "/resourcegroups"
right = {{"Authorization": "Bearer " + {token:?}}}
for _ in range(5):
    long = s.put(groups + "/long?api-version=2024-11-01", data=b" " * (9 << 20), headers=right)
    assert long.status_code == 413, long.text
    assert s.get(groups + "?api-version=2024-11-01", headers=right).status_code == 200
    nobody = s.put(groups + "/none?api-version=2024-11-01", data=b" " * (9 << 20))
    assert nobody.status_code == 401, nobody.text
    assert s.get(groups + "?api-version=2024-11-01", headers=right).status_code == 200
pools = s.get_adapter(groups).poolmanager.pools
assert [pools[key].num_connections for key in pools.keys()] == [1], "one connection did it all"
print("done")
"#,
        endpoint = endpoint(&stage.copy),
        subscription = stage.az.json("account show")["id"].as_str().expect("an id"),
    );
    let ran = Running::start(&mut stage.az.python(&program)).finish();
    assert_eq!((ran.code, ran.stdout.trim()), (0, "done"), "{}", ran.said());
}
