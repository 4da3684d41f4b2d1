//! A stream that writes a small message in one piece: a head and a short body are copied together and sent.
//!
//! hyper hands over head and body as two slices. Gathering those is the kernel's work in `writev`, which also takes the way
//! of files; for the few hundred bytes of most answers copying and `send` cost less. Large bodies are never copied.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Messages up to this many bytes are copied.
const SMALL: usize = 2048;

pub struct Compact<S>(pub S);

impl<S: AsyncRead + Unpin> AsyncRead for Compact<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Compact<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if let [only] = bufs {
            return Pin::new(&mut self.0).poll_write(cx, only);
        }
        if bufs.iter().map(|buf| buf.len()).sum::<usize>() > SMALL {
            return Pin::new(&mut self.0).poll_write_vectored(cx, bufs);
        }
        let mut together = [0; SMALL];
        let mut length = 0;
        for buf in bufs {
            together[length..length + buf.len()].copy_from_slice(buf);
            length += buf.len();
        }
        Pin::new(&mut self.0).poll_write(cx, &together[..length])
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncReadExt;

    /// Takes few bytes at a time and tells how it was called.
    struct Sink {
        taken: Vec<u8>,
        most: usize,
        gathered: usize,
    }

    impl AsyncWrite for Sink {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let count = buf.len().min(self.most);
            self.taken.extend_from_slice(&buf[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
            self.gathered += 1;
            self.poll_write(cx, &bufs[0])
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    async fn write(parts: &[Vec<u8>], most: usize) -> (Sink, usize) {
        let mut stream = Compact(Sink { taken: Vec::new(), most, gathered: 0 });
        let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let count = poll_fn(|cx| Pin::new(&mut stream).poll_write_vectored(cx, &slices)).await.expect("a count");
        (stream.0, count)
    }

    #[tokio::test]
    async fn a_small_head_and_body_go_out_in_one_piece() {
        let (sink, count) = write(&[b"head".to_vec(), Vec::new(), b"body".to_vec()], 100).await;
        assert_eq!((sink.taken.as_slice(), count, sink.gathered), (b"headbody".as_slice(), 8, 0));
    }

    #[tokio::test]
    async fn a_socket_that_takes_a_part_is_told_of_by_the_count() {
        let (sink, count) = write(&[b"head".to_vec(), b"body".to_vec()], 5).await;
        assert_eq!((sink.taken.as_slice(), count), (b"headb".as_slice(), 5));
    }

    #[tokio::test]
    async fn a_large_body_is_gathered_by_the_kernel() {
        let (sink, _) = write(&[b"head".to_vec(), vec![0; SMALL]], 100).await;
        assert_eq!((sink.taken.as_slice(), sink.gathered), (b"head".as_slice(), 1));
    }

    #[tokio::test]
    async fn reading_is_passed_through() {
        let mut text = String::new();
        Compact(b"bytes".as_slice()).read_to_string(&mut text).await.expect("text");
        assert_eq!(text, "bytes");
    }
}
