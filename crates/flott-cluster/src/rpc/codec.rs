//! The encoding of messages within gRPC.

use std::marker::PhantomData;

use bytes::{Buf, BufMut};
use flott_core::codec;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Encodes `E` and decodes `D`.
pub(super) struct Messages<E, D>(PhantomData<fn(E) -> D>);

impl<E, D> Messages<E, D> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E: Serialize + Send + 'static, D: DeserializeOwned + Send + 'static> Codec for Messages<E, D> {
    type Encode = E;
    type Decode = D;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::new()
    }

    fn decoder(&mut self) -> Self {
        Self::new()
    }
}

impl<E: Serialize, D> Encoder for Messages<E, D> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, message: E, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let bytes = codec::encode(&message).map_err(|error| Status::internal(error.report()))?;
        out.put_slice(&bytes);
        Ok(())
    }
}

impl<E, D: DeserializeOwned> Decoder for Messages<E, D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, input: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        let bytes = input.copy_to_bytes(input.remaining());
        codec::decode(&bytes).map(Some).map_err(|error| Status::internal(error.report()))
    }
}
