//! Paths inside a layer: taken apart and checked before any of them reaches the kernel.

/// Nesting a layer may use; deeper trees are of use to nobody and cost a file descriptor a level to remove.
pub(super) const DEPTH: usize = 256;
const NAME_BYTES: usize = 255;

/// A relative path without `.`, `..`, empty or over-long parts; empty for the layer's root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct LayerPath(Vec<u8>);

impl LayerPath {
    /// Takes an entry's path apart. A leading `/` means the layer's root, as for every other image tool.
    ///
    /// # Errors
    /// Says why the path is refused.
    pub(super) fn parse(raw: &[u8], limit: usize) -> Result<LayerPath, String> {
        if raw.len() > limit {
            return Err(format!("its path is longer than {limit} bytes"));
        }
        if raw.contains(&0) {
            return Err("its path contains a NUL byte".to_owned());
        }
        let mut path = Vec::with_capacity(raw.len());
        let mut depth = 0;
        for part in raw.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => return Err("its path climbs with `..`".to_owned()),
                part if part.len() > NAME_BYTES => return Err(format!("a part of its path is longer than {NAME_BYTES} bytes")),
                part => {
                    depth += 1;
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(part);
                }
            }
        }
        if depth > DEPTH {
            return Err(format!("its path is deeper than {DEPTH} directories"));
        }
        Ok(LayerPath(path))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the directory and the name in it; none for the root.
    pub(super) fn split(&self) -> Option<(&[u8], &[u8])> {
        if self.0.is_empty() {
            return None;
        }
        Some(match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&self.0[..slash], &self.0[slash + 1..]),
            None => (&[], &self.0),
        })
    }
}

/// What a name in a layer stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// The name itself.
    Plain,
    /// `.wh.NAME`: the lower layers' NAME is gone.
    Whiteout(&'a [u8]),
    /// `.wh..wh..opq`: nothing of the lower layers' directory shows.
    Opaque,
    /// Book-keeping of AUFS, of no use to anybody else.
    Ignored,
}

/// Reads a name as the image specification does.
///
/// # Errors
/// Says why a whiteout is refused: one for `.` or `..` would remove something outside its directory.
pub(super) fn meaning(name: &[u8]) -> Result<Meaning<'_>, String> {
    match name.strip_prefix(b".wh.") {
        None => Ok(Meaning::Plain),
        Some(b".wh..opq") => Ok(Meaning::Opaque),
        Some(hidden) if hidden.starts_with(b".wh.") => Ok(Meaning::Ignored),
        Some(b"" | b"." | b"..") => Err("it is a whiteout of no name".to_owned()),
        Some(hidden) => Ok(Meaning::Whiteout(hidden)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(raw: &[u8]) -> Result<Vec<u8>, String> {
        LayerPath::parse(raw, 4095).map(|path| path.0)
    }

    #[test]
    fn absolute_and_dotted_paths_mean_the_same_as_plain_ones() {
        for raw in [&b"a/b"[..], b"/a/b", b"./a//b/", b"//a/./b/."] {
            assert_eq!(parse(raw), Ok(b"a/b".to_vec()));
        }
        assert_eq!(parse(b"./"), Ok(Vec::new()));
    }

    #[test]
    fn climbing_long_and_deep_paths_are_refused() {
        for raw in [&b".."[..], b"a/../b", b"/../etc/passwd", b"a/..", b"a\0b"] {
            assert!(parse(raw).is_err());
        }
        assert!(parse(&[b'a'; 256]).is_err());
        assert!(parse(&b"a/".repeat(DEPTH + 1)).is_err());
        assert!(LayerPath::parse(b"abcdef", 5).is_err());
    }

    #[test]
    fn whiteouts_are_told_from_names() {
        assert_eq!(meaning(b"x"), Ok(Meaning::Plain));
        assert_eq!(meaning(b".wh.x"), Ok(Meaning::Whiteout(b"x")));
        assert_eq!(meaning(b".wh..wh..opq"), Ok(Meaning::Opaque));
        assert_eq!(meaning(b".wh..wh.plnk"), Ok(Meaning::Ignored));
        for name in [&b".wh."[..], b".wh..", b".wh..."] {
            assert!(meaning(name).is_err());
        }
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_a_parsed_path_stays_inside(raw in proptest::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), Just(0), any::<u8>()], 0..300)) {
            if let Ok(path) = parse(&raw) {
                prop_assert!(!path.starts_with(b"/") && !path.contains(&0));
                if !path.is_empty() {
                    for part in path.split(|byte| *byte == b'/') {
                        prop_assert!(!part.is_empty() && part != b"." && part != b".." && part.len() <= NAME_BYTES);
                    }
                }
                // Parsing again changes nothing: there is one way to write a path.
                prop_assert_eq!(parse(&path), Ok(path.clone()));
            }
        }

        #[test]
        fn a_whiteout_never_names_a_way_out(name in proptest::collection::vec(prop_oneof![Just(b'.'), Just(b'w'), Just(b'h'), any::<u8>()], 0..12)) {
            let full = [b".wh.".as_slice(), &name].concat();
            if let Ok(Meaning::Whiteout(hidden)) = meaning(&full) {
                prop_assert!(!hidden.is_empty() && hidden != b"." && hidden != b"..");
            }
        }
    }
}
