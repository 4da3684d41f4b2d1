//! Reading a tar stream entry by entry: ustar, GNU long names and sparse files, PAX records, all within limits.
//!
//! Field layouts come from the `tar` crate's headers; the loop is our own because the crate's reads a long name or a PAX
//! record of any length into memory, and a layer is a stranger's bytes.

use std::io::{self, BufRead};

use tar::{GnuExtSparseHeader, Header, PaxExtensions};

const BLOCK: usize = 512;
/// Long names, long links and PAX records of one entry; Go's archive/tar draws the line at the same place.
const EXTENSION_LIMIT: u64 = 1 << 20;

/// What an entry wants to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
    /// A type flag no layer has a use for.
    Unknown(u8),
}

/// One entry's header with its extensions applied; every byte as it came, nothing checked yet.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: i64,
    pub(super) gid: i64,
    /// Seconds since 1970 and nanoseconds.
    pub(super) mtime: (i64, u32),
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Size of the file once written.
    pub(super) size: u64,
    /// None for a file without holes.
    pub(super) sparse: Option<Pieces>,
}

/// Offset and length of each piece of content of a sparse file, in order.
pub(super) type Pieces = Vec<(u64, u64)>;

/// A tar stream; after [`Archive::next`] the entry's content is read by [`Archive::chunk`] and [`Archive::consume`].
pub(super) struct Archive<R> {
    input: R,
    /// Content bytes of the current entry not read yet, and the padding after them.
    left: u64,
    padding: u64,
}

impl<R: BufRead> Archive<R> {
    pub(super) fn new(input: R) -> Archive<R> {
        Archive { input, left: 0, padding: 0 }
    }

