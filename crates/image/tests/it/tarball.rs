//! Layers written byte by byte, so that they can say what no tar program would.

use std::io::Write;

use pillion_image::Digest;

/// A tar archive in the making.
#[derive(Default, Clone, Debug)]
pub struct Tarball(Vec<u8>);

/// One entry's header fields.
#[derive(Clone)]
pub struct Entry<'a> {
    pub path: &'a [u8],
    pub kind: u8,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: u64,
    pub link: &'a [u8],
    pub device: (u32, u32),
    /// What the header says; the content's length if none.
    pub size: Option<u64>,
    pub content: &'a [u8],
}

impl<'a> Entry<'a> {
    pub fn new(kind: u8, path: &'a [u8]) -> Entry<'a> {
        Entry {
            path,
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 1_600_000_000,
            link: b"",
            device: (0, 0),
            size: None,
            content: b"",
        }
    }

    pub fn file(path: &'a str, content: &'a [u8]) -> Entry<'a> {
        Entry { content, ..Entry::new(b'0', path.as_bytes()) }
    }

    pub fn dir(path: &'a str) -> Entry<'a> {
        Entry { mode: 0o755, ..Entry::new(b'5', path.as_bytes()) }
    }

    pub fn symlink(path: &'a str, target: &'a str) -> Entry<'a> {
        Entry { link: target.as_bytes(), mode: 0o777, ..Entry::new(b'2', path.as_bytes()) }
    }

    pub fn hard_link(path: &'a str, target: &'a str) -> Entry<'a> {
        Entry { link: target.as_bytes(), ..Entry::new(b'1', path.as_bytes()) }
    }
}

impl Tarball {
    pub fn add(mut self, entry: Entry<'_>) -> Tarball {
        let long = |tarball: &mut Tarball, kind: u8, name: &[u8]| {
            let mut content = name.to_vec();
            content.push(0);
            tarball.raw(&Entry { content: &content, ..Entry::new(kind, b"././@LongLink") });
        };
        if entry.path.len() > 100 {
            long(&mut self, b'L', entry.path);
        }
        if entry.link.len() > 100 {
            long(&mut self, b'K', entry.link);
        }
        self.raw(&entry);
        self
    }

    /// Adds PAX records for the next entry.
    pub fn pax(mut self, records: &[(&str, &[u8])]) -> Tarball {
        let mut content = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            content.extend_from_slice(format!("{length} {key}=").as_bytes());
            content.extend_from_slice(value);
            content.push(b'\n');
        }
        self.raw(&Entry { content: &content, ..Entry::new(b'x', b"pax") });
        self
    }

    fn raw(&mut self, entry: &Entry<'_>) {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &entry.path[..entry.path.len().min(100)]);
        put(100, format!("{:07o}\0", entry.mode).as_bytes());
        put(108, format!("{:07o}\0", entry.uid & 0o7_777_777).as_bytes());
        put(116, format!("{:07o}\0", entry.gid & 0o7_777_777).as_bytes());
        put(124, format!("{:011o}\0", entry.size.unwrap_or(entry.content.len() as u64) & 0o77_777_777_777).as_bytes());
        put(136, format!("{:011o}\0", entry.mtime).as_bytes());
        put(148, b"        ");
        put(156, &[entry.kind]);
        put(157, &entry.link[..entry.link.len().min(100)]);
        put(257, b"ustar  \0");
        put(329, format!("{:07o}\0", entry.device.0).as_bytes());
        put(337, format!("{:07o}\0", entry.device.1).as_bytes());
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(entry.content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    /// Ends the archive as tar does, with two blocks of zeros.
    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }

    /// Ends it without the blocks of zeros.
    pub fn cut(self) -> Vec<u8> {
        self.0
    }
}

/// How a layer is stored in a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Plain,
    Gzip,
    Zstd,
}

/// A layer as a registry keeps it.
#[derive(Clone)]
pub struct Layer {
    pub bytes: Vec<u8>,
    pub diff_id: Digest,
    pub media_type: &'static str,
}

impl Layer {
    pub fn new(tar: &[u8], compression: Compression) -> Layer {
        let diff_id = Digest::of(tar);
        match compression {
            Compression::Plain => Layer { bytes: tar.to_vec(), diff_id, media_type: "application/vnd.oci.image.layer.v1.tar" },
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(tar).expect("memory");
                Layer {
                    bytes: encoder.finish().expect("memory"),
                    diff_id,
                    media_type: "application/vnd.oci.image.layer.v1.tar+gzip",
                }
            }
            Compression::Zstd => Layer {
                bytes: zstd::encode_all(tar, 1).expect("memory"),
                diff_id,
                media_type: "application/vnd.oci.image.layer.v1.tar+zstd",
            },
        }
    }

    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}
