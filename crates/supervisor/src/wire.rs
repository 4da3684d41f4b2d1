//! Frames on a byte stream: length, then JSON. Both ends of the control socket use this.

use std::io;

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::protocol::{Hello, VERSION};

/// No frame is longer.
pub const FRAME_MAX: usize = 16 << 20;

/// A frame that cannot be sent or understood.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("the connection broke")]
    Io(#[from] io::Error),
    #[error("a frame of {length} bytes is longer than {FRAME_MAX}")]
    TooLong { length: usize },
    #[error("a frame is not what was expected")]
    Malformed(#[source] serde_json::Error),
    #[error("the connection closed before the greeting")]
    NoGreeting,
    #[error("the peer speaks version {version}, which is no version")]
    Version { version: u32 },
}

pub async fn write<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), frame: &T) -> Result<(), WireError> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, frame).map_err(WireError::Malformed)?;
    let length = bytes.len() - 4;
    let Some(prefix) = u32::try_from(length).ok().filter(|_| length <= FRAME_MAX) else {
        return Err(WireError::TooLong { length });
    };
    bytes[..4].copy_from_slice(&prefix.to_le_bytes());
    Ok(to.write_all(&bytes).await?)
}

/// Reads one frame; none at a clean end. Not cancel-safe.
pub async fn read<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<T>, WireError> {
    let mut prefix = [0; 4];
    let got = from.read(&mut prefix).await?;
    if got == 0 {
        return Ok(None);
    }
    from.read_exact(&mut prefix[got..]).await?;
    let length = u32::from_le_bytes(prefix) as usize;
    if length > FRAME_MAX {
        return Err(WireError::TooLong { length });
    }
    // Grown as bytes arrive: a length alone must not make anyone reserve 16 MiB.
    let mut bytes = Vec::with_capacity(length.min(16 << 10));
    from.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    serde_json::from_slice(&bytes).map(Some).map_err(WireError::Malformed)
}

/// Exchanges greetings and returns the version that both speak: the lower of the two.
pub async fn greet(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), own: u32) -> Result<u32, WireError> {
    write(stream, &Hello { pillion_supervisor: own }).await?;
    let theirs: Hello = read(stream).await?.ok_or(WireError::NoGreeting)?;
    match theirs.pillion_supervisor {
        0 => Err(WireError::Version { version: 0 }),
        version => Ok(version.min(own).min(VERSION)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn greeted(a: u32, b: u32) -> (Result<u32, WireError>, Result<u32, WireError>) {
        let (mut left, mut right) = tokio::io::duplex(256);
        tokio::join!(greet(&mut left, a), greet(&mut right, b))
    }

    #[tokio::test]
    async fn peers_speak_the_lower_of_their_versions() {
        let (old, new) = greeted(VERSION, VERSION + 6).await;
        assert_eq!((old.expect("greeted"), new.expect("greeted")), (VERSION, VERSION));
    }

    #[tokio::test]
    async fn a_newer_greeting_with_unknown_fields_is_understood() {
        let (mut left, mut right) = tokio::io::duplex(256);
        let newer = serde_json::json!({ "pillionSupervisor": 9, "pillion_supervisor": 9, "colour": "blue" });
        write(&mut right, &newer).await.expect("sent");
        assert_eq!(greet(&mut left, VERSION).await.expect("greeted"), VERSION);
    }

    #[tokio::test]
    async fn version_zero_is_refused() {
        let (left, _) = greeted(VERSION, 0).await;
        assert!(matches!(left, Err(WireError::Version { version: 0 })));
    }

    #[tokio::test]
    async fn a_length_beyond_the_limit_is_refused_before_it_is_believed() {
        let mut bytes: &[u8] = &[0xff; 8];
        let got = read::<Hello>(&mut bytes).await;
        assert!(matches!(got, Err(WireError::TooLong { .. })));
    }

    #[tokio::test]
    async fn a_frame_cut_short_is_an_error_and_a_clean_end_is_none() {
        let mut cut: &[u8] = &[9, 0, 0, 0, b'{'];
        assert!(matches!(read::<Hello>(&mut cut).await, Err(WireError::Io(_))));
        let mut end: &[u8] = &[];
        assert!(matches!(read::<Hello>(&mut end).await, Ok(None)));
    }
}