    /// Skips what is left of the current entry and reads the next one's header; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut long_path = None;
        let mut long_link = None;
        let mut pax = Pax::default();
        loop {
            self.skip()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let size = unsigned(&header.as_old().size, "size")?;
            match header.as_old().linkflag[0] {
                b'L' => long_path = Some(text(self.extension(size)?)),
                b'K' => long_link = Some(text(self.extension(size)?)),
                b'x' => pax = Pax::parse(&self.extension(size)?)?,
                b'g' => {
                    // Comments and defaults for a whole archive; nobody's layers rely on them, and Docker ignores them too.
                    self.extension(size)?;
                }
                flag => return self.entry(&header, flag, size, long_path, long_link, pax).map(Some),
            }
        }
    }

    /// Returns the next piece of the current entry's content; empty at its end.
    pub(super) fn chunk(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let buffer = self.input.fill_buf()?;
        if buffer.is_empty() {
            return Err(broken("the archive ends in the middle of an entry"));
        }
        let take = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        Ok(&buffer[..take])
    }

    pub(super) fn consume(&mut self, amount: usize) {
        self.input.consume(amount);
        self.left -= amount as u64;
    }

    /// Reads whatever follows the archive, so that the stream's digest covers all of it.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        loop {
            let amount = self.input.fill_buf()?.len();
            if amount == 0 {
                return Ok(());
            }
            self.input.consume(amount);
        }
    }

    fn entry(
        &mut self,
        header: &Header,
        flag: u8,
        header_size: u64,
        long_path: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
        pax: Pax,
    ) -> io::Result<Entry> {
        let old = header.as_old();
        let path = pax.path.or(long_path).unwrap_or_else(|| header.path_bytes().into_owned());
        let link = || pax.link.clone().or_else(|| long_link.clone()).unwrap_or_else(|| until_nul(&old.linkname).to_vec());
        let stored = pax.size.unwrap_or(header_size);
        let device = || -> io::Result<(u32, u32)> {
            let (major, minor) = match (header.as_ustar(), header.as_gnu()) {
                (Some(ustar), _) => (&ustar.dev_major, &ustar.dev_minor),
                (None, Some(gnu)) => (&gnu.dev_major, &gnu.dev_minor),
                (None, None) => return Ok((0, 0)),
            };
            let part =
                |field: &[u8]| u32::try_from(number(field, "device")?).map_err(|_| broken("a device number is out of range"));
            Ok((part(major)?, part(minor)?))
        };
        let kind = match flag {
            // Before POSIX a directory was a file whose name ends in a slash.
            b'\0' | b'0' | b'7' if path.ends_with(b"/") => Kind::Directory,
            b'\0' | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink(link()),
            b'2' => Kind::Symlink(link()),
            b'3' => device().map(|(major, minor)| Kind::CharDevice(major, minor))?,
            b'4' => device().map(|(major, minor)| Kind::BlockDevice(major, minor))?,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => Kind::Unknown(other),
        };
        let (sparse, size) = if flag == b'S' {
            let (map, size) = self.sparse_map(header, stored)?;
            (Some(map), size)
        } else {
            (None, stored)
        };
        self.left = stored;
        self.padding = padding(stored);
        Ok(Entry {
            path,
            kind,
            mode: (number(&old.mode, "mode")? & 0o7777) as u32,
            uid: pax.uid.map_or_else(|| number(&old.uid, "uid"), Ok)?,
            gid: pax.gid.map_or_else(|| number(&old.gid, "gid"), Ok)?,
            mtime: pax.mtime.map_or_else(|| number(&old.mtime, "mtime").map(|seconds| (seconds, 0)), Ok)?,
            xattrs: pax.xattrs,
            size,
            sparse,
        })
    }

    /// Reads the map of an old GNU sparse file: four pieces in the header, 21 in each block that follows.
    fn sparse_map(&mut self, header: &Header, stored: u64) -> io::Result<(Pieces, u64)> {
        let gnu = header.as_gnu().ok_or_else(|| broken("a sparse file without a GNU header"))?;
        let size = unsigned(&gnu.realsize, "real size")?;
        let mut map = Vec::new();
        let mut end = 0;
        let mut content = 0_u64;
        let mut add = |offset: &[u8], length: &[u8]| -> io::Result<()> {
            if offset[0] == 0 || length[0] == 0 {
                return Ok(());
            }
            let (offset, length) = (unsigned(offset, "sparse offset")?, unsigned(length, "sparse length")?);
            let after = offset.checked_add(length).filter(|after| offset >= end && *after <= size);
            end = after.ok_or_else(|| broken("the map of a sparse file contradicts itself"))?;
            content = content.saturating_add(length);
            map.push((offset, length));
            Ok(())
        };
        for piece in &gnu.sparse {
            add(&piece.offset, &piece.numbytes)?;
        }
        let mut extended = gnu.isextended[0] == 1;
        let mut blocks = 0_u64;
        while extended {
            blocks += BLOCK as u64;
            if blocks > EXTENSION_LIMIT {
                return Err(broken("the map of a sparse file is too long"));
            }
            let mut more = GnuExtSparseHeader::new();
            self.input.read_exact(more.as_mut_bytes())?;
            for piece in &more.sparse {
                add(&piece.offset, &piece.numbytes)?;
            }
            extended = more.isextended[0] == 1;
        }
        if content != stored {
            return Err(broken("the map of a sparse file does not match its content"));
        }
        Ok((map, size))
    }

    /// Reads a header block; none at the end of the archive, which is a block of zeros or the end of the stream.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        let bytes = header.as_mut_bytes();
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut bytes[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(broken("the archive ends in the middle of a header")),
                amount => filled += amount,
            }
        }
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The checksum field itself counts as eight blanks.
        let sum: i64 =
            bytes.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { i64::from(*byte) }).sum();
        if number(&header.as_old().cksum, "checksum")? != sum {
            return Err(broken("a header's checksum is wrong"));
        }
        Ok(Some(header))
    }

    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > EXTENSION_LIMIT {
            return Err(broken("an extended header is larger than 1 MiB"));
        }
        self.left = size;
        self.padding = padding(size);
        let mut bytes = Vec::with_capacity(size as usize);
        while bytes.len() < size as usize {
            let chunk = self.chunk()?;
            let amount = chunk.len();
            bytes.extend_from_slice(chunk);
            self.consume(amount);
        }
        Ok(bytes)
    }

    fn skip(&mut self) -> io::Result<()> {
        while self.left > 0 {
            let amount = self.chunk()?.len();
            self.consume(amount);
        }
        while self.padding > 0 {
            let available = self.input.fill_buf()?.len() as u64;
            if available == 0 {
                return Err(broken("the archive ends in the middle of an entry"));
            }
            let amount = available.min(self.padding);
            self.input.consume(amount as usize);
            self.padding -= amount;
        }
        Ok(())
    }
}

