//! The codecs of cameras.

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    H264,
    H265,
}

impl Codec {
    /// From the caps of an RTP or of a parsed stream.
    ///
    /// # Errors
    /// The name of an unsupported codec.
    pub fn of(caps: &gst::CapsRef) -> Result<Self, String> {
        let structure = caps.structure(0);
        let name = structure.map_or("nothing", |s| match s.name().as_str() {
            "application/x-rtp" => s.get::<&str>("encoding-name").unwrap_or("an unnamed coding"),
            name => name,
        });
        match name {
            "H264" | "video/x-h264" => Ok(Self::H264),
            "H265" | "video/x-h265" => Ok(Self::H265),
            other => Err(other.to_owned()),
        }
    }

    /// The name as in [`cuda::CodecCaps`].
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::H265 => "HEVC",
        }
    }

    /// The name as in GStreamer's element names.
    pub fn nick(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
        }
    }

    /// Media type of a parsed stream.
    pub fn media(self) -> &'static str {
        match self {
            Self::H264 => "video/x-h264",
            Self::H265 => "video/x-h265",
        }
    }

    pub fn parser(self) -> String {
        format!("{}parse", self.nick())
    }

    pub fn software_decoder(self) -> String {
        format!("avdec_{}", self.nick())
    }

    /// The name of the element that decodes on a GPU: the first GPU has the plain name.
    pub fn gpu_decoder(self, gpu: u32) -> String {
        if gpu == 0 { format!("nv{}dec", self.nick()) } else { format!("nv{}device{gpu}dec", self.nick()) }
    }
}
