//! Reading a layout as a stranger would: the OCI documents, the layer unpacked by tar.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use pillion_image::pack::{PackedImage, Recipe};
use serde_json::Value;
use tempfile::TempDir;

pub struct Built {
    pub dir: TempDir,
    pub image: PackedImage,
}

impl Built {
    pub fn new(recipe: &Recipe) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let image = recipe.build(&dir.path().join("layout")).unwrap_or_else(|error| panic!("{}", chain(&error)));
        Self { dir, image }
    }

    pub fn manifest(&self) -> Value {
        self.json(self.image.digest.as_str())
    }

    pub fn config(&self) -> Value {
        self.json(self.manifest()["config"]["digest"].as_str().expect("a digest"))
    }

    /// Returns the layer's file.
    pub fn layer(&self) -> PathBuf {
        self.blob(self.manifest()["layers"][0]["digest"].as_str().expect("a digest"))
    }

    /// Unpacks the layer with the system's tar.
    pub fn unpack(&self) -> PathBuf {
        let root = self.dir.path().join("root");
        fs::create_dir(&root).expect("a directory");
        let done = Command::new("tar").arg("-xpzf").arg(self.layer()).arg("-C").arg(&root).status().expect("tar runs");
        assert!(done.success());
        root
    }

    /// Returns `mode owner size time name` of each entry, in the layer's order.
    pub fn listing(&self) -> Vec<String> {
        let out = Command::new("tar")
            .args(["--utc", "--full-time", "--numeric-owner", "-tvzf"])
            .arg(self.layer())
            .output()
            .expect("tar runs");
        String::from_utf8(out.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
    }

    fn json(&self, digest: &str) -> Value {
        serde_json::from_slice(&fs::read(self.blob(digest)).expect(digest)).expect("JSON")
    }

    fn blob(&self, digest: &str) -> PathBuf {
        self.image.layout.join("blobs").join(digest.replacen(':', "/", 1))
    }
}

/// Returns every file of a directory with its bytes.
pub fn bytes(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(at) = waiting.pop() {
        for item in fs::read_dir(&at).expect("a directory") {
            let path = item.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                all.insert(path.strip_prefix(dir).expect("within").to_owned(), fs::read(&path).expect("a file"));
            }
        }
    }
    all
}

pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
