//! A serialised engine.

use super::logger;
use crate::driver::compute_capability;
use crate::settings::settings;
use prost::Message;

/// The content of an engine file.
#[derive(Clone, PartialEq, Message)]
pub struct SerialisedEngine {
    #[prost(bytes = "vec", tag = "1")]
    pub onnx: Vec<u8>,
    /// One range for every input.
    #[prost(message, repeated, tag = "2")]
    pub profile: Vec<InputRange>,
    /// Whether the FP16 flag was set; it has no effect here.
    #[prost(bool, tag = "3")]
    pub half: bool,
}

/// The minimum, optimum and maximum shape of an input.
#[derive(Clone, PartialEq, Message)]
pub struct InputRange {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int64, repeated, tag = "2")]
    pub min: Vec<i64>,
    #[prost(int64, repeated, tag = "3")]
    pub opt: Vec<i64>,
    #[prost(int64, repeated, tag = "4")]
    pub max: Vec<i64>,
}

impl InputRange {
    pub fn holds(&self, shape: &[i64]) -> bool {
        let limits = self.min.iter().zip(&self.max);
        shape.len() == self.min.len() && shape.iter().zip(limits).all(|(size, (min, max))| (min..=max).contains(&size))
    }
}

const MAGIC: &[u8; 8] = b"ftrtSTDN";

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The device's name and compute capability.
fn device() -> String {
    let (major, minor) = compute_capability();
    format!("{}, compute {major}.{minor}", settings().name)
}

impl SerialisedEngine {
    /// Magic, version, device, length and checksum, then the plan.
    pub fn serialise(&self) -> Vec<u8> {
        let (body, device) = (self.encode_to_vec(), device());
        let mut plan = MAGIC.to_vec();
        plan.extend(settings().tensorrt.to_le_bytes());
        plan.extend((device.len() as u32).to_le_bytes());
        plan.extend((body.len() as u64).to_le_bytes());
        plan.extend(checksum(&body).to_le_bytes());
        plan.extend(device.as_bytes());
        plan.extend(body);
        plan
    }

    /// `None`, with TensorRT's own message in the log, for data that isn't a plan or doesn't fit this TensorRT and GPU.
    pub fn deserialise(bytes: &[u8]) -> Option<Self> {
        let damaged = |what: &str| {
            logger::error(&format!("IRuntime::deserializeCudaEngine: Error Code 1: Serialization ({what})"));
            None
        };
        let Some((head, rest)) = bytes.split_at_checked(32) else {
            return damaged(
                "Serialization assertion sizeRead == static_cast<uint64_t>(mEnd - mCurrent) failed.Size specified in header does not match archive size",
            );
        };
        if &head[..8] != MAGIC {
            return damaged("Serialization assertion magicTagRead == kMAGIC_TAG failed.Magic tag does not match");
        }
        let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap_or_default());
        let long = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default());
        let (version, names, length, sum) = (number(8) as i32, number(12) as usize, long(16) as usize, long(24));
        if version != settings().tensorrt {
            return damaged(&format!(
                "Serialization assertion stdVersionRead == kSERIALIZATION_VERSION failed.Version tag does not match. Note: \
                 Current Version: {}, Serialized Engine Version: {version}",
                settings().tensorrt
            ));
        }
        let Some((made_for, body)) = rest.split_at_checked(names) else {
            return damaged("Serialization assertion safeVersionRead == kSAFE_SERIALIZATION_VERSION failed");
        };
        if body.len() != length {
            return damaged(
                "Serialization assertion sizeRead == static_cast<uint64_t>(mEnd - mCurrent) failed.Size specified in header does not match archive size",
            );
        }
        if checksum(body) != sum {
            return damaged("Serialization assertion crcRead == crc failed.CRC does not match");
        }
        if made_for != device().as_bytes() {
            logger::error(&format!(
                "IRuntime::deserializeCudaEngine: Error Code 6: API Usage Error (The engine plan file is generated on an \
                 incompatible device, expecting {} got {}, please rebuild.)",
                device(),
                String::from_utf8_lossy(made_for)
            ));
            return None;
        }
        Self::decode(body).ok()
    }
}