/// The PAX records that matter to a layer.
#[derive(Default)]
struct Pax {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<i64>,
    gid: Option<i64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Pax {
    fn parse(bytes: &[u8]) -> io::Result<Pax> {
        let mut pax = Pax::default();
        for record in PaxExtensions::new(bytes) {
            let record = record?;
            let (key, value) = (record.key_bytes(), record.value_bytes());
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                pax.xattrs.push((name.to_vec(), value.to_vec()));
                continue;
            }
            match key {
                b"path" => pax.path = Some(value.to_vec()),
                b"linkpath" => pax.link = Some(value.to_vec()),
                b"size" => pax.size = Some(decimal(value)?),
                b"uid" => pax.uid = Some(decimal(value)?),
                b"gid" => pax.gid = Some(decimal(value)?),
                b"mtime" => pax.mtime = Some(time(value)?),
                key if key.starts_with(b"GNU.sparse.") => return Err(broken("sparse files in PAX form are not supported")),
                _ => {}
            }
        }
        Ok(pax)
    }
}

fn decimal<T: std::str::FromStr>(value: &[u8]) -> io::Result<T> {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or_else(|| broken("a PAX number is not one"))
}

/// Parses `-12.345` into whole seconds rounded down and nanoseconds.
fn time(value: &[u8]) -> io::Result<(i64, u32)> {
    let text = std::str::from_utf8(value).map_err(|_| broken("a PAX time is not one"))?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = decimal(whole.as_bytes())?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(broken("a PAX time is not one"));
    }
    let nanos =
        fraction.bytes().chain(std::iter::repeat(b'0')).take(9).fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    match (whole.starts_with('-'), nanos) {
        (true, 1..) => Ok((seconds.saturating_sub(1), 1_000_000_000 - nanos)),
        (true, 0) | (false, _) => Ok((seconds, nanos)),
    }
}

/// Parses a numeric field: octal text, or base 256 where the first bit is set (GNU).
fn number(field: &[u8], what: &str) -> io::Result<i64> {
    let wrong = || broken(&format!("a header's {what} is not a number"));
    if field[0] & 0x80 != 0 {
        // Two's complement over the field's bits without the marker.
        let negative = field[0] & 0x40 != 0;
        let first = if negative { i128::from(field[0]) - 256 } else { i128::from(field[0] & 0x7f) };
        let value = field[1..].iter().fold(first, |value, byte| (value << 8) | i128::from(*byte));
        return i64::try_from(value).map_err(|_| wrong());
    }
    let digits: Vec<u8> = until_nul(field).iter().copied().filter(|byte| *byte != b' ').collect();
    digits.iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8).map(|value| value + i64::from(digit - b'0')).ok_or_else(wrong),
        _ => Err(wrong()),
    })
}

fn unsigned(field: &[u8], what: &str) -> io::Result<u64> {
    u64::try_from(number(field, what)?).map_err(|_| broken(&format!("a header's {what} is negative")))
}

fn padding(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or(bytes)
}

/// GNU long names end in a NUL that is not part of the name.
fn text(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256_and_may_be_negative() {
        assert_eq!(number(b"0000644\0", "mode").ok(), Some(0o644));
        assert_eq!(number(b"   644 \0", "mode").ok(), Some(0o644));
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0], "size").ok(), Some(2 << 24));
        assert_eq!(number(&[0xff; 12], "mtime").ok(), Some(-1));
        assert!(number(b"99999999", "mode").is_err());
        assert!(number(&[0xbf; 12], "size").is_err());
    }

    #[test]
    fn pax_times_round_down() {
        assert_eq!(time(b"12.5").ok(), Some((12, 500_000_000)));
        assert_eq!(time(b"-0.25").ok(), Some((-1, 750_000_000)));
        assert_eq!(time(b"-3").ok(), Some((-3, 0)));
        assert_eq!(time(b"1.1234567899").ok(), Some((1, 123_456_789)));
        assert!(time(b"x").is_err());
    }
}
