//! A response body read as JSON lines.

use std::{collections::VecDeque, marker::PhantomData};

use bytes::{Buf, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::ClientError;

/// The lines of a streamed answer.
pub struct Lines<T> {
    request: String,
    body: Option<Incoming>,
    partial: BytesMut,
    ready: VecDeque<T>,
    line: PhantomData<T>,
}

impl<T: DeserializeOwned> Lines<T> {
    pub(super) fn new(request: String, body: Incoming) -> Self {
        Self { request, body: Some(body), partial: BytesMut::new(), ready: VecDeque::new(), line: PhantomData }
    }

    /// Waits for the next line; none when the server has ended the answer.
    ///
    /// Cancel-safe: bytes that came stay in the buffer.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(Some(line));
            }
            let Some(body) = self.body.as_mut() else { return Ok(None) };
            match body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.partial.extend_from_slice(data);
                        self.take_lines()?;
                    }
                }
                Some(Err(source)) => {
                    return Err(ClientError::Broken { request: self.request.clone(), source });
                }
                None => {
                    self.body = None;
                    if !self.partial.is_empty() {
                        return Err(ClientError::CutShort { request: self.request.clone() });
                    }
                }
            }
        }
    }

    fn take_lines(&mut self) -> Result<(), ClientError> {
        while let Some(end) = self.partial.iter().position(|&b| b == b'\n') {
            let line = self.partial.split_to(end);
            self.partial.advance(1);
            if line.is_empty() {
                continue;
            }
            let value = serde_json::from_slice(&line)
                .map_err(|source| ClientError::Unreadable { request: self.request.clone(), source })?;
            self.ready.push_back(value);
        }
        Ok(())
    }
}
